"""Exercises that are written: deployed to a real server, sent requests, and told what was observed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from playground import Playground
from playground.errors import DeployError
from playground.lessons.feedback import NotYet
from playground.lessons.progress import read
from playground.lessons.trial import Trial
from playground.lessons.write import Write
from tests.lessons.answers import Wrong

pytestmark = pytest.mark.local

STARTER = """
import restate

counter = restate.VirtualObject("Counter")


@counter.handler()
async def add(ctx: restate.ObjectContext, amount: int) -> int:
    return 0
"""
SOLUTION = STARTER.replace(
    "return 0", 'total = (await ctx.get("total") or 0) + amount\n    ctx.set("total", total)\n    return total'
)


def probe(trial: Trial) -> str:
    key = trial.key()
    results = [trial.call(f"Counter/{key}/add", amount) for amount in (1, 2)]
    if results != [1, 3]:
        raise NotYet(f"add(1), add(2) returned {results}", "[1, 3]", "Is the total kept?")
    return f"add(1), add(2) returned {results}"


COUNT = Write(
    "count",
    "Make add return the total.",
    service="counter",
    starter=STARTER,
    solution=SOLUTION,
    probe=probe,
    hints=["one", "two", "three"],
    because="State outlives the request.",
)
WRONG = [
    Wrong("forgets", '\n    ctx.set("total", total)', "", says="Is the total kept?"),
    Wrong("raises", "amount\n", "amount + nothing\n", says="name 'nothing' is not defined"),
    Wrong("other name", "async def add", "async def plus", says="no handler"),
]


@pytest.fixture
def pg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Playground]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with Playground.open() as playground:
        yield playground


def test_all_outcomes_of_a_written_exercise(pg: Playground) -> None:
    missing = COUNT.check()
    assert (missing.kind, missing.text) == (
        "cannot check",
        "The service 'counter' is not deployed.\nRun the cell with %%service counter.",
    )
    pg.deploy(name="counter", source=STARTER + "\n\n")
    assert COUNT.check().kind == "not attempted"
    assert read() == {}, "nothing was tried, so nothing is remembered"

    for wrong in WRONG:
        pg.deploy(name="counter", source=wrong.source(str(COUNT.right)), breaking=True)
        said = COUNT.check()
        assert said.kind == ("not yet" if wrong.name == "forgets" else "error"), said
        assert wrong.says in said.text, said
    assert read() == {"count": "error"}
    # Restate takes a kill at once, and carries it out a moment later.
    ended = pg.runtime.wait_until(lambda: all(invocation.trace.done for invocation in pg.invocations), 10)
    assert ended, "no retries are left behind"

    pg.deploy(name="counter", source=SOLUTION, breaking=True)
    assert repr(COUNT.check()).splitlines() == [
        "✔ Correct: count",
        "  Observed: add(1), add(2) returned [1, 3]",
        "  State outlives the request.",
    ]
    assert read() == {"count": "correct"}


@pytest.mark.parametrize(
    ("source", "why"),
    [
        pytest.param("", "counter.py defines", id="empty"),
        pytest.param("import restate\n\ndef broken(:\n", "SyntaxError", id="no Python"),
        pytest.param("import no_such_module\n", "no_such_module", id="does not load"),
    ],
)
def test_a_cell_that_was_refused_is_not_judged_by_the_one_before(pg: Playground, source: str, why: str) -> None:
    pg.deploy(name="counter", source=SOLUTION)
    assert COUNT.check().kind == "correct"
    with pytest.raises(DeployError) as refused:
        pg.deploy(name="counter", source=source)
    said = COUNT.check()
    assert said.kind == "error", said
    assert said.text == f"The latest cell with %%service counter was not deployed.\n{refused.value}"
    assert why in said.text

    pg.deploy(name="counter", source=SOLUTION)
    assert COUNT.check().kind == "correct", "what runs is what stands in the cell again"
    assert pg.refused == {}


def test_a_first_cell_that_was_refused(pg: Playground) -> None:
    with pytest.raises(DeployError):
        pg.deploy(name="counter", source="restate")
    assert COUNT.check().text.startswith("The latest cell with %%service counter was not deployed.")


def test_a_playground_that_is_closed_while_a_check_runs(pg: Playground, monkeypatch: pytest.MonkeyPatch) -> None:
    def closing(trial: Trial) -> str:
        trial.pg.close()
        return probe(trial)

    pg.deploy(name="counter", source=SOLUTION)
    monkeypatch.setattr(COUNT, "_probe", closing)
    said = COUNT.check()
    assert (said.kind, said.text.splitlines()[0]) == ("cannot check", "This playground is closed.")


def test_an_interrupted_check_leaves_nothing_behind(pg: Playground, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(trial: Trial) -> str:
        trial.pg.ledger.misbehave("email", down=True)
        trial.send(f"Counter/{trial.key()}/add", 1)
        raise KeyboardInterrupt

    pg.deploy(name="counter", source=SOLUTION.replace("return total", "await ctx.awakeable()[1]"))
    monkeypatch.setattr(COUNT, "_probe", interrupted)
    said = COUNT.check()
    assert repr(said) == "? Cannot check: count\n  It was interrupted. Run the cell again."
    assert pg.runtime.wait_until(lambda: all(invocation.trace.done for invocation in pg.invocations), 10)
    faults = pg.recording.timeline.faults["email"]
    assert not any(faults.values()), "the outside world behaves again"


def test_a_playground_that_is_gone_is_no_wrong_answer(pg: Playground) -> None:
    pg.deploy(name="counter", source=SOLUTION)
    pg.close()
    said = COUNT.check()
    assert said.kind == "cannot check"
    assert said.text.startswith("No playground is open.")
    assert read() == {}


def test_a_request_that_should_succeed_and_ends_with_a_terminal_error(pg: Playground) -> None:
    pg.deploy(name="counter", source=STARTER.replace("return 0", 'raise restate.TerminalError("no more")'))
    said = COUNT.check()
    assert (said.kind, said.text) == ("error", "A request that should succeed ended with a terminal error: no more")


def test_what_restate_does_not_accept_is_said_in_its_words(pg: Playground) -> None:
    """The handler comes to its end; the server drops what it did, and tries again, for ever."""
    source = SOLUTION.replace("handler()", 'handler(kind="shared")').replace("ObjectContext", "ObjectSharedContext")
    pg.deploy(name="counter", source=source)
    said = COUNT.check()
    assert said.kind == "error", said
    assert "Restate does not accept what Counter/" in said.text
    assert "this handler type cannot write state" in said.text
    assert not pg.runtime.run(pg.runtime.admin.unfinished()), "no retries are left behind"
