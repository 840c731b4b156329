"""Each entry names the line of the learner's own code that asked for it, measured while the code runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from playground import Playground, Recording
from playground.errors import InvocationFailed
from playground.handles import Invocation
from tests.local.conftest import eventually

pytestmark = pytest.mark.local

SOURCE = """
import functools
import restate
from datetime import timedelta

lines = restate.VirtualObject("Lines")


async def helper(ctx, n):
    return await ctx.run_typed(f"helper {n}", lambda: n)  # helper


def twice(handler):
    @functools.wraps(handler)
    async def wrapped(ctx, n):
        return await handler(ctx, n)

    return wrapped


@lines.handler()
@twice
async def go(ctx: restate.ObjectContext, n: int) -> int:  # input
    for i in range(2):
        await helper(ctx, i)
    await restate.gather(
        ctx.run_typed("gathered 0", lambda: 0),  # gathered 0
        ctx.sleep(timedelta(milliseconds=1)),  # sleep
    )

    def nested():
        return [ctx.run_typed(f"nested {i}", lambda: i) for i in range(2)]  # nested

    await restate.gather(*nested())
    ctx.set("n", n)  # set
    await ctx.get("n")  # get
    await ctx.object_call(other, key="b", arg=n)  # call
    ctx.object_send(other, key="c", arg=n)  # send
    _, clicked = ctx.awakeable()  # awakeable
    await clicked
    if n == 1:
        raise restate.TerminalError("no")  # raise
    return n


@lines.handler()
async def other(ctx: restate.ObjectContext, n: int) -> int:
    if n == 2:
        raise ValueError("again")  # failure
    return n
"""
MARKED = {line.rpartition("  # ")[2]: number for number, line in enumerate(SOURCE.splitlines(), 1) if "  # " in line}


def stands(invocation: Invocation) -> dict[str, tuple[str, int]]:
    return {str(entry): (entry.file, entry.line) for entry in invocation.trace.entries}


@pytest.fixture(scope="module")
def deployed() -> Iterator[Playground]:
    with Playground.open() as pg:
        pg.deploy(name="lines", source=SOURCE)
        yield pg


def test_every_entry_has_its_line_also_when_it_is_replayed(deployed: Playground) -> None:
    pg = deployed
    invocation = pg.send("Lines/a/go", 0).wait_for(status="suspended")
    pg.resolve(invocation.awakeables[0], None)
    assert invocation.result() == 0
    marked = {
        "Input": "input",
        "Run helper 0": "helper",
        "Run helper 1": "helper",
        "Run gathered 0": "gathered 0",
        "Sleep": "sleep",
        "Run nested 0": "nested",
        "Run nested 1": "nested",
        "SetState n": "set",
        "GetEagerState n": "get",
        "Call Lines/b/other": "call",
        "OneWayCall Lines/c/other": "send",
        "Awakeable": "awakeable",
    }
    wanted = {entry: ("lines.py", MARKED[comment]) for entry, comment in marked.items()}
    assert stands(invocation) == {**wanted, "Output": ("", 0)}
    first, *_, last = invocation.attempts
    assert first is not last
    assert len(last.replayed) > 5
    for entry in last.replayed:
        assert last.asked_at[entry.row] == first.asked_at[entry.row] == (entry.file, entry.line)


def test_a_saved_recording_has_the_lines_and_the_source(
    deployed: Playground, tmp_path_factory: pytest.TempPathFactory
) -> None:
    invocation = deployed.invocations[0]
    loaded = Recording.load(deployed.recording.save(tmp_path_factory.mktemp("saved") / "run.jsonl"))
    again = {str(entry): (entry.file, entry.line) for entry in loaded.invocation(invocation.id).entries}
    assert again == stands(invocation)
    assert loaded.timeline.revisions["lines-00001"].source == SOURCE


def test_a_failure_has_the_line_that_raised_it(deployed: Playground) -> None:
    failing = deployed.send("Lines/d/other", 2)
    eventually(lambda: any(attempt.failed_at for attempt in failing.attempts))
    assert failing.attempts[0].failed_at == ("lines.py", MARKED["failure"])
    failing.kill()

    terminal = deployed.send("Lines/e/go", 1).wait_for(status="suspended")
    deployed.resolve(terminal.awakeables[0], None)
    with pytest.raises(InvocationFailed):
        terminal.result()
    assert stands(terminal)["Output"] == ("lines.py", MARKED["raise"])


def test_a_journal_that_does_not_fit_has_the_line_that_asked_otherwise(deployed: Playground) -> None:
    source = """
import os, restate
moody = restate.Service("Moody")

@moody.handler()
async def go(ctx: restate.Context) -> None:
    if os.environ.setdefault("TURN", "first") == "first":
        os.environ["TURN"] = "second"
        await ctx.run_typed("one", lambda: 1)
    else:
        await ctx.sleep(__import__("datetime").timedelta(1))  # otherwise
    raise ValueError("again")
"""
    deployed.deploy(name="moody", source=source)
    invocation = deployed.send("Moody/go")
    eventually(lambda: any(attempt.mismatch for attempt in invocation.attempts))
    mismatch = next(attempt for attempt in invocation.attempts if attempt.mismatch)
    assert mismatch.failed_at == ("moody.py", 11)
    assert mismatch.asked_at["entry", 1] == ("moody.py", 11)
    assert invocation.attempts[0].asked_at["entry", 1] == ("moody.py", 9)
    invocation.kill()
    assert (
        "\nJournal mismatch at entry 1:"
        "\n  the journal has    Run one  moody.py:9 of moody-00001"
        "\n  the code asks for  Sleep    moody.py:11 of moody-00001"
        "\n  It looks like the environment of the pod: read it in a step"
    ) in repr(invocation)


MOODY = """
import datetime, random, time, uuid
import restate
moody = restate.Service("Moody")
TURNS = []

def turn():
    return {turn}

@moody.handler()
async def go(ctx: restate.Context) -> None:
    when = await ctx.time()
    lucky = ctx.random().random()
    TURN
    await ctx.run_typed(f"step {{name}}", lambda: uuid.uuid4().hex)  # asks
    raise ValueError("again")
"""


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("name = random.random()", "a random number that is not in the journal: use ctx.random()."),
        ("name = uuid.uuid4()", "an id that is not in the journal: use ctx.uuid()."),
        ("name = time.time()", "the time, which is another one in each attempt: use await ctx.time()."),
        ("name = datetime.datetime.now()", "the time, which is another one in each attempt"),
        ("TURNS.append(1); name = len(TURNS)", "a variable outside of the handler, which a new pod does not have"),
    ],
)
def test_what_a_mismatch_looks_like_is_said_with_the_durable_way(deployed: Playground, code: str, cause: str) -> None:
    source = MOODY.format(turn="0").replace("TURN\n", f"{code}\n")
    deployed.deploy(name="moody", source=source, breaking=True)
    invocation = deployed.send("Moody/go")
    eventually(lambda: any(attempt.mismatch for attempt in invocation.attempts))
    said = repr(invocation)
    invocation.kill()
    line = next(n for n, text in enumerate(source.splitlines(), 1) if text.endswith("# asks"))
    revision = deployed.services["moody"].revision
    assert "the journal has    Run step " in said
    assert said.count(f"moody.py:{line} of {revision}") == 2
    assert said.count("Journal mismatch at") == 1, "each reason once, however often it is tried again"
    assert f"It looks like {cause}" in said


def test_a_mismatch_after_a_change_names_both_revisions(deployed: Playground) -> None:
    source = """
import restate
changing = restate.Service("Changing")

@changing.handler()
async def go(ctx: restate.Context) -> None:
    await ctx.run_typed("before", lambda: 1)
    await ctx.awakeable()[1]
"""
    deployed.deploy(name="changing", source=source)
    invocation = deployed.send("Changing/go").wait_for(status="suspended")
    deployed.deploy(name="changing", source=source.replace('"before"', '"after"'))
    invocation.resume("latest")
    eventually(lambda: any(attempt.mismatch for attempt in invocation.attempts))
    said = repr(invocation)
    invocation.kill()
    assert (
        "\nJournal mismatch at entry 1:"
        "\n  the journal has    Run before  changing.py:7 of changing-00001"
        "\n  the code asks for  Run after   changing.py:7 of changing-00002"
        "\n  It looks like changed code: resume it on the revision that wrote the journal, or change"
    ) in said
