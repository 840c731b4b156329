"""What a playground must survive, each with the real server: kernels, pods and servers killed at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from playground import Playground
from playground.errors import PlaygroundClosed, PodNotFound
from tests.local.conftest import SIGNUP, Holder, eventually

pytestmark = pytest.mark.local

GREETER = """
import time, restate
greeter = restate.Service("Greeter")

@greeter.handler()
async def greet(ctx: restate.Context, name: str) -> str:
    await ctx.run_typed("think", lambda: time.sleep(0.05))
    return f"Hello {name}"
"""

HOLD = f"""
import sys
from playground import Playground
print("opening")
pg = Playground.open()
print(pg.ingress_url, pg.admin_url)
pg.deploy(name="signup", source={SIGNUP!r})
inv = pg.send("Signup/signup", {{"username": "ada", "takes": 30}})
inv.wait_for(entry="send email")
print("busy")
sys.stdin.read() if False else __import__("time").sleep(60)
"""


@pytest.mark.parametrize("moment", ["opening", "open", "busy"])
def test_nothing_is_left_when_the_kernel_is_killed(holder: Callable[[str], Holder], moment: str) -> None:
    held = holder(HOLD)
    urls: list[str] = []
    assert held.says() == "opening"
    if moment == "opening":
        time.sleep(random.uniform(0, 1))  # any moment of it
    else:
        urls = held.says().split()
        if moment == "busy":
            assert held.says() == "busy"
            assert len(held.left_over()) >= 4  # kernel, keeper, server, pod
    held.kill()
    eventually(lambda: not held.left_over(), timeout=2)
    for url in urls:
        with socket.socket() as probe:  # the port is free: it can be bound again
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", httpx.URL(url).port))


def test_nothing_is_left_when_the_keeper_is_killed(holder: Callable[[str], Holder]) -> None:
    held = holder(HOLD)
    while held.says() != "busy":
        pass
    keeper = next(line for line in held.left_over() if "playground.backends.local.keeper" in line)
    psutil.Process(int(keeper.split()[0])).kill()
    eventually(lambda: len(held.left_over()) == 1, timeout=2)  # the kernel itself


def test_a_forked_copy_of_the_kernel_does_not_keep_it_alive(holder: Callable[[str], Holder]) -> None:
    script = HOLD.replace('print("busy")', 'import os\nif os.fork() == 0: __import__("time").sleep(20)\nprint("busy")')
    held = holder(script)
    while held.says() != "busy":
        pass
    held.kill()
    eventually(lambda: not [p for p in held.left_over() if "restate-server" in p or "local.keeper" in p], timeout=2)


def test_every_signup_completes_while_pods_are_killed(signup: Playground) -> None:
    names = [f"user{n}" for n in range(25)]
    invocations = [signup.send("Signup/signup", {"username": name, "takes": 0.05}) for name in names]
    clicked: set[str] = set()
    kills = 0
    deadline = time.monotonic() + 300
    while kills < 25 and time.monotonic() < deadline:
        for pod in signup.pods:
            with contextlib.suppress(PodNotFound):  # it had gone by itself meanwhile
                pod.kill()
                kills += 1
        _click(signup, clicked)
        time.sleep(random.uniform(0, 0.1))
        if all(invocation.trace.done for invocation in invocations):
            invocations += [signup.send("User/user0/get") for _ in range(5)]
    assert kills >= 25

    def finished() -> bool:
        _click(signup, clicked)
        return all(invocation.trace.done for invocation in invocations[:25])

    eventually(finished, timeout=60)
    for name, invocation in zip(names, invocations[:25], strict=True):
        assert invocation.result() == f"The new user {name} is signed up and activated"
        assert signup.state("User", name)["activated"] is True


def _click(pg: Playground, clicked: set[str]) -> None:
    for invocation in pg.invocations:
        for awakeable in invocation.awakeables:
            if awakeable not in clicked:
                clicked.add(awakeable)
                pg.resolve(awakeable)


def test_a_killed_server_is_brought_back_and_the_invocation_completes(signup: Playground) -> None:
    invocation = signup.send("Signup/signup", {"username": "ada", "takes": 0.7})
    invocation.wait_for(entry="send email")
    signup.kill_server()
    invocation.wait_for(status="suspended")
    signup.resolve(invocation.awakeables[0])
    assert invocation.result() == "The new user ada is signed up and activated"
    assert invocation.attempts[0].outcome == "disconnected"
    assert signup.call("User/ada/get")["username"] == "ada"


def test_a_result_is_still_awaited_while_the_server_is_killed(signup: Playground) -> None:
    invocation = signup.send("Signup/signup", {"username": "ada"})
    invocation.wait_for(status="suspended")
    with ThreadPoolExecutor() as pool:
        result = pool.submit(invocation.result)
        signup.kill_server()
        signup.resolve(invocation.awakeables[0])
        assert "ada" in result.result(30)


def test_four_playgrounds_do_not_clash_and_listen_only_on_loopback(holder: Callable[[str], Holder]) -> None:
    script = f"""
from playground import Playground
pg = Playground.open()
pg.deploy(name="greeter", source={GREETER!r})
print(pg.call("Greeter/greet", "four"))
print("up")
__import__("time").sleep(60)
"""
    held = [holder(script) for _ in range(4)]
    for each in held:
        assert each.says() == "Hello four"
        assert each.says() == "up"
    addresses = []
    for each in held:
        for line in each.left_over():
            with contextlib.suppress(psutil.NoSuchProcess):  # an idle pod is stopped meanwhile
                connections = psutil.Process(int(line.split()[0])).net_connections("inet")
                addresses += [c.laddr for c in connections if c.status == psutil.CONN_LISTEN]
    assert len(addresses) >= 4 * 3  # the ledger, the pod's, the one by which handlers reach the ingress
    assert {address.ip for address in addresses} == {"127.0.0.1"}


@pytest.mark.parametrize("block", ["sleep", "busy", "httpx"])
def test_a_blocked_main_thread_stops_nothing(signup: Playground, block: str) -> None:
    signup.kill_pod("signup")
    invocation = signup.send("Signup/signup", {"username": "ada", "takes": 0.7})
    killed = threading.Event()

    def kill() -> None:
        invocation.wait_for(entry="send email")
        signup.kill_pod("signup")
        killed.set()

    thread = threading.Thread(target=kill)
    thread.start()
    began = time.monotonic()
    if block == "sleep":
        time.sleep(5)
    elif block == "busy":
        while time.monotonic() < began + 5:
            pass
    else:
        # A request of the learner's own, straight to the ingress, waiting for a pod that is not there yet.
        answer = httpx.post(f"{signup.ingress_url}/User/ben/initialize", json={"username": "ben"}, trust_env=False)
        assert answer.status_code == 200
        time.sleep(max(0.0, began + 5 - time.monotonic()))
    thread.join(0.01)
    assert killed.is_set()
    attempts = invocation.attempts
    assert [attempt.outcome for attempt in attempts[:2]] == ["killed", "suspended"]
    second = attempts[1].started_at - attempts[0].ended_at  # type: ignore[operator]
    assert second < 3, "the pod was started while the main thread was blocked"


def test_a_playground_can_be_opened_again_on_the_same_data(tmp_path: Path) -> None:
    with Playground.open(data_dir=tmp_path / "data") as pg:
        pg.deploy(name="signup", source=SIGNUP)
        pg.call("User/ada/initialize", {"username": "ada"})
    with Playground.open(data_dir=tmp_path / "data") as pg:
        pg.deploy(name="signup", source=SIGNUP)
        assert pg.call("User/ada/get") == {"username": "ada"}


def test_what_was_under_way_goes_on_in_the_next_playground_on_the_same_data(tmp_path: Path) -> None:
    changed = SIGNUP + "# another revision\n"
    with Playground.open(data_dir=tmp_path / "data") as pg:
        pg.deploy(name="signup", source=SIGNUP)
        old = pg.send("Signup/signup", {"username": "ada"}).wait_for(status="suspended")
        pg.deploy(name="signup", source=changed)
        pg.deploy(name="signup", source=changed + "# and one more\n")
        new = pg.send("Signup/signup", {"username": "ben", "takes": 30}).wait_for(entry="send email")
        awakeable = old.awakeables[0]
        keeper = psutil.Process(pg.runtime.backend.keeper_pid)  # type: ignore[attr-defined]
        keeper.kill()
    with Playground.open(data_dir=tmp_path / "data") as pg:
        assert [each.name for each in pg.revisions] == ["signup-00001", "signup-00003"], "the second serves nobody"
        assert not pg.deploy(name="signup", source=changed + "# and one more\n").is_new
        assert pg.call("User/ada/get") == {"username": "ada"}
        pg.resolve(awakeable)
        eventually(lambda: pg.state("User", "ada")["activated"])
        assert {a.revision for t in pg.recording.invocations if t.id == old.id for a in t.attempts} == {"signup-00001"}
        eventually(lambda: (trace := pg.recording.timeline.invocations.get(new.id)) and trace.attempts)
        assert pg.invocation(new.id).attempts[0].revision == "signup-00003"
        assert pg.deploy(name="signup", source=SIGNUP).revision == "signup-00004"


def test_a_deployment_whose_registration_was_never_answered_is_revived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Restate sends requests there: it must not be to an address that nobody has."""
    with Playground.open(data_dir=tmp_path / "data") as pg:
        register = pg.runtime.admin.register

        async def never_answered(*args: object, **options: object) -> object:
            await register(*args, **options)  # type: ignore[arg-type]
            psutil.Process(pg.runtime.backend.keeper_pid).kill()  # type: ignore[attr-defined]
            raise PlaygroundClosed("Its keeper was killed before the answer came.")

        monkeypatch.setattr(pg.runtime.admin, "register", never_answered)
        with pytest.raises(PlaygroundClosed):
            pg.deploy(name="greeter", source=GREETER)
    with Playground.open(data_dir=tmp_path / "data") as pg:
        assert pg.call("Greeter/greet", "ada", timeout=60) == "Hello ada"
        assert [each.name for each in pg.revisions] == ["greeter-00001"]


def test_pods_started_afresh_work_like_forked_ones() -> None:
    # A pod that starts afresh on a busy machine is no reason to suspend what waits for it.
    with Playground.open(pods="spawn", inactivity_timeout=5) as pg:
        pg.deploy(name="signup", source=SIGNUP)
        invocation = pg.send("Signup/signup", {"username": "ada", "takes": 0.5})
        invocation.wait_for(entry="send email")
        pg.kill_pod("signup")
        invocation.wait_for(status="suspended")
        assert [len(attempt.replayed) for attempt in invocation.attempts] == [0, 2]


def test_a_pod_that_starts_processes_leaves_none(pg: Playground) -> None:
    source = GREETER.replace("time.sleep(0.05)", '__import__("subprocess").Popen(["sleep", "321"]).pid')
    pg.deploy(name="greeter", source=source)
    pg.call("Greeter/greet", "ada")
    children = [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "321"]]
    assert children
    pg.kill_pod("greeter")
    eventually(lambda: not any(p.is_running() and p.status() != "zombie" for p in children), timeout=2)


def test_a_recording_saves_loads_and_shows_the_same(signup: Playground, tmp_path: Path) -> None:
    from playground import Recording
    from playground.views.text import invocation_table

    invocation = signup.send("Signup/signup", {"username": "ada", "takes": 0.3})
    invocation.wait_for(entry="send email")
    signup.kill_pod("signup")
    invocation.wait_for(status="suspended")
    shown = repr(invocation)
    loaded = Recording.load(signup.recording.save(tmp_path / "run.jsonl"))
    assert invocation_table(loaded.invocation(invocation.id), loaded.timeline) == shown
    first = json.loads((tmp_path / "run.jsonl").read_text().splitlines()[0])
    assert first["schema"] == 1


def test_an_awakeable_that_is_completed_while_the_server_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows what became of the request; of two completions the first counts, so it is sent again."""
    with Playground.open() as pg, ThreadPoolExecutor() as threads:
        pg.deploy(name="signup", source=SIGNUP)
        waiting = pg.send("Signup/signup", {"username": "ada"}).wait_for(status="suspended")
        client, sent = pg.runtime.ingress._client, threading.Event()
        request = client.request

        async def watched(*args: object, **options: object) -> httpx.Response:
            asking = asyncio.ensure_future(request(*args, **options))  # type: ignore[arg-type]
            asking.add_done_callback(lambda done: None if done.cancelled() else done.exception())
            await asyncio.wait([asking], timeout=1)  # it is written, and the server stands still
            sent.set()
            return await asking

        monkeypatch.setattr(client, "request", watched)
        server = psutil.Process(pg.runtime.backend._server.pid)  # type: ignore[attr-defined]
        server.suspend()
        completed = threads.submit(pg.resolve, waiting.awakeables[0], "clicked")
        assert sent.wait(30)
        server.kill()
        completed.result(60)
        assert waiting.result() == "The new user ada is signed up and activated"


def test_what_a_killed_opening_leaves_is_taken_away_by_the_next(
    holder: Callable[[str], Holder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is a moment at which the directory is there, and no keeper yet that could remove it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    script = """
from playground.backends.local.backend import LocalBackend
async def held(*_: object, **__: object) -> None:
    print("made", flush=True)
    __import__("time").sleep(60)
LocalBackend.open = held
from playground import Playground
Playground.open()
"""
    held = holder(script)
    assert held.says() == "made"
    held.kill()
    assert list(tmp_path.glob("durable-playground-*")), "nobody was there to remove it"
    with Playground.open():
        assert len(list(tmp_path.glob("durable-playground-*"))) == 1
    assert not list(tmp_path.glob("durable-playground-*"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux lists a process's descriptors")
def test_a_playground_that_was_closed_keeps_no_descriptors() -> None:
    def used() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def live() -> None:
        with Playground.open() as pg:
            pg.deploy(name="greeter", source=GREETER)
            pg.call("Greeter/greet", "ada")

    live()
    before = used()
    for _ in range(3):
        live()
    assert used() <= before
