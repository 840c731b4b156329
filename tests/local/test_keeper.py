"""Interrupts, signals and shortages at any moment: what was begun is undone or finished, and nobody is forgotten."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from playground import Playground
from playground.errors import PlaygroundError, WaitTimeout
from tests.local.conftest import Holder, eventually

pytestmark = pytest.mark.local

GREETER = """
import time, restate
greeter = restate.Service("NAME")

@greeter.handler()
async def greet(ctx: restate.Context, name: str) -> str:
    await ctx.run_typed("think", lambda: time.sleep(0.05))
    return f"NAME greets {name}"
"""


def greeter(name: str, version: int = 0) -> str:
    return f"# {version}\n" + GREETER.replace("NAME", name)


def interrupted(work: Callable[[], object], after: float) -> bool:
    """Do something in the main thread and press the stop button; whether it was done before that."""
    done = False
    press = threading.Timer(after, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    try:
        press.start()
        work()
        done = True
        press.join()
        time.sleep(5)
        pytest.fail("the interrupt never came")
    except KeyboardInterrupt:
        return done


def keeper_of(pg: Playground) -> psutil.Process:
    return psutil.Process(pg.runtime.backend.keeper_pid)  # type: ignore[attr-defined]


def pods_of(pg: Playground) -> dict[str, int]:
    """The process of each pod that runs."""
    return {p.name: p.pid for a in pg.runtime.backend._activators.values() for p in a.pods if p.pid is not None}  # type: ignore[attr-defined]


def test_a_deployment_interrupted_at_any_moment_leaves_a_playground_that_works(pg: Playground) -> None:
    pg.deploy(name="xa", source=greeter("Xa"))
    pg.deploy(name="xb", source=greeter("Xb"))
    longest = 0.3
    for version in range(1, 41):
        name = random.choice(["xa", "xb"])
        began = time.monotonic()
        if interrupted(
            lambda n=name, v=version: pg.deploy(name=n, source=greeter(n.title(), v)),  # type: ignore[misc]
            random.uniform(0, longest),
        ):
            longest = max(0.05, min(longest, time.monotonic() - began))
        if version % 5 == 0:
            with contextlib.suppress(PlaygroundError):
                interrupted(lambda n=name: pg.kill_pod(n), random.uniform(0, 0.02))  # type: ignore[misc]
        if version % 4 == 0:
            assert pg.call("Xa/greet", "ada") == "Xa greets ada"
            assert pg.call("Xb/greet", "ada") == "Xb greets ada"
    assert pg.deploy(name="xa", source=greeter("Xa", 99)).is_new
    assert pg.deploy(name="xc", source=greeter("Xc")).is_new
    for name in ("Xa", "Xb", "Xc"):
        assert pg.call(f"{name}/greet", "ada") == f"{name} greets ada"
    # The one that is told to be killed is killed, and no other.
    pg.call("Xa/greet", "ada")
    pg.call("Xb/greet", "ada")
    before = pods_of(pg)
    killed = pg.kill_pod("xb")
    assert killed.service == "xb"
    eventually(lambda: not psutil.pid_exists(before[killed.name]))
    assert all(psutil.pid_exists(pid) for name, pid in pods_of(pg).items() if name.startswith("xa"))
    # What was interrupted has left nothing: no address without a revision, no pod without an address.
    deployed = {revision.name for revision in pg.revisions}
    eventually(lambda: set(pg.runtime.backend._activators) == deployed)  # type: ignore[attr-defined]
    pg.wait_for(pods=0, timeout=60)
    eventually(lambda: len(keeper_of(pg).children()) == 2, timeout=20)  # server and ledger


def test_a_source_that_hangs_while_loading_is_interrupted_and_its_pod_gone(pg: Playground) -> None:
    hangs = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(1000)\n"
    assert not interrupted(lambda: pg.deploy(name="xa", source=hangs), 0.5)
    eventually(lambda: not pg.pods)
    assert len(keeper_of(pg).children()) == 2
    pg.deploy(name="xa", source=greeter("Xa"))
    assert pg.call("Xa/greet", "ada") == "Xa greets ada"


def test_pods_that_get_signals_as_soon_as_they_are_forked(pg: Playground) -> None:
    """Keeper, server and ledger live on, and every invocation completes."""
    for name in ("xa", "xb"):
        pg.deploy(name=name, source=greeter(name.title()))
    keeper = keeper_of(pg)
    spared = {child.pid: child for child in keeper.children()} | {keeper.pid: keeper}
    for pid in pods_of(pg).values():
        del spared[pid]
    stop = threading.Event()

    def bombard() -> None:
        while not stop.is_set():
            for child in keeper.children():
                if child.pid in spared:
                    continue
                with contextlib.suppress(psutil.Error):
                    match random.randrange(8):
                        case 0 | 1 | 2:
                            child.send_signal(signal.SIGTERM)
                        case 3:
                            child.send_signal(signal.SIGKILL)
                        case 4:
                            child.suspend()
                            child.resume()
            time.sleep(random.choice([0, 0, 0.001, 0.02]))

    threads = [threading.Thread(target=bombard) for _ in range(2)]
    for thread in threads:
        thread.start()
    sent = [pg.send(f"{random.choice(['Xa', 'Xb'])}/greet", str(n)) for n in range(60)]
    time.sleep(4)
    stop.set()
    for thread in threads:
        thread.join()
    for number, invocation in enumerate(sent):
        assert invocation.result(60).endswith(f"greets {number}")
    assert all(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in spared.values())
    assert pg.ledger.entries() == []


@contextlib.contextmanager
def no_more_files(pid: int = 0) -> Iterator[None]:
    """A process may not open any more files; those it has stay."""
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    opened = {int(name) for name in os.listdir(f"/proc/{pid or os.getpid()}/fd")}
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(set(range(1000)) - opened), limits[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def tried(pg: Playground, service: str) -> list[str]:
    """Why pods of a service could not be started."""
    pods = [pod for pod in pg.recording.timeline.pods.values() if pod.service == service]
    return [pod.reason for pod in pods if pod.phase == "failed"]


@pytest.mark.parametrize("short", ["kernel", "keeper"])
def test_a_pod_that_cannot_be_started_is_told_and_tried_again(pg: Playground, short: str) -> None:
    pg.deploy(name="xa", source=greeter("Xa"))
    pg.call("Xa/greet", "ada")
    pg.kill_pod("xa")
    invocation = pg.send("Xa/greet", "ada", delay=1)
    pg.call("Xa/greet", "warm")
    pg.kill_pod("xa")
    process = 0 if short == "kernel" else keeper_of(pg).pid
    with no_more_files(process):
        eventually(lambda: len(tried(pg, "xa")) >= 2, timeout=20)
        assert "Too many open files" in tried(pg, "xa")[-1]
        assert "Too many open files" in repr(pg.pods)
        with pytest.raises(WaitTimeout, match=r"xa has no pod; starting one is retried: OSError.*Too many open files"):
            invocation.wait_for(status="completed", timeout=0.1)
    assert invocation.result(30) == "Xa greets ada"
    assert "Too many" not in repr(pg.pods)


def test_a_deployment_without_room_for_its_pod_says_so(pg: Playground) -> None:
    with no_more_files(), pytest.raises(PlaygroundError, match=r"Too many open files.*\n?.*ulimit -n"):
        pg.deploy(name="xa", source=greeter("Xa"))
    pg.deploy(name="xa", source=greeter("Xa"))
    assert pg.call("Xa/greet", "ada") == "Xa greets ada"


def test_a_ledger_that_cannot_be_started_is_told_and_tried_again(pg: Playground) -> None:
    pg.ledger.entries()
    (ledger,) = [
        child
        for child in keeper_of(pg).children()
        if child.name() != "restate-server" and child.pid not in pods_of(pg).values()
    ]
    with no_more_files():
        os.kill(ledger.pid, signal.SIGKILL)
        eventually(lambda: sum(event.kind == "ledger.failed" for event in pg.recording.events) >= 2, timeout=20)
    assert pg.ledger.entries() == []
    failed = next(event for event in pg.recording.events if event.kind == "ledger.failed")
    assert "Too many open files" in failed.data["reason"]


SHARE_IS_GONE = """
import ctypes, fcntl, os, sys
# Root has no share that could be used up, so it gives up the rights that make the difference.
if os.geteuid() == 0 and len(sys.argv) == 1:
    for right in (21, 24):  # CAP_SYS_ADMIN, CAP_SYS_RESOURCE
        ctypes.CDLL(None).prctl(24, right)  # PR_CAPBSET_DROP
    os.execv(sys.executable, [sys.executable, "-c", SCRIPT, "dropped"])
taken = []
try:
    while True:
        taken.append(os.pipe())
        fcntl.fcntl(taken[-1][0], fcntl.F_SETPIPE_SZ, 1 << 20)
except PermissionError:
    print("no more")
"""

MANY = f"""
from playground import Playground
with Playground.open(idle_window=60) as pg:
    for n in range(3):
        pg.deploy(name=f"x{{n}}", source={GREETER!r}.replace("NAME", f"X{{n}}"))
    print(*(pg.call(f"X{{n}}/greet", "ada") for n in range(3)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="pipes have no quota")
def test_a_user_who_has_used_up_the_share_of_pipes_can_deploy(holder: Callable[[str], Holder]) -> None:
    script = SHARE_IS_GONE + MANY
    held = holder(f"SCRIPT = {script!r}\nexec(SCRIPT)")
    assert held.says() == "no more"
    assert held.says() == "X0 greets ada X1 greets ada X2 greets ada"
    assert held.process.wait(30) == 0


KEPT = f"""
import os, signal, sys, time
from playground import Playground
from playground.errors import PlaygroundClosed, PlaygroundError

pg = Playground.open()
pg.deploy(name="xa", source={GREETER!r}.replace("NAME", "Xa"))
sent, waiting = pg.send("Xa/greet", "ada"), pg.send("Xa/greet", "ada", delay=60)
sent.result()
calls = {{
    "call": lambda: pg.call("Xa/greet", "ada"),
    "send": lambda: pg.send("Xa/greet", "ada"),
    "deploy": lambda: pg.deploy(name="xb", source={GREETER!r}.replace("NAME", "Xb")),
    "result": lambda: waiting.result(60),
    "wait_for": lambda: waiting.wait_for(status="completed", timeout=60),
    "pods": lambda: pg.wait_for(pods=7, timeout=60),
    "cancel": lambda: waiting.cancel(),
    "revisions": lambda: pg.revisions,
    "kill_pod": lambda: pg.kill_pod("xa"),
    "kill_server": lambda: pg.kill_server(),
    "ledger": lambda: pg.ledger.entries(),
    "ledger.clear": lambda: pg.ledger.clear(),
}}
os.kill(pg.runtime.backend.keeper_pid, signal.SIGKILL)
began = time.monotonic()
try:
    pg.call("Xa/greet", "ada")  # in flight in the same moment: it may not be known what became of it
except PlaygroundError:
    pass
for name, call in calls.items():
    try:
        call()
        print(name, "did not notice")
    except PlaygroundClosed as error:
        if error.fix != "pg = Playground.open()":
            print(name, error)
    except PlaygroundError as error:
        print(name, "said:", type(error).__name__, error)
repr(pg), repr(pg.pods), repr(sent)
print("ready" in repr(pg).splitlines()[0], round(time.monotonic() - began) // 30)
directory = pg.runtime.directory
deadline = time.monotonic() + 10
while directory.exists() and time.monotonic() < deadline:
    time.sleep(0.05)
print(directory.exists())
pg.close()
again = Playground.open()
again.deploy(name="xa", source={GREETER!r}.replace("NAME", "Xa"))
print(again.call("Xa/greet", "ada"))
again.close()
"""


def test_a_killed_keeper_is_told_at_the_next_call_and_nothing_hangs_or_is_left(
    holder: Callable[[str], Holder],
) -> None:
    held = holder(KEPT)
    said = held.says()
    assert said == "False 0"
    assert held.says() == "False"
    eventually(lambda: len(held.left_over()) <= 1)
    assert held.says() == "Xa greets ada"
    assert held.process.wait(30) == 0
    assert held.left_over() == []


def test_an_opening_interrupted_at_any_moment_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = {child.pid for child in psutil.Process().children()}  # of playgrounds that other tests share
    opened: list[Playground] = []
    for _ in range(4):
        interrupted(lambda: opened.append(Playground.open()), random.uniform(0, 1.2))
    for each in opened:
        each.close()
    eventually(lambda: not any(keeper_like(c) for c in psutil.Process().children() if c.pid not in before), timeout=30)
    assert list(tmp_path.glob("durable-playground-*")) == []


def keeper_like(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return "playground.backends.local.keeper" in process.cmdline()
    return False
