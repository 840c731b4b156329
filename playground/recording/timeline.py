"""The timeline: what the events of a recording add up to. Everybody reads it; only the fold writes it (see `fold`)."""

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
    """The queue for a key's lock: the invocation that holds it, and those that wait, in order."""

    holder: str = ""
    waiting: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Revision:
    """A deployed revision: its Restate deployment, its source, and the services it offers."""

    name: str
    service: str
    deployment: str
    services: list[dict[str, Any]]
    source: str = ""


class Timeline:
    """What the events of a recording add up to.

    Attributes:
        invocations: traces by invocation id, in the order in which they were first seen.
        pods: pods by name, in the order they started.
        revisions: deployed revisions by name, in order.
        states: the state of each object that was read so far: (service, key) -> {name: value as text}.
        queues: the queue of each object that was read so far: (service, key) -> Queue.
        effects: what reached the outside world, in order, repeated and refused requests included.
        forgotten: number of the latest effect that was cleared from the ledger.
        faults: how each kind of effect misbehaves, of those that were ever made to: kind -> {fault: value}.
        server: phase of the Restate server: starting, ready, gone.
        server_starts: how often it has become ready.
        attempts: all attempts by (pod, number on that pod); `open` has those that are running.
        changes: what each event touched, in order, so that a view can ask what is new since a position:
            ("trace", invocation), ("attempt", invocation, number), ("entry", invocation, row) (the entry
            or any of its marks), ("pod", name), ("effect", position in effects), ("state", service, key),
            ("queue", service, key), ("revision", name).
        dropped: how much a recording over its limit has dropped, by name (see `dropping`).
        cut_line: the line in which the file of a loaded recording breaks off; 0 if the file is complete.
        refusals: how many events were malformed or refused; `refused` has the latest.
        unread: events whose fold failed, which is a bug of ours.
        began_at: time of the first event.
        latest_at: the latest time of any event.
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
        """The pods that could not be started and are being retried, by service."""
        latest = {pod.service: pod for pod in self.pods.values()}
        deployed = {revision.service: revision.name for revision in self.revisions.values()}
        return {
            service: pod
            for service, pod in latest.items()
            if pod.phase == "failed" and deployed.get(service) == pod.revision
        }

    def roles(self, root: str) -> dict[str, str]:
        """An invocation and all it has called, directly or not, callers first: invocation id -> role.

        A role is "0" for the root, "0.1" for the callee of its command 1, and so on. It is the same in every run
        that takes the same path.
        """
        roles = {root: "0"} if root in self.invocations else {}
        for caller in (ahead := list(roles)):
            for entry in self.invocations[caller].entries:
                if entry.callee in self.invocations and entry.callee not in roles:
                    roles[entry.callee] = f"{roles[caller]}.{entry.row[1]}"
                    ahead.append(entry.callee)
        return roles

    def family(self, root: str) -> list[Trace]:
        """An invocation and all it has called, directly or not, callers first."""
        return [self.invocations[invocation] for invocation in self.roles(root)]


def awakeable_id(raw_invocation_id: str, signal: int) -> str:
    """The id with which an awakeable is completed at the ingress, e.g. `sign_1…`.

    Args:
        raw_invocation_id: the bytes of the invocation's id, in hexadecimal, as Start frames carry them.
        signal: the awakeable's signal number, 17 or more.
    """
    raw = bytes.fromhex(raw_invocation_id) + signal.to_bytes(4, "big")
    return "sign_1" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def parse_awakeable(text: str) -> tuple[str, int]:
    """The raw invocation id and the signal number in an awakeable's id; ("", 0) if it is not one."""
    encoded = text.removeprefix("sign_1")
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return "", 0
    known = encoded != text and len(raw) > 4
    return (raw[:-4].hex(), int.from_bytes(raw[-4:], "big")) if known else ("", 0)
