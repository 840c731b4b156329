"""The recorder: asks the admin API what only the server knows, and appends what has changed.

Pods tell everything about attempts and entries themselves, at once. What they cannot know is an
invocation that is not on a pod: queued, scheduled, backing off, paused, killed. So while a timeline holds
unfinished invocations, their status is asked for: soon after anything happened, else once a second,
and never so often that the asking takes more than a small part of the server's time. The same goes for
the state and the queue of the keys that somebody watches.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from playground.errors import PlaygroundError
from playground.recording.events import Event
from playground.recording.recording import Recording
from playground.recording.trace import ABORTED, TAKEN_BACK
from playground.restate.admin import Admin
from playground.runtime import keyed

SOON = 0.1
SELDOM = 1.0
SHARE = 20
"""A question that took t seconds is not asked again for SHARE × t."""
MOST = 200
"""Vanished invocations asked for at once."""
SETTLED = 0.5
"""Seconds after which the server has taken in what a pod has said."""
FORGOTTEN = 1.0
"""Seconds the server has not known an unfinished invocation, until it is taken to be gone for good."""


class Recorder:
    """Keeps the status of unfinished invocations up to date. Lives on the engine's loop.

    Args:
        lag: seconds by which what pods say may come later than what the server says of them. So long the
            server's word that an invocation is suspended or done is held back: the pod's own says why.
    """

    def __init__(self, recording: Recording, admin: Admin, *, lag: float = 0.0) -> None:
        self._recording, self._admin, self._lag = recording, admin, lag
        self._loop = asyncio.get_running_loop()
        self._something_happened = asyncio.Event()
        self._told: dict[str, dict[str, Any]] = {}
        self._missed: dict[str, float] = {}
        self._ahead: dict[tuple[str, str], float] = {}
        self._confirmed: set[str] = set()
        self._watched: Counter[tuple[str, str]] = Counter()
        self._stop_listening = recording.listen(self._wake)
        self._task = self._loop.create_task(self._run())

    def close(self) -> None:
        """Stop asking."""
        self._stop_listening()
        self._task.cancel()

    def watch(self, service: str, key: str) -> Callable[[], None]:
        """Keep a key's state and queue recorded as they change; returns what ends that. From any thread."""
        self._watched[service, key] += 1
        self._wake()
        watching = True

        def stop() -> None:
            nonlocal watching
            if watching:
                watching = False
                self._watched[service, key] -= 1

        return stop

    def _wake(self) -> None:
        if not self._something_happened.is_set():
            self._loop.call_soon_threadsafe(self._something_happened.set)

    async def _run(self) -> None:
        rest = SOON
        while True:
            await self._next(rest)
            began = time.monotonic()
            try:
                await self.look()
            except PlaygroundError:
                pass  # asked again in a moment; who needs the answer is told elsewhere
            rest = max(SOON, SHARE * (time.monotonic() - began))

    async def _next(self, rest: float) -> None:
        """Wait until it is time to ask again."""
        await asyncio.sleep(rest)
        limit = SELDOM if self._unfinished() or self._keys() else None
        try:
            async with asyncio.timeout(limit):
                await self._something_happened.wait()
        except TimeoutError:
            pass
        self._something_happened.clear()

    def _unfinished(self) -> list[str]:
        """Invocations that are not done, or done by a pod's word only: Restate may refuse what a pod did."""
        with self._recording.lock:
            traces = self._recording.timeline.invocations.values()
            return [t.id for t in traces if not (t.done and (t.settled or t.id in self._confirmed))]

    def _keys(self) -> list[tuple[str, str]]:
        return [watched for watched, watchers in self._watched.copy().items() if watchers > 0]

    async def look(self) -> None:
        """Ask once, and append what is new.

        Raises:
            RequestError: the server does not answer.
        """
        if open_traces := self._unfinished():
            await self._look_at_invocations(open_traces)
        for service, key in self._keys():
            await keyed.read_state(self._recording, self._admin, service, key)
            await keyed.read_queue(self._recording, self._admin, service, key)

    async def _look_at_invocations(self, open_traces: list[str]) -> None:
        asked_at = time.time()
        rows = await self._admin.unfinished()
        listed = {row["id"] for row in rows}
        absent = {trace: self._status_of(trace) for trace in open_traces if trace not in listed}
        gone = [trace for trace, (status, _) in absent.items() if status != "completed"][:MOST]
        # What a pod calls done, and the server has not among the unfinished, is done.
        self._confirmed |= {
            t for t, (status, at) in absent.items() if status == "completed" and asked_at - at > SETTLED
        }
        rows += await self._admin.invocations(gone)
        events = [event for row in rows if (event := self._changed(row, asked_at))]
        events += self._forgotten(set(gone) - {row["id"] for row in rows}, asked_at)
        if events:
            self._recording.append(*events)

    def _status_of(self, invocation: str) -> tuple[str, float]:
        """What is recorded as its status, and since when."""
        with self._recording.lock:
            trace = self._recording.timeline.invocations.get(invocation)
            return (trace.status, trace.status_at) if trace else ("", 0.0)

    def _forgotten(self, unknown: set[str], asked_at: float) -> list[Event]:
        """Invocations that end before they began, or are purged, leave no row behind: they are just not there."""
        self._missed = {invocation: self._missed.get(invocation, asked_at) for invocation in unknown}
        failure = "Restate does not know it any more: it was cancelled or killed before it began, or purged"
        return [
            Event.of(
                "invocation.status",
                asked_at,
                {"invocation": invocation, "status": "completed", "completion_failure": failure},
            )
            for invocation, since in self._missed.items()
            if asked_at - since >= FORGOTTEN
        ]

    def _contradicted(self, row: dict[str, Any], asked_at: float) -> bool:
        """Whether a pod said something else since: its suspension may be heard of after the pause it led to."""
        status, since = self._status_of(row["id"])
        return status not in ("", row["status"]) and asked_at - since > SETTLED

    def _behind(self, row: dict[str, Any], asked_at: float) -> bool:
        """Whether the server has not yet taken in what the pod has said: that it has suspended, or is done."""
        status, since = self._status_of(row["id"])
        if status == "completed":
            return row["status"] not in (*TAKEN_BACK, "completed")
        return status == "suspended" and row["status"] in ("ready", "running") and asked_at - since <= SETTLED

    async def caught_up(self, invocation: str) -> None:
        """Wait until the pods have told the end of an invocation that has ended, as long as they may take."""
        deadline = time.monotonic() + self._lag
        while not self._told_by_pods(invocation, "completed") and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def _told_by_pods(self, invocation: str, status: str) -> bool:
        with self._recording.lock:
            trace = self._recording.timeline.invocations.get(invocation)
            if trace is None or not trace.attempts:
                return False
            last = trace.attempts[-1]
            if trace.failure is not None and trace.failure[0] == ABORTED and last.outcome != "running":
                return True  # one that is killed ends without a word
            return last.outcome == status and last.ended_at is not None

    def _too_early(self, row: dict[str, Any]) -> bool:
        """Whether the server is ahead of the pods, and they still have time to say it themselves."""
        status = row["status"]
        if status not in ("suspended", "completed") or row.get("completion_failure"):
            return False
        if self._told_by_pods(row["id"], status):
            return False
        since = self._ahead.setdefault((row["id"], status), time.monotonic())
        if time.monotonic() - since < self._lag:
            return True
        del self._ahead[row["id"], status]
        return False

    def _changed(self, row: dict[str, Any], asked_at: float) -> Event | None:
        if self._behind(row, asked_at) or (self._lag and self._too_early(row)):
            self._wake()
            return None
        data = {
            "invocation": row["id"],
            "target": row["target"],
            "status": row["status"],
            "parent": row.get("invoked_by_id"),
            "deployment": row.get("pinned_deployment_id"),
            "retries": row.get("retry_count"),
            "failure": row.get("last_failure"),
            "starts_at": row.get("scheduled_start_at"),
            "completion_failure": row.get("completion_failure"),
        }
        data = {name: value for name, value in data.items() if value is not None}
        if self._told.get(row["id"]) == data and not self._contradicted(row, asked_at):
            return None
        if row["status"] == "completed":
            self._told.pop(row["id"], None)
        else:
            self._told[row["id"]] = data
        return Event.of("invocation.status", asked_at, data)
