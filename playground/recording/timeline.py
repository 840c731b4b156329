"""The timeline: what a recording adds up to, to be read by everybody. Only the fold writes it (see `fold`)."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from playground.recording.changes import Changes
from playground.recording.trace import Attempt, Effect, Pod, Trace


@dataclass(slots=True)
class Queue:
    """A key's lock: the invocation that holds it, and those that wait, in order."""

    holder: str = ""
    waiting: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Revision:
    """A deployed revision: its Restate deployment, its source file, and what it offers."""

    name: str
    service: str
    deployment: str
    services: list[dict[str, Any]]
    source: str = ""


class Timeline:
    """What a recording adds up to.

    Attributes:
        invocations: traces by invocation id, in the order they were first seen.
        pods: pods by name, in the order they started.
        revisions: deployed revisions by name, in order.
        states: state of each object read so far: (service, key) -> {name: value as text}.
        queues: queue of each object read so far: (service, key) -> Queue.
        effects: what reached the outside world, in order, repeated and refused requests included.
        forgotten: number of the latest effect that was cleared from the ledger.
        faults: how each kind of effect misbehaves in the outside world that was ever told to: kind -> {fault: value}.
        server: phase of the Restate server: starting, ready, gone.
        server_starts: how often it has become ready.
        attempts: every attempt by (pod, its number on it); `open` those that run.
        changes: what each event touched, in order, so that a view can ask what is new since a position:
            ("trace", invocation), ("attempt", invocation, number), ("entry", invocation, row) (the entry
            or any mark of it), ("pod", name), ("effect", position in effects), ("state", service, key),
            ("queue", service, key), ("revision", name).
        dropped: what a recording over its limit has let go of, by name (see `dropping`).
        cut_line: the line of its file in which a loaded recording is cut off; 0 if it is whole.
        refusals: how often somebody said what is no event, or not theirs to say; `refused` has the latest.
        unread: events whose fold failed, which is a fault of ours.
        began_at: time of the first event.
        latest_at: the latest time any event has.
    """

    invocations: Mapping[str, Trace]
    pods: Mapping[str, Pod]
    revisions: Mapping[str, Revision]
    states: Mapping[tuple[str, str], Mapping[str, str]]
    queues: Mapping[tuple[str, str], Queue]
    effects: Sequence[Effect]
    forgotten: int
    faults: Mapping[str, Mapping[str, Any]]
    server: str
    server_starts: int
    attempts: Mapping[tuple[str, int], Attempt]
    open: Mapping[tuple[str, int], Attempt]
    changes: Changes
    dropped: Counter[str]
    cut_line: int
    refusals: int
    refused: Sequence[str]
    unread: Sequence[str]
    began_at: float | None
    latest_at: float

    def without_a_pod(self) -> dict[str, Pod]:
        """Of the revisions whose pod could not be started, and is tried for again: that pod, by service."""
        latest = {pod.service: pod for pod in self.pods.values()}
        deployed = {revision.service: revision.name for revision in self.revisions.values()}
        return {
            service: pod
            for service, pod in latest.items()
            if pod.phase == "failed" and deployed.get(service) == pod.revision
        }

    def roles(self, root: str) -> dict[str, str]:
        """An invocation and all it has called, directly or not, callers first: invocation id -> role.

        A role is "0" for the root, "0.1" for the callee of its command 1, and so on: it is the same in
        every run that goes the same way.
        """
        found = {root: "0"} if root in self.invocations else {}
        for caller in (ahead := list(found)):
            for entry in self.invocations[caller].entries:
                if entry.callee in self.invocations and entry.callee not in found:
                    found[entry.callee] = f"{found[caller]}.{entry.row[1]}"
                    ahead.append(entry.callee)
        return found

    def family(self, root: str) -> list[Trace]:
        """An invocation and all it has called, directly or not, callers first."""
        return [self.invocations[invocation] for invocation in self.roles(root)]


def awakeable_id(raw_invocation_id: str, signal: int) -> str:
    """The id under which an awakeable is completed at the ingress, e.g. `sign_1…`.

    Args:
        raw_invocation_id: the invocation's id bytes, hexadecimal, as Start frames carry it.
        signal: the awakeable's signal number, 17 or more.
    """
    raw = bytes.fromhex(raw_invocation_id) + signal.to_bytes(4, "big")
    return "sign_1" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def parse_awakeable(text: str) -> tuple[str, int]:
    """The raw invocation id and the signal number in an awakeable's id; ("", 0) if it is none."""
    encoded = text.removeprefix("sign_1")
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return "", 0
    known = encoded != text and len(raw) > 4
    return (raw[:-4].hex(), int.from_bytes(raw[-4:], "big")) if known else ("", 0)
