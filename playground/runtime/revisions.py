"""The deployed revisions, and the invocations still pinned to each. Once the last of those ends, it is drained."""

from __future__ import annotations

from dataclasses import dataclass, field

from playground.errors import RequestError
from playground.recording import Timeline, Trace


@dataclass(frozen=True, slots=True)
class RevisionInUse:
    """A revision, and what still needs it.

    Attributes:
        name: e.g. "signup-00001".
        service: the service's name.
        newest: whether new requests go to it.
        unfinished: ids of the unfinished invocations pinned to it.
    """

    name: str
    service: str
    newest: bool
    unfinished: list[str] = field(default_factory=list)

    @property
    def drained(self) -> bool:
        """Whether nothing needs it any longer."""
        return not self.newest and not self.unfinished


def in_use(timeline: Timeline) -> list[RevisionInUse]:
    """The revisions of a timeline, each with the unfinished invocations pinned to it."""
    pinned: dict[str, list[str]] = {}
    for trace in timeline.invocations.values():
        if not trace.done and trace.deployment:
            pinned.setdefault(trace.deployment, []).append(trace.id)
    newest = {each.service: each.name for each in timeline.revisions.values()}
    return [
        RevisionInUse(each.name, each.service, newest[each.service] == each.name, pinned.get(each.deployment, []))
        for each in timeline.revisions.values()
    ]


def deployment_of(timeline: Timeline, revision: str) -> str:
    """The id of a revision's deployment in Restate; "latest" stays "latest".

    Raises:
        RequestError: there is no such revision.
    """
    if revision == "latest":
        return revision
    known = timeline.revisions.get(revision)
    if known is None:
        raise RequestError(
            f"There is no revision {revision!r}.",
            f"Deployed are: {', '.join(timeline.revisions) or 'none'}.",
            'pg.revisions lists them; "latest" is the newest.',
        )
    return known.deployment


def last_kept(trace: Trace, from_entry: str | int) -> int:
    """The index in the server's journal of the last entry before a given one.

    Args:
        trace: the invocation, with its journal as it was last read.
        from_entry: the given entry: a name, as for `Invocation.wait_for`, or its number in the lens.

    Raises:
        RequestError: there is no such entry, or the handler did not ask for it.
    """
    commands = [int(entry["index"]) for entry in trace.journal if str(entry["type"]).startswith("Command: ")]
    if isinstance(from_entry, str):
        entry = trace.entry(from_entry)
        number = entry.row[1] if entry is not None and entry.row[0] == "entry" else None
    else:
        number = from_entry
    if not isinstance(number, int) or not 0 <= number < len(commands):
        named = ", ".join(str(entry) for entry in trace.entries if entry.row[0] == "entry")
        raise RequestError(
            f"{trace.target} cannot be restarted from {from_entry!r}.",
            f"Its journal has: {named or 'nothing'}.",
            "Name one of those entries, or give its number.",
        )
    return max(0, commands[number] - 1)
