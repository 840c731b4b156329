"""The recorder: asks the admin API what only the server knows, and records what has changed.

Pods report everything about attempts and entries themselves, at once. They know nothing of an invocation that is not
on a pod: queued, scheduled, backing off, paused or killed. So as long as there are unfinished invocations, the recorder
asks for their status: shortly after anything happened, otherwise once a second, and never so often that asking takes
more than a small part of the server's time. It does the same for the state and the queue of watched keys.
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
from playground.runtime import virtual_object

SOON = 0.1
SELDOM = 1.0
SHARE = 20
"""After a question that took t seconds, the next one waits SHARE × t."""
MOST = 200
"""How many invocations that are no longer listed are asked for at once."""
SETTLED = 0.5
"""Seconds within which the server has processed what a pod sent."""
FORGOTTEN = 1.0
"""Seconds for which the server must not know an unfinished invocation before that counts as gone for good."""


class Recorder:
    """Keeps the status of unfinished invocations up to date. Lives on the engine's loop.

    Args:
        lag: seconds by which a pod's own report may come later than the server's. For that long, the server's
            word that an invocation is suspended or done is held back, because the pod's report also says why.
    """

    def __init__(self, recording: Recording, admin: Admin, *, lag: float = 0.0) -> None:
        self._recording, self._admin, self._lag = recording, admin, lag
        self._loop = asyncio.get_running_loop()
        self._something_happened = asyncio.Event()
        self._reported: dict[str, dict[str, Any]] = {}
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
        """Record a key's state and queue whenever they change. Returns a function that stops this. From any thread."""
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
                pass  # it is asked again in a moment; whoever needs the answer gets an error of their own
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
        """Invocations that are not done, or of which only a pod says so: Restate may refuse what the pod did."""
        with self._recording.lock:
            traces = self._recording.timeline.invocations.values()
            return [t.id for t in traces if not (t.done and (t.settled or t.id in self._confirmed))]

    def _keys(self) -> list[tuple[str, str]]:
        return [watched for watched, watchers in self._watched.copy().items() if watchers > 0]

    async def look(self) -> None:
        """Ask once, and record what is new.

        Raises:
            RequestError: the server does not answer.
        """
        if open_traces := self._unfinished():
            await self._look_at_invocations(open_traces)
        for service, key in self._keys():
            await virtual_object.read_state(self._recording, self._admin, service, key)
            await virtual_object.read_queue(self._recording, self._admin, service, key)

    async def _look_at_invocations(self, open_traces: list[str]) -> None:
        asked_at = time.time()
        rows = await self._admin.unfinished()
        listed = {row["id"] for row in rows}
        absent = {trace: self._status_of(trace) for trace in open_traces if trace not in listed}
        gone = [trace for trace, (status, _) in absent.items() if status != "completed"][:MOST]
        # If a pod says it is done and the server does not list it as unfinished, it is done.
        self._confirmed |= {
            t for t, (status, at) in absent.items() if status == "completed" and asked_at - at > SETTLED
        }
        rows += await self._admin.invocations(gone)
        events = [event for row in rows if (event := self._changed(row, asked_at))]
        events += self._forgotten(set(gone) - {row["id"] for row in rows}, asked_at)
        if events:
            self._recording.append(*events)

    def _status_of(self, invocation: str) -> tuple[str, float]:
        """Its recorded status, and since when it has it."""
        with self._recording.lock:
            trace = self._recording.timeline.invocations.get(invocation)
            return (trace.status, trace.status_at) if trace else ("", 0.0)

    def _forgotten(self, unknown: set[str], asked_at: float) -> list[Event]:
        """Events for invocations that have vanished: one that ended before it began, or was purged, leaves no row."""
        self._missed = {invocation: self._missed.get(invocation, asked_at) for invocation in unknown}
        failure = "Restate no longer knows it: it was cancelled or killed before it began, or purged"
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
        """Whether a pod has reported something else since, e.g. a suspension, heard after the pause it led to."""
        status, since = self._status_of(row["id"])
        return status not in ("", row["status"]) and asked_at - since > SETTLED

    def _behind(self, row: dict[str, Any], asked_at: float) -> bool:
        """Whether the server has yet to process what the pod sent: that it has suspended, or is done."""
        status, since = self._status_of(row["id"])
        if status == "completed":
            return row["status"] not in (*TAKEN_BACK, "completed")
        return status == "suspended" and row["status"] in ("ready", "running") and asked_at - since <= SETTLED

    async def caught_up(self, invocation: str) -> None:
        """Wait until the pods, too, have reported the end of an invocation; for `lag` seconds at most."""
        deadline = time.monotonic() + self._lag
        while not self._pods_reported(invocation, "completed") and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def _pods_reported(self, invocation: str, status: str) -> bool:
        with self._recording.lock:
            trace = self._recording.timeline.invocations.get(invocation)
            if trace is None or not trace.attempts:
                return False
            last = trace.attempts[-1]
            if trace.failure is not None and trace.failure[0] == ABORTED and last.outcome != "running":
                return True  # pods do not report that an invocation was killed
            return last.outcome == status and last.ended_at is not None

    def _too_early(self, row: dict[str, Any]) -> bool:
        """Whether the server is ahead of the pods, which still have time to report this themselves."""
        status = row["status"]
        if status not in ("suspended", "completed") or row.get("completion_failure"):
            return False
        if self._pods_reported(row["id"], status):
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
        if self._reported.get(row["id"]) == data and not self._contradicted(row, asked_at):
            return None
        if row["status"] == "completed":
            self._reported.pop(row["id"], None)
        else:
            self._reported[row["id"]] = data
        return Event.of("invocation.status", asked_at, data)
