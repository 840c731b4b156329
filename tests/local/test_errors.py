"""Mistakes a learner can make: each says what, why and the fix, and the playground still works after it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from playground import Playground
from playground.errors import (
    DeployError,
    InvocationFailed,
    PlaygroundClosed,
    PlaygroundError,
    PodNotFound,
    RequestError,
    SetupError,
    StartError,
    WaitTimeout,
)
from tests.local.conftest import SIGNUP

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def shared() -> Iterator[Playground]:
    """One playground for all mistakes: after each it must still work for the next."""
    with Playground.open() as pg:
        pg.deploy(name="signup", source=SIGNUP)
        yield pg


@pytest.fixture
def pg(shared: Playground) -> Iterator[Playground]:
    yield shared
    assert shared.call("User/nobody/get") is None, "the playground must still work"
    assert shared.deploy(name="signup", source=SIGNUP).revision == shared.services["signup"].revision


def check(error: PlaygroundError, *, what: str, why: str = "", fix: str = "") -> None:
    assert what in error.what
    assert why in error.why
    assert fix in error.fix
    assert error.fix, "every error says what to do"
    shown = error._render_traceback_()
    assert not any("Traceback (most" in line for line in shown[:1])


@pytest.mark.parametrize(
    ("target", "body", "expected"),
    [
        ("Sinup/signup", {}, ("no service 'Sinup'", "Deployed are: User, Signup", "mean 'Signup'")),
        ("Signup/sign", {}, ("no handler 'sign'", "Its handlers are: signup", "mean 'signup'")),
        (
            "User/get",
            None,
            ("not a target", "virtual object: it is addressed as User/<key>/<handler>", "User/some-key/"),
        ),
        ("Signup/ada/signup", {}, ("not a target", "Signup/<handler>", "Signup/signup")),
        ("User//get", None, ("not a target", "User/<key>/<handler>", "User/some-key/get")),
        ("", {}, ("no service ''", "Deployed are", "Deploy it first")),
    ],
)
def test_a_wrong_target(pg: Playground, target: str, body: Any, expected: tuple[str, str, str]) -> None:
    with pytest.raises(RequestError) as raised:
        pg.send(target, body)
    check(raised.value, what=expected[0], why=expected[1], fix=expected[2])


def test_a_body_json_cannot_say(pg: Playground) -> None:
    with pytest.raises(RequestError) as raised:
        pg.send("Signup/signup", {"username": {1, 2}})
    check(raised.value, what="cannot be sent", why="not JSON serializable", fix="Send dicts")


def test_a_body_of_the_wrong_type(pg: Playground) -> None:
    with pytest.raises(RequestError) as raised:
        pg.send("Signup/signup", ["ada"])
    check(raised.value, what="is not of type 'object'", why="JSON object", fix="Correct the body")


def test_a_body_where_none_is_taken_and_none_where_one_is(pg: Playground) -> None:
    with pytest.raises(RequestError) as raised:
        pg.send("User/ada/get", {})
    check(raised.value, what="takes no body", fix="pg.send('User/ada/get')")
    with pytest.raises(RequestError) as raised:
        pg.send("Signup/signup")
    check(raised.value, what="takes a body", fix="pg.send('Signup/signup', {...})")


BROKEN = {
    "syntax": ("import restate\nthis is no Python\n", "invalid syntax (line 2)", "this is no Python", "deploy again"),
    "raises": ("import restate\nx = {}['missing']\n", "KeyError: 'missing'", "line 2", "deploy again"),
    "imports": ("import nowhere\n", "No module named 'nowhere'", "line 1", "deploy again"),
    "exits": ("import sys\nsys.exit(3)\n", "SystemExit: 3", "line 2", "deploy again"),
    "nothing": ("x = 1\n", "defines no restate.Service", "top level", "restate.Service("),
    "no handlers": ('import restate\ns = restate.Service("S")\n', "has no handlers", "", "@greeter.handler()"),
    "twice": (
        'import restate\na = restate.Service("A")\n@a.handler()\nasync def f(ctx): ...\n'
        'b = restate.Service("A")\n@b.handler()\nasync def g(ctx): ...\n',
        "two services named 'A'",
        "by name",
        "Rename",
    ),
    "not an app": ("def app(scope, receive, send): ...\n", "was not deployed", "", ""),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_source_that_cannot_be_served(pg: Playground, kind: str) -> None:
    source, what, why, fix = BROKEN[kind]
    before = pg.services["signup"].revision
    with pytest.raises(DeployError) as raised:
        pg.deploy(name="signup", source=source)
    assert what in raised.value.what
    assert why in raised.value.why
    assert fix in raised.value.fix
    assert pg.services["signup"].revision == before, "what was deployed still is"


def test_a_name_that_cannot_be_used(pg: Playground) -> None:
    with pytest.raises(DeployError) as raised:
        pg.deploy(name="My Service!", source=SIGNUP)
    check(raised.value, what="'My Service!' cannot name", why="lower-case", fix="my-service")


def test_a_file_that_is_not_there(pg: Playground) -> None:
    with pytest.raises(DeployError) as raised:
        pg.deploy("nowhere.py", name="signup")
    check(raised.value, what="nowhere.py cannot be read", why="No such file", fix="exists")


def test_a_service_name_that_another_deployment_has(pg: Playground) -> None:
    with pytest.raises(DeployError) as raised:
        pg.deploy(name="other", source=SIGNUP)
    check(raised.value, what="'signup' already has", why="by its name", fix="Rename it")
    assert "other" not in pg.services


def test_taking_away_a_handler_that_is_in_use() -> None:
    with Playground.open() as pg:
        pg.deploy(name="signup", source=SIGNUP)
        waiting = pg.send("Signup/signup", {"username": "ada"}).wait_for(status="suspended")
        without = SIGNUP.replace("@signup_service.handler()", '@signup_service.handler("other")')
        with pytest.raises(DeployError) as raised:
            pg.deploy(name="signup", source=without)
        check(raised.value, what="no longer has Signup/signup", why=waiting.id, fix="breaking=True")
        pg.deploy(name="signup", source=without, breaking=True)
        pg.resolve(waiting.awakeables[0])  # it is pinned to the revision it began on
        assert "ada" in waiting.result()
        assert {attempt.pod.rsplit("-", 1)[0] for attempt in waiting.attempts} == {"signup-00001"}


def test_changing_what_a_service_is(pg: Playground) -> None:
    pg.deploy(name="thing", source='import restate\ns = restate.Service("T")\n@s.handler()\nasync def f(ctx): ...\n')
    changed = 'import restate\ns = restate.VirtualObject("T")\n@s.handler()\nasync def f(ctx): ...\n'
    with pytest.raises(DeployError) as raised:
        pg.deploy(name="thing", source=changed)
    check(raised.value, what="Restate did not accept it", why="T", fix="breaking=True")
    assert pg.deploy(name="thing", source=changed, breaking=True).services[0]["type"] == "VIRTUAL_OBJECT"


def test_a_result_that_does_not_come(pg: Playground) -> None:
    invocation = pg.send("Signup/signup", {"username": "slow"}).wait_for(status="suspended")
    with pytest.raises(WaitTimeout) as raised:
        invocation.result(timeout=0.2)
    check(
        raised.value, what="within 0.2 s", why="waiting for: Awakeable", fix=f"pg.resolve('{invocation.awakeables[0]}'"
    )
    pg.resolve(invocation.awakeables[0])
    assert "slow" in invocation.result()


def test_waiting_for_what_does_not_happen(pg: Playground) -> None:
    invocation = pg.send("User/ben/get")
    with pytest.raises(WaitTimeout) as raised:
        invocation.wait_for(entry="send email", timeout=0.3)
    assert "did not reach the entry 'send email'" in raised.value.what


def test_a_terminal_error(pg: Playground) -> None:
    pg.call("User/twice/initialize", {"username": "twice"})
    with pytest.raises(InvocationFailed) as raised:
        pg.call("User/twice/initialize", {"username": "twice"})
    assert raised.value.message == "the user was already initialized"
    assert "not retried" in raised.value.why


def test_a_handler_that_keeps_failing_says_so(pg: Playground) -> None:
    source = (
        'import restate\ns = restate.Service("Bad")\n@s.handler()\nasync def f(ctx: restate.Context) -> str:\n'
        '    raise ValueError("a bug")\n'
    )
    pg.deploy(name="bad", source=source)
    invocation = pg.send("Bad/f")
    with pytest.raises(WaitTimeout) as raised:
        invocation.result(timeout=1.5)
    assert "a bug" in raised.value.why
    assert {attempt.outcome for attempt in invocation.attempts[:2]} == {"failed"}
    invocation.kill()
    with pytest.raises(InvocationFailed):
        invocation.result()


def test_completing_what_is_no_awakeable(pg: Playground) -> None:
    with pytest.raises(RequestError) as raised:
        pg.resolve("sign_1nonsense/../x", "value")
    check(raised.value, what="cannot be completed", why="bad awakeable id", fix="inv.awakeables")


def test_killing_a_pod_that_is_not_there(pg: Playground) -> None:
    with pytest.raises(PodNotFound) as raised:
        pg.kill_pod("nobody")
    check(raised.value, what="no pod 'nobody'", why="Pods now", fix="Send a request first")


def test_the_state_of_what_has_none(pg: Playground) -> None:
    with pytest.raises(RequestError) as raised:
        pg.state("Signup", "ada")
    check(raised.value, what="no virtual object or workflow 'Signup'", fix="User")


def test_cancelling_what_is_completed(pg: Playground) -> None:
    invocation = pg.send("User/ben/get")
    invocation.result()
    with pytest.raises(RequestError) as raised:
        invocation.kill()
    assert "already completed" in raised.value.why


def test_using_a_closed_playground() -> None:
    pg = Playground.open()
    pg.close()
    pg.close()
    with pytest.raises(PlaygroundClosed) as raised:
        pg.deploy(name="signup", source=SIGNUP)
    check(raised.value, what="closed", fix="Playground.open()")
    assert repr(pg) == "Playground, closed"


def test_a_data_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StartError) as raised:
        Playground.open(data_dir=tmp_path / "file" / "data")
    check(raised.value, what="cannot be used", why="Not a directory", fix="data_dir=")


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    mounted = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True)
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        with pytest.raises(StartError) as raised:
            Playground.open(data_dir=disk)
        check(raised.value, what="is full", why="MB are free", fix="data_dir=")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_two_playgrounds_on_one_data_directory(tmp_path: Path) -> None:
    with Playground.open(data_dir=tmp_path), pytest.raises(StartError) as raised:
        Playground.open(data_dir=tmp_path)
    check(raised.value, what="in use by another playground", fix="data_dir=")


def test_a_server_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLAYGROUND_RESTATE_SERVER", str(tmp_path / "nowhere"))
    with pytest.raises(SetupError) as raised:
        Playground.open()
    assert "PLAYGROUND_RESTATE_SERVER" in str(raised.value)
    assert raised.value.fix


def test_an_unknown_backend() -> None:
    with pytest.raises(StartError) as raised:
        Playground.open("docker")
    check(raised.value, what="no backend 'docker'", fix='backend="local"')


def test_pods_that_do_not_go_are_named_with_their_work(pg: Playground) -> None:
    pg.deploy(name="busy", source=BUSY)
    invocation = pg.send("Busy/work").wait_for(entry="work")
    with pytest.raises(WaitTimeout, match=r"pod\(s\) after 0.1 s, not 0") as error:
        pg.wait_for(pods=0, timeout=0.1)
    assert f"{invocation.attempts[0].pod} is ready, with Busy/work" in error.value.why
    invocation.result()


BUSY = """
import asyncio
import restate

busy = restate.Service("Busy")

@busy.handler()
async def work(ctx: restate.Context) -> None:
    await ctx.run_typed("work", asyncio.sleep, delay=1.0)
"""


def test_what_cannot_come_any_more_is_not_waited_for(pg: Playground) -> None:
    pg.deploy(name="busy", source=BUSY)
    invocation = pg.send("Busy/work")
    assert invocation.result() is None
    began = time.monotonic()
    with pytest.raises(
        WaitTimeout, match=r"did not reach the status 'suspended', and cannot any more: it has completed"
    ):
        invocation.wait_for(status="suspended", timeout=300)
    with pytest.raises(WaitTimeout, match="did not reach the entry 'no such step', and cannot any more"):
        invocation.wait_for(entry="no such step", timeout=300)
    assert time.monotonic() - began < 100
    assert invocation.wait_for(entry="work").wait_for(status="completed") is invocation


def test_a_pod_that_is_nearly_named_is_offered(pg: Playground) -> None:
    pg.deploy(name="busy", source=BUSY)
    invocation = pg.send("Busy/work").wait_for(entry="work")
    with pytest.raises(PodNotFound) as error:
        pg.kill_pod("bus")
    assert error.value.fix == 'pg.kill_pod("busy")'
    invocation.result()


def test_many_invocations_are_a_line_each(pg: Playground) -> None:
    pg.deploy(name="busy", source=BUSY)
    sent = [pg.send("Busy/work", idempotency_key=str(number)) for number in range(3)]
    for invocation in sent:
        invocation.result()
    mine = [line for line in repr(pg.invocations).splitlines() if line.startswith("Busy/work")]
    assert len(mine) >= 3
    assert all(line.split() == ["Busy/work", "completed", "1"] for line in mine)
    assert pg.invocations[-1].id == sent[-1].id
