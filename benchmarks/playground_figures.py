"""How quick and how small a playground is: `python -m benchmarks playground`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.measure import median, milliseconds, table
from playground import Playground

ROUNDS = 11
REQUESTS = 400
GREETER = """
import restate

greeter = restate.Service("{name}")

@greeter.handler()
async def greet(ctx: restate.Context, name: str) -> str:
    return f"Hello {{name}}"
"""
SLOW = """
import time, restate

slow = restate.Service("Slow")

@slow.handler()
async def step(ctx: restate.Context) -> str:
    await ctx.run_typed("step", lambda: time.sleep(5))
    return "done"
"""
# A load from a process of its own: requests per second at 16 requests at a time.
CLIENT = """
import asyncio, sys, time, httpx
socket, path, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
async def main():
    transport = httpx.AsyncHTTPTransport(uds=socket, limits=httpx.Limits(max_connections=16))
    async with httpx.AsyncClient(transport=transport, base_url="http://restate", timeout=60) as client:
        async def one():
            (await client.post(path, json="ada")).raise_for_status()
        await asyncio.gather(*(one() for _ in range(32)))
        began = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(count)))
        print(count / (time.perf_counter() - began))
asyncio.run(main())
"""
UNTAPPED = (
    "import sys; from pathlib import Path; from playground.pod.serve import run; run(Path(sys.argv[1]), tapped=False)"
)


def run() -> str:
    """Measure everything; returns a Markdown table."""
    opened = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        pg = Playground.open()
        opened.append(time.perf_counter() - began)
        pg.close()
    with Playground.open() as pg:
        deployed = _deploy(pg)
        forked = _cold_starts(pg)
        replayed = _replays(pg)
        memory = _memory(pg)
    with Playground.open(pods="spawn", idle_window=60) as pg:  # both kinds of pod started in the same way
        with_tap, without = _throughput(pg)
    with Playground.open(pods="spawn") as pg:
        pg.deploy(name="greeter", source=GREETER.format(name="Greeter"))
        spawned = _cold_starts(pg)
    rows = [
        ("", "measured", "aim"),
        ("`Playground.open()` to ready", milliseconds(opened), "≤ 1500 ms"),
        ("deploy to registered", milliseconds(deployed), ""),
        ("zero pods → first response, pods forked", milliseconds(forked), "≤ 100 ms"),
        ("zero pods → first response, pods started afresh", milliseconds(spawned), ""),
        ("pod killed → first replayed frame", milliseconds(replayed), "≤ 300 ms"),
        (
            "throughput of a small handler with the tap, of that without",
            f"{median(with_tap) / median(without):.2f}× ({median(with_tap):.0f} of {median(without):.0f} requests/s)",
            "≥ 0.95×",
        ),
        ("memory of a playground with one pod (proportional set size)", memory, "≤ 350 MB"),
        ("`make lab` to JupyterLab's address, set up before", milliseconds(_lab()), "≤ 5000 ms"),
    ]
    return table(rows)


def _deploy(pg: Playground) -> list[float]:
    times = []
    for round_ in range(ROUNDS):
        source = GREETER.format(name="Greeter") + f"# {round_}\n"
        began = time.perf_counter()
        pg.deploy(name="greeter", source=source)
        times.append(time.perf_counter() - began)
    return times


def _cold_starts(pg: Playground) -> list[float]:
    times = []
    for _ in range(ROUNDS):
        pg.wait_for(pods=0)
        began = time.perf_counter()
        pg.call("Greeter/greet", "ada")
        times.append(time.perf_counter() - began)
    return times


def _replays(pg: Playground) -> list[float]:
    pg.deploy(name="slow", source=SLOW)
    times = []
    for _ in range(ROUNDS):
        invocation = pg.send("Slow/step").wait_for(entry="step")
        pg.kill_pod("slow")
        _until(lambda inv=invocation: len(inv.attempts) > 1 and inv.attempts[1].replayed)  # type: ignore[misc]
        first, second = invocation.attempts[:2]
        assert first.ended_at is not None
        times.append(second.marks["entry", 0].at - first.ended_at)
        invocation.kill()
    return times


def _until(reached: Callable[[], object]) -> None:
    while not reached():
        time.sleep(0.005)


def _memory(pg: Playground) -> str:
    pg.call("Greeter/greet", "ada")
    parts: dict[str, float] = {}
    for process in psutil.Process().children(recursive=True):
        command = " ".join(process.cmdline())
        name = "server" if "restate-server" in command else "keeper, ledger and pods"
        parts[name] = parts.get(name, 0) + process.memory_full_info().pss / 2**20
    told = ", ".join(f"{name} {size:.0f}" for name, size in sorted(parts.items(), reverse=True))
    return f"{sum(parts.values()):.0f} MB ({told})"


def _throughput(pg: Playground) -> tuple[list[float], list[float]]:
    """Requests per second, with and without the tap, in turns."""
    pg.deploy(name="tapped", source=GREETER.format(name="Tapped"))
    source = pg.runtime.directory / "untapped.py"
    source.write_text(GREETER.format(name="Untapped"))
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        pod = subprocess.Popen(
            [sys.executable, "-c", UNTAPPED, str(source)],
            pass_fds=[listening.fileno()],
            env={**os.environ, "POD_FD": str(listening.fileno())},
            stdout=subprocess.DEVNULL,
        )
        try:
            address = f"http://127.0.0.1:{listening.getsockname()[1]}"
            pg.runtime.run(pg.runtime.admin.register(address, breaking=False))
            with_tap, without = [], []
            for _ in range(ROUNDS):
                with_tap.append(_load(pg, "/Tapped/greet"))
                without.append(_load(pg, "/Untapped/greet"))
        finally:
            pod.kill()
            pod.wait()
    return with_tap, without


def _load(pg: Playground, path: str) -> float:
    answer = subprocess.run(
        [sys.executable, "-c", CLIENT, str(pg.runtime.backend.ingress.socket), path, str(REQUESTS)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(answer.stdout)


def _lab() -> list[float]:
    times = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        lab = subprocess.Popen(
            ["make", "lab", "ARGS=--no-browser"],
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert lab.stdout is not None
        for line in lab.stdout:
            if re.search(r"http://(127\.0\.0\.1|localhost):\d+/", line):
                times.append(time.perf_counter() - began)
                break
        for process in [*psutil.Process(lab.pid).children(recursive=True), psutil.Process(lab.pid)]:
            process.terminate()
        lab.stdout.close()
        lab.wait()
    return times[1:]  # the first may have had something to set up
