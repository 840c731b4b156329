"""The recorder: asks the admin API what only the server knows, and appends what has changed.

Pods tell everything about attempts and entries themselves, at once. What they cannot know is an
invocation that is not on a pod: queued, scheduled, backing off, paused, killed. So while a timeline holds
unfinished invocations, their status is asked for: soon after anything happened, else once a second,
and never so often that the asking takes more than a small part of the server's time.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from playground.errors import PlaygroundError
from playground.recording.events import Event
from playground.recording.recording import Recording
from playground.restate.admin import Admin

SOON = 0.1
SELDOM = 1.0
SHARE = 20
"""A question that took t seconds is not asked again for SHARE × t."""
MOST = 200
"""Vanished invocations asked for at once."""


class Recorder:
    """Keeps the status of unfinished invocations up to date. Lives on the engine's loop."""

    def __init__(self, recording: Recording, admin: Admin) -> None:
        self._recording, self._admin = recording, admin
        self._loop = asyncio.get_running_loop()
        self._something_happened = asyncio.Event()
        self._told: dict[str, dict[str, Any]] = {}
        self._stop_listening = recording.listen(self._wake)
        self._task = self._loop.create_task(self._run())

    def close(self) -> None:
        """Stop asking."""
        self._stop_listening()
        self._task.cancel()

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
        limit = SELDOM if self._unfinished() else None
        try:
            async with asyncio.timeout(limit):
                await self._something_happened.wait()
        except TimeoutError:
            pass
        self._something_happened.clear()

    def _unfinished(self) -> list[str]:
        with self._recording.lock:
            return [trace.id for trace in self._recording.timeline.invocations.values() if not trace.done]

    async def look(self) -> None:
        """Ask once, and append what is new.

        Raises:
            RequestError: the server does not answer.
        """
        open_traces = self._unfinished()
        if not open_traces:
            return
        asked_at = time.time()
        rows = await self._admin.unfinished()
        listed = {row["id"] for row in rows}
        gone = [trace for trace in open_traces if trace not in listed][:MOST]
        rows += await self._admin.invocations(gone)
        events = [event for row in rows if (event := self._changed(row, asked_at))]
        if events:
            self._recording.append(*events)

    def _changed(self, row: dict[str, Any], asked_at: float) -> Event | None:
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
        if self._told.get(row["id"]) == data:
            return None
        if row["status"] == "completed":
            self._told.pop(row["id"], None)
        else:
            self._told[row["id"]] = data
        return Event("invocation.status", asked_at, data)
