"""Why code does not fit its journal, told from what was recorded.

Restate replays a handler from the top, and at each command compares what the code asks for with what the journal has.
If they differ, the attempt fails with code 570, and the server can only say the type: "index 1: run vs sleep". The
recording has more: the line that wrote the entry, in an earlier attempt, the line that asked for something else now,
and the source of both revisions. If the revision is the same, something differs that the journal does not know of.
What that is likely to be is read from the handler's source; it is a guess, and is called one.

https://docs.restate.dev/references/errors#rt0016
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from playground.recording.timeline import Timeline
from playground.recording.trace import Attempt, Trace


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a revision's source.

    Attributes:
        revision: e.g. "signup-00001".
        file: its path within the service's folder.
        line: its number, from 1.
    """

    revision: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line} of {self.revision}"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A place at which code did not fit its journal.

    Attributes:
        index: which command of the journal, from 0.
        journal: what the journal has there: "Run send email".
        written: the line that asked for that; None if it was not recorded.
        code: what the code asked for this time: "Sleep"; empty if that was not recorded.
        asked: the line that asked for it.
        cause: what the difference is likely to come from.
        remedy: how to write it so that it is the same in a replay.
    """

    index: int
    journal: str
    written: Place | None
    code: str
    asked: Place | None
    cause: str
    remedy: str

    @property
    def lines(self) -> list[str]:
        """The same for a table: a line each for what the journal has, what the code asks for, and why."""
        wants = self.code or "something else"
        width = max(len(self.journal), len(wants))
        return [
            f"Journal mismatch at entry {self.index}:",
            f"  the journal has    {self.journal:{width}}  {self.written or ''}".rstrip(),
            f"  the code asks for  {wants:{width}}  {self.asked or ''}".rstrip(),
            *([f"  It looks like {self.cause}: {self.remedy}"] if self.cause else []),
        ]

    def __str__(self) -> str:
        has = f"{self.journal}{f' ({self.written})' if self.written else ''}"
        wants = f"{self.code or 'something else'}{f' ({self.asked})' if self.asked else ''}"
        said = f"Journal mismatch at entry {self.index}: the journal has {has}, but the code asks for {wants}."
        return " ".join([said, *([f"It looks like {self.cause}: {self.remedy}"] if self.cause else [])])


CHANGED = (
    "changed code",
    "resume it on the revision that wrote the journal, or change the code only after what it has done so far.",
)
_CALLS: dict[str, tuple[str, str]] = {
    "random": ("a random number that is not in the journal", "use ctx.random()."),
    "secrets": ("a random number that is not in the journal", "use ctx.random()."),
    "uuid": ("an id that is not in the journal", "use ctx.uuid()."),
    "time": ("the time, which is another one in each attempt", "use await ctx.time()."),
    "datetime": ("the time, which is another one in each attempt", "use await ctx.time()."),
    "date": ("the date, which may be another one in each attempt", "use await ctx.time()."),
    "os": ("the environment of the pod", "read it in a step: await ctx.run_typed(...)."),
}
_PURE = {"timedelta", "fromtimestamp", "fromisoformat", "strptime", "isoformat", "path", "sleep", "UUID", "monotonic"}
_SET = ("the order of a set, which is another one in each process", "iterate over sorted(...).")
_MEMORY = (
    "a variable outside of the handler, which a new pod does not have",
    "keep it in the object's state: ctx.set and ctx.get.",
)


_LIKELY = (_CALLS["random"], _CALLS["uuid"], _CALLS["time"], _CALLS["date"], _SET, _MEMORY, _CALLS["os"])
"""The most likely first: an environment that is read says least."""


def explain(timeline: Timeline, trace: Trace, attempt: Attempt) -> Mismatch | None:
    """Explain an attempt that did not fit its journal; None if it did fit, or nothing is known of the place."""
    index = attempt.mismatch_at
    if not attempt.mismatch or index is None:
        return None
    entry = trace.rows.get(("entry", index))
    writer = next((each for each in trace.attempts if each is not attempt and _wrote(each, index)), None)
    written = _place(writer, writer.asked_at.get(("entry", index))) if writer else None
    asked = _place(attempt, attempt.asked_at.get(("entry", index)) or attempt.failed_at)
    if writer is not None and writer.revision != attempt.revision:
        cause, remedy = CHANGED
    else:
        cause, remedy = _guess(timeline, asked or written)
    return Mismatch(index, str(entry or "an entry"), written, attempt.asked_instead, asked, cause, remedy)


def _wrote(attempt: Attempt, index: int) -> bool:
    mark = attempt.marks.get(("entry", index))
    return mark is not None and mark.how in ("executed", "cut off")


def _place(attempt: Attempt, at: tuple[str, int] | None) -> Place | None:
    return Place(attempt.revision, *at) if at is not None else None


def _guess(timeline: Timeline, place: Place | None) -> tuple[str, str]:
    """What makes a handler take another turn, by what stands in it; ("", "") if nothing does."""
    revision = timeline.revisions.get(place.revision) if place is not None else None
    if place is None or revision is None:
        return "", ""
    try:
        module = ast.parse(revision.source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # a loaded recording's source may be anything
        return "", ""
    # The function that asked, then the others: a helper may have been asked what to do.
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    functions.sort(key=lambda each: not each.lineno <= place.line <= (each.end_lineno or each.lineno))
    variables = set(_variables(module))
    stepped = {
        each.id for step in ast.walk(module) if _is_step(step) for each in ast.walk(step) if isinstance(each, ast.Name)
    }
    for function in functions:
        if function.name not in stepped:  # what a step returns is in the journal
            suspects = set(_suspects(function, variables))
            for cause in _LIKELY:
                if cause in suspects:
                    return cause
    return "", ""


def _variables(module: ast.Module) -> Iterator[str]:
    """Names of the module's own variables that can change: lists, dicts, sets, and what is declared global."""
    for node in module.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = getattr(node, "value", None)
        if isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp) or _called(value) in (
            ("", "set"),
            ("", "dict"),
            ("", "list"),
            ("", "defaultdict"),
            ("", "Counter"),
            ("itertools", "count"),
        ):
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def _suspects(function: ast.FunctionDef | ast.AsyncFunctionDef, variables: set[str]) -> Iterator[tuple[str, str]]:
    inside_steps = {id(each) for step in ast.walk(function) if _is_step(step) for each in ast.walk(step)}
    for node in ast.walk(function):
        if id(node) in inside_steps:
            continue  # its result is in the journal
        if isinstance(node, ast.Call | ast.Attribute):
            owner, name = _called(node)
            if owner in _CALLS and name not in _PURE:
                yield _CALLS[owner]
            if not owner and name in ("uuid4", "uuid1", "getenv", "randint", "random", "choice", "shuffle"):
                yield _CALLS["uuid" if "uuid" in name else "os" if name == "getenv" else "random"]
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension) and (
            isinstance(node.iter, ast.Set | ast.SetComp) or _called(node.iter) == ("", "set")
        ):
            yield _SET
        if isinstance(node, ast.Global) or (isinstance(node, ast.Name) and node.id in variables):
            yield _MEMORY


def _is_step(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _called(node)[1] in ("run", "run_typed")


def _called(node: object) -> tuple[str, str]:
    """What is called, or read, by the last two names: `datetime.datetime.now()` is ("datetime", "now")."""
    target = node.func if isinstance(node, ast.Call) else node
    if isinstance(target, ast.Name):
        return "", target.id
    if isinstance(target, ast.Attribute):
        owner = target.value
        named = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else "(...)"
        return named, target.attr
    return "", ""
