"""Every public call ends: with what it was asked for, or at its deadline with an error that says what it waited for."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from playground import Playground
from playground.errors import PlaygroundError, RequestError, WaitTimeout
from playground.handles import Invocation
from playground.runtime import host
from tests.local.conftest import SIGNUP, eventually
from tests.local.test_doors import keeper, server

pytestmark = pytest.mark.local

GREETER = """
import restate
greeter = restate.Service("Greeter")

@greeter.handler()
async def greet(ctx: restate.Context, name: str) -> str:
    return f"Hello {name}"
"""


@pytest.fixture(scope="module")
def pg() -> Iterator[Playground]:
    with Playground.open() as playground:
        playground.deploy(name="signup", source=SIGNUP)
        playground.call("User/ada/initialize", {"username": "ada"})
        yield playground


@pytest.fixture(scope="module")
def waiting(pg: Playground) -> Invocation:
    return pg.send("Signup/signup", {"username": "waiting"}).wait_for(status="suspended")


@contextmanager
def stopped(process: psutil.Process) -> Iterator[None]:
    process.suspend()
    # A thread of it may be about to answer: the signal is delivered to each in its turn.
    tasks = Path(f"/proc/{process.pid}/task")
    eventually(lambda: all(" T " in (task / "stat").read_text() for task in tasks.iterdir()))
    try:
        yield
    finally:
        process.resume()


def within(seconds: float, call: Callable[[], object]) -> BaseException | None:
    """What a call raises; fail if it has not ended in time."""
    raised: list[BaseException | None] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)
        else:
            raised.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert raised, f"it hangs: still not back after {seconds} s"
    return raised[0]


CALLS: dict[str, Callable[[Playground, Invocation], Any]] = {
    "call": lambda pg, inv: pg.call("User/ada/get", timeout=1),
    "send": lambda pg, inv: pg.send("User/ada/get", timeout=1),
    "result": lambda pg, inv: inv.result(timeout=1),
    "deploy": lambda pg, inv: pg.deploy(name=f"greeter{time.time_ns()}", source=GREETER, timeout=1),
    "state": lambda pg, inv: pg.state("User", "ada"),
    "set_state": lambda pg, inv: pg.set_state("User", "ada", {"a": 1}, timeout=1),
    "queue": lambda pg, inv: pg.queue("User", "ada"),
    "revisions": lambda pg, inv: pg.revisions,
    "journal": lambda pg, inv: inv.journal,
    "resolve": lambda pg, inv: pg.resolve(inv.awakeables[0]),
    "reject": lambda pg, inv: pg.reject(inv.awakeables[0], "no"),
    "cancel": lambda pg, inv: inv.cancel(),
    "kill": lambda pg, inv: inv.kill(),
    "pause": lambda pg, inv: inv.pause(),
    "resume": lambda pg, inv: inv.resume(),
    "restart_as_new": lambda pg, inv: inv.restart_as_new(),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_call_outlasts_a_server_that_is_stopped(
    pg: Playground, waiting: Invocation, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "PATIENCE", 1.0)
    with stopped(server(pg)):
        error = within(15, lambda: CALLS[name](pg, waiting))
        assert isinstance(error, WaitTimeout | RequestError), error
        assert "1 s" in str(error)
        assert "The Restate server is stopped (SIGSTOP)" in str(error)
        assert "the Restate server is stopped (SIGSTOP)" in repr(pg)
    eventually(lambda: "ready" in repr(pg))
    assert pg.call("User/ben/get") is None


@pytest.mark.parametrize("name", ["kill_pod", "kill_server"])
def test_no_kill_outlasts_a_keeper_that_is_stopped(pg: Playground, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "PATIENCE", 1.0)
    pg.call("User/ada/get")
    with stopped(keeper(pg)):
        error = within(15, lambda: pg.kill_pod("signup") if name == "kill_pod" else pg.kill_server())
        assert isinstance(error, WaitTimeout | RequestError), error
        assert "keeper is stopped" in str(error)
    assert pg.call("User/ben/get", timeout=30) is None


def test_closing_ends_although_everything_is_stopped() -> None:
    pg = Playground.open()
    processes = [keeper(pg), *keeper(pg).children(recursive=True)]
    for process in processes:
        process.suspend()
    assert within(40, pg.close) is None
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert not alive


def test_what_ended_at_its_deadline_harms_nothing_that_comes_later(pg: Playground) -> None:
    with stopped(server(pg)):
        for _ in range(5):
            with pytest.raises(WaitTimeout):
                pg.call("User/ada/get", timeout=0.3)
    assert pg.call("User/ada/get") == pg.state("User", "ada")["user"]


class Assassin(threading.Thread):
    """Kills a playground's server as often as it sees one."""

    def __init__(self, pg: Playground) -> None:
        super().__init__(daemon=True)
        self._keeper, self._end, self.kills = keeper(pg), threading.Event(), 0

    def run(self) -> None:
        seen: set[int] = set()
        while not self._end.is_set() and self._keeper.is_running():
            try:
                children = self._keeper.children()
            except psutil.NoSuchProcess:
                return
            for child in children:
                try:
                    if child.pid not in seen and child.name() == "restate-server":
                        child.kill()
                        seen.add(child.pid)
                        self.kills += 1
                except psutil.NoSuchProcess:
                    continue
            time.sleep(0.002)

    def __enter__(self) -> Assassin:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.join()


def test_a_server_that_is_killed_while_it_comes_back_comes_back() -> None:
    with Playground.open() as pg:
        pg.deploy(name="signup", source=SIGNUP)
        invocation = pg.send("Signup/signup", {"username": "ada", "takes": 0.5})
        with Assassin(pg) as assassin:
            eventually(lambda: assassin.kills >= 7, timeout=30)
            assert "the Restate server is coming back (killed" in repr(pg)
            began = time.monotonic()
            with pytest.raises(WaitTimeout) as raised:
                pg.call("User/ada/get", timeout=2)
            assert time.monotonic() - began >= 2, "it ended before its deadline"
            assert "The Restate server is coming back (killed" in raised.value.why
        eventually(lambda: "ready" in repr(pg), timeout=30)
        invocation.wait_for(status="suspended")
        pg.resolve(invocation.awakeables[0])
        assert invocation.result() == "The new user ada is signed up and activated"
        pg.kill_server()
        assert pg.call("User/ada/get")["username"] == "ada"
    assert repr(pg) == "Playground, closed"


def test_a_playground_can_be_closed_while_its_server_is_down() -> None:
    pg = Playground.open()
    with Assassin(pg) as assassin:
        eventually(lambda: assassin.kills >= 3, timeout=30)
        assert within(20, pg.close) is None
    assert repr(pg) == "Playground, closed"


def test_a_disk_that_runs_full_is_said_to_be_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    mounted = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=160m", "tmpfs", disk], capture_output=True)
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        with Playground.open(data_dir=disk / "data") as pg:
            pg.deploy(name="signup", source=SIGNUP)
            errors: list[PlaygroundError] = []

            def fails() -> bool:
                # What a full disk is told must need room, so no compression helps; and what the server gives back
                # meanwhile, a log that it needs no more, is taken from it again.
                fill(disk / "filler")
                try:
                    pg.call(f"User/u{time.time_ns()}/initialize", {"username": secrets.token_hex(250_000)}, timeout=3)
                except PlaygroundError as error:
                    errors.append(error)
                return bool(errors)

            eventually(fails, timeout=60)
            assert "is full" in str(errors[0])
            assert str(disk) in str(errors[0])
            assert "is full" in repr(pg)
            (disk / "filler").unlink()
            eventually(lambda: "ready" in repr(pg), timeout=30)
            assert pg.call("User/ada/initialize", {"username": "ada"}) is None
    finally:
        subprocess.run(["umount", disk], check=True)


def fill(path: Path) -> None:
    with path.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def test_a_signal_to_the_server_alone_is_no_deadline_missed(pg: Playground) -> None:
    killed = server(pg)
    killed.kill()
    killed.wait(10)  # a request that is on its way while it dies rightly fails
    assert pg.call("User/ben/get", timeout=30) is None
