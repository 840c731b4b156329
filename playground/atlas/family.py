"""Which invocations belong to a run: the root, all it has called, and all it has sent on their way.

A caller's pod tells the id of a callee when it arrives. After a one-way send that may be never: the handler has
ended by then. But Restate has it in the caller's journal, and knows of every invocation who has invoked it. So
whenever a pod asks for the plan of an invocation that nobody has heard of, Restate is asked whose it is; and a run
is not over before the journals of all senders in it have been read.

Two kinds of invocations are not waited for:
* those that are sent with a delay of more than `LATER` seconds: they are *scheduled*, and a sweep ends before them;
* those that nobody in Restate has invoked, and that we have not sent: a handler's own HTTP client has called the
  ingress. They are *strangers*. Nothing of such a call is in the caller's journal, so a retry makes it again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from playground.atlas.fresh import plain
from playground.core.text import duration
from playground.errors import PlaygroundError
from playground.recording import Entry, Event, Trace
from playground.recording.kinds import PlanUnknown
from playground.runtime.runtime import Runtime

LATER = 5.0
"""Seconds of delay from which on a send is scheduled for after the run."""
HEARD_WITHIN = 2.0
"""Seconds until a pod that has done something is heard, however busy the machine is."""
SENT_WITHIN = 0.1
"""Seconds until the recording has what we have sent ourselves."""


@dataclass(frozen=True, slots=True)
class Family:
    """A run's invocations at one moment.

    Attributes:
        roles: invocation id -> role, callers first. A role is "0" for the root, "0.1" for the callee of its
            command 1, and so on: it is the same in every run that goes the same way.
        scheduled: what was sent for later, in words.
        loose: invocations that have sent something on its way, and have ended before they heard of its id.
    """

    roles: dict[str, str]
    scheduled: list[str]
    loose: list[str]


class Families:
    """Follows who has invoked whom in a lab.

    Args:
        playground: the lab's.
    """

    def __init__(self, playground: Runtime) -> None:
        self._playground = playground
        self._read: set[str] = set()  # invocations whose journal was read when they were done
        self._orphans: set[str] = set()  # invoked by no invocation
        self._seen = 0
        playground.recording.listen(self._look)

    def of(self, root: str) -> Family:
        """An invocation and all it has caused so far."""
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
        """Invocations that nobody in Restate has invoked and we have not sent, with a run's token in them."""
        with self._playground.recording.lock:
            invocations = self._playground.recording.timeline.invocations
            found = [invocations[orphan] for orphan in sorted(self._orphans.copy()) if orphan in invocations]
            return [trace for trace in found if trace.sent_at is None and token in _said(trace)]

    def hear(self) -> None:
        """Wait until the recording knows of all that a client has invoked so far, and with what.

        A handler's own HTTP client is a client, too. Its call may be over before the pod that served it was heard,
        for each pod is heard on its own. Restate knows of it from the moment it has answered the client.
        """
        made = self._playground.run(self._playground.admin.from_ingress())

        def heard() -> bool:
            invocations = self._playground.recording.timeline.invocations
            return all(invocation in invocations and _introduced(invocations[invocation]) for invocation in made)

        self._playground.wait_until(heard, HEARD_WITHIN)

    def ask(self, token: str) -> None:
        """Ask Restate whose the invocations are that have a run's token in them, if nobody has told yet."""
        with self._playground.recording.lock:
            traces = self._playground.recording.timeline.invocations.values()
            unsure = [t.id for t in traces if not t.parent and t.sent_at is None and token in _said(t)]
        for invocation in unsure:
            if invocation not in self._orphans:
                self._playground.run(self._trace_back(invocation))

    def read(self, invocation: str) -> None:
        """Have the recording hold what an invocation has called and sent, by the word of its journal.

        Its pod may say that it is done before Restate has all of the journal; then it stays loose.
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
            # Its pod may have told nothing else yet: it asks before it begins.
            known = self._playground.recording.timeline.invocations.get(invocation)
            if known is None or known.sent_at is None:
                await asyncio.to_thread(self._playground.ledger.plan_foreign, invocation)
        except (PlaygroundError, ValueError):
            pass  # the server was killed, or has forgotten it; the pod asks again at the next attempt

    async def _link(self, caller: str) -> None:
        """Record, and tell the plans, what an invocation has called and sent, as far as its journal has it."""
        playground = self._playground
        for entry, callee, target in await playground.admin.callees(caller):
            with playground.recording.lock:
                trace = playground.recording.timeline.invocations.get(caller)
                row = trace.rows.get(("entry", entry)) if trace else None
            if row is None or row.callee != callee:
                told = {"invocation": callee, "caller": caller, "entry": entry, "target": target}
                playground.recording.append(Event.now("invocation.called", **told))
            await asyncio.to_thread(
                playground.ledger.plan_callee, {"invocation": caller, "entry": entry, "callee": callee}
            )


def _delay(trace: Trace, entry: Entry) -> float:
    """Seconds between a one-way send and the start that it asks for."""
    if entry.until is None:
        return 0.0
    sent = [mark.at for attempt in trace.attempts if (mark := attempt.marks.get(entry.row)) and mark.how == "executed"]
    return float(round(entry.until - max(sent, default=entry.until)))


def _introduced(trace: Trace) -> bool:
    """Whether it is known what an invocation was given, as far as a pod can have told."""
    return trace.sent_at is not None or bool(trace.entries) or trace.status not in ("ready", "running", "completed")


def _said(trace: Trace) -> str:
    """Where a run's token may stand: the key, and the request."""
    given = next((entry.value for entry in trace.entries if entry.type == "Input"), None)
    return f"{trace.target} {given or ''}"
