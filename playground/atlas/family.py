"""Which invocations belong to a run: the root, everything it has called, and everything it has sent.

A caller's pod reports the id of a callee when Restate tells it. After a one-way send that may never happen, because
the handler has ended by then. But Restate has the id in the caller's journal, and knows who invoked each invocation.
So when a pod asks for the plan of an unknown invocation, we ask Restate who called it; and a run is not over until the
journals of all its senders have been read.

Two kinds of invocations are treated apart:
* Those sent with a delay of more than `LATER` seconds are *scheduled*. A sweep does not wait for them.
* Those that no invocation has called, and that we have not sent, are *strangers*: a handler's own HTTP client has
  called the ingress. Such a call leaves nothing in the caller's journal, so a retry makes it again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from playground.atlas.normalize import plain
from playground.core.text import duration
from playground.errors import PlaygroundError
from playground.recording import Entry, Event, Trace
from playground.recording.kinds import PlanUnknown
from playground.runtime.runtime import Runtime

LATER = 5.0
"""A send with a longer delay, in seconds, counts as scheduled for after the run."""
HEARD_WITHIN = 2.0
"""Seconds within which what a pod has done is recorded, however busy the machine is."""
SENT_WITHIN = 0.1
"""Seconds within which the recording has what we have sent ourselves."""


@dataclass(frozen=True, slots=True)
class Family:
    """A run's invocations at one moment.

    Attributes:
        roles: invocation id -> role, callers first. A role is "0" for the root, "0.1" for the callee of its
            command 1, and so on. It is the same in every run that takes the same path.
        scheduled: what was sent for later, in words.
        loose: invocations that have sent something and ended before they got its id.
    """

    roles: dict[str, str]
    scheduled: list[str]
    loose: list[str]


class Families:
    """Follows who has invoked whom in a lab.

    Args:
        playground: the lab's playground.
    """

    def __init__(self, playground: Runtime) -> None:
        self._playground = playground
        self._read: set[str] = set()  # invocations whose journal was read when they were done
        self._orphans: set[str] = set()  # called by no invocation
        self._seen = 0
        playground.recording.listen(self._look)

    def of(self, root: str) -> Family:
        """An invocation and everything it has caused so far."""
        with self._playground.recording.lock:
            invocations = self._playground.recording.timeline.invocations
            family = Family({root: "0"} if root in invocations else {}, [], [])
            for caller in (ahead := list(family.roles)):
                trace = invocations[caller]
                for entry in trace.entries:
                    sent = entry.type == "OneWayCall"
                    if sent and (delay := _delay(trace, entry)) > LATER:
                        family.scheduled.append(f"{plain(entry.target)}, sent with a delay of {duration(delay)}")
                    elif entry.callee in invocations and entry.callee not in family.roles:
                        family.roles[entry.callee] = f"{family.roles[caller]}.{entry.row[1]}"
                        ahead.append(entry.callee)
                    elif sent and not entry.callee and trace.done and caller not in self._read:
                        family.loose.append(caller)
            return family

    def strangers(self, token: str) -> list[Trace]:
        """The strangers that carry a run's token."""
        with self._playground.recording.lock:
            invocations = self._playground.recording.timeline.invocations
            orphans = [invocations[orphan] for orphan in sorted(self._orphans.copy()) if orphan in invocations]
            return [trace for trace in orphans if trace.sent_at is None and token in _key_and_input(trace)]

    def hear(self) -> None:
        """Wait until the recording has everything that clients have invoked so far, and with what input.

        A handler's own HTTP client is one of them. Its call may be over before we have read the report of the pod
        that served it. Restate knows of it as soon as it has answered the client.
        """
        from_ingress = self._playground.run(self._playground.admin.from_ingress())

        def heard() -> bool:
            invocations = self._playground.recording.timeline.invocations
            return all(each in invocations and _introduced(invocations[each]) for each in from_ingress)

        self._playground.wait_until(heard, HEARD_WITHIN)

    def ask(self, token: str) -> None:
        """Ask Restate who called the invocations that carry a run's token, where that is unknown."""
        with self._playground.recording.lock:
            traces = self._playground.recording.timeline.invocations.values()
            unsure = [t.id for t in traces if not t.parent and t.sent_at is None and token in _key_and_input(t)]
        for invocation in unsure:
            if invocation not in self._orphans:
                self._playground.run(self._trace_back(invocation))

    def read(self, invocation: str) -> None:
        """Record what an invocation has called and sent, according to its journal in Restate.

        If its pod reports the end before Restate has the whole journal, the invocation stays loose.
        """

        async def read() -> bool:
            rows = await self._playground.admin.invocations([invocation])
            await self._link(invocation)
            return not rows or rows[0]["status"] == "completed"

        if self._playground.run(read()):
            self._read.add(invocation)

    # -- asking Restate -------------------------------------------------------------------------------

    def _look(self) -> None:
        recording = self._playground.recording
        new, self._seen = recording.since(self._seen), len(recording)
        for event in new:
            if isinstance(event, PlanUnknown):
                self._playground.start(self._trace_back(event.invocation))

    async def _trace_back(self, invocation: str) -> None:
        try:
            (row,) = await self._playground.admin.invocations([invocation])
            if caller := row.get("invoked_by_id"):
                await self._link(caller)
                return
            self._orphans.add(invocation)
            await asyncio.sleep(SENT_WITHIN)
            # Its pod may have reported nothing else yet: it asks before it begins.
            known = self._playground.recording.timeline.invocations.get(invocation)
            if known is None or known.sent_at is None:
                await asyncio.to_thread(self._playground.ledger.plan_foreign, invocation)
        except (PlaygroundError, ValueError):
            pass  # the server was killed, or has forgotten it; the pod asks again in the next attempt

    async def _link(self, caller: str) -> None:
        """Record what an invocation has called and sent, as far as its journal has it, and tell the ledger's plans."""
        playground = self._playground
        for entry, callee, target in await playground.admin.callees(caller):
            with playground.recording.lock:
                trace = playground.recording.timeline.invocations.get(caller)
                row = trace.rows.get(("entry", entry)) if trace else None
            if row is None or row.callee != callee:
                call = {"invocation": callee, "caller": caller, "entry": entry, "target": target}
                playground.recording.append(Event.now("invocation.called", **call))
            await asyncio.to_thread(
                playground.ledger.plan_callee, {"invocation": caller, "entry": entry, "callee": callee}
            )


def _delay(trace: Trace, entry: Entry) -> float:
    """Seconds between a one-way send and the start it asks for."""
    if entry.until is None:
        return 0.0
    sent = [mark.at for attempt in trace.attempts if (mark := attempt.marks.get(entry.row)) and mark.how == "executed"]
    return float(round(entry.until - max(sent, default=entry.until)))


def _introduced(trace: Trace) -> bool:
    """Whether the input of an invocation is known, or no pod can have reported it yet."""
    return trace.sent_at is not None or bool(trace.entries) or trace.status not in ("ready", "running", "completed")


def _key_and_input(trace: Trace) -> str:
    """Where a run's token may be: in the key, or in the request."""
    given = next((entry.value for entry in trace.entries if entry.type == "Input"), None)
    return f"{trace.target} {given or ''}"
