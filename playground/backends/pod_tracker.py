"""Tracking one pod, on any backend: what it reports, which attempts are open on it, and how it ended.

A pod's events come separately from what it prints (see `playground.pod.emit`). A backend reads both, adds what only
it can know (the pod starts, is asked to stop, is gone), and records all of it. The tracker also picks out what the
backend itself needs: whether the source has loaded, and whether the pod is idle.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from playground.backends.backend import Record
from playground.errors import DeployError
from playground.pod import REFUSED
from playground.recording import Event, heard, kinds


class PodTracker:
    """One pod. Lives on the engine's loop.

    Attributes:
        name, service, revision: names.
        open: numbers of the attempts that are running on it.
        served: whether it was ever given an attempt.
        draining: whether it accepts no more connections because it received SIGTERM.
        stopping: whether it was asked to stop.
        last_words: the latest line it printed.
        loaded: resolves to the services it offers once the source is loaded, or fails with the reason if it is not.
        on_change: called when `open` may have changed.
    """

    def __init__(self, name: str, service: str, revision: str, record: Record) -> None:
        self.name, self.service, self.revision = name, service, revision
        self.open: set[int] = set()
        self.served = self.draining = self.stopping = False
        self.last_words = ""
        self.loaded: asyncio.Future[list[dict[str, Any]]] = asyncio.get_running_loop().create_future()
        self.loaded.add_done_callback(lambda f: f.cancelled() or f.exception())  # not always awaited
        self.on_change: Callable[[], None] = lambda: None
        self._record = record

    def tell(self, kind: str, **data: Any) -> None:
        """Record something that the backend knows about this pod."""
        self.stopping = self.stopping or kind == "pod.stopping"
        self._record(Event.now(kind, pod=self.name, service=self.service, revision=self.revision, **data))

    def take(self, items: list[tuple[str, Any]]) -> None:
        """Record what the pod has printed or reported: items of the parsers in `playground.pod.emit`."""
        events = []
        for what, item in items:
            if what == "log":
                events.append(Event.now("pod.log", pod=self.name, text=item))
                self.last_words = item
                continue
            event = heard(item, "pod", self.name)
            events.append(event)
            self._notice(event)
        if events:
            self._record(*events)
            self.on_change()

    def ended(self, status: int) -> None:
        """Record that its process has ended, and how.

        Args:
            status: exit code, or minus the number of the signal that ended it.
        """
        ways = {0: "stopped", REFUSED: "refused", -signal.SIGKILL: "killed"}
        if self.stopping:
            ways[-signal.SIGTERM] = "stopped"  # so early that it was not listening for the signal yet
        self.gone(ways.get(status, "crashed"), exit=status)

    def gone(self, how: str, **details: Any) -> None:
        """Record that the pod no longer exists.

        Args:
            details: what else is known: its `exit` code, or the `reason` why it never started.
        """
        self.open.clear()
        self.tell("pod.gone", how=how, **details)
        if not self.loaded.done():
            self.loaded.set_exception(
                DeployError(
                    f"The service {self.service!r} was not deployed: its pod ended while it was starting.",
                    f"The pod {self.name} was {how}. Its last output was:\n{self.last_words or '(nothing)'}",
                    "Deploy it again. If that fails too, look in the source for what ends the process.",
                )
            )

    def _notice(self, event: Event) -> None:
        match event:
            case kinds.AttemptStarted():
                self.open.add(event.attempt)
                self.served = True
            case kinds.AttemptClosed():
                self.open.discard(event.attempt)
            case kinds.PodDraining():
                self.draining = True
            case kinds.PodLoaded() if not self.loaded.done():
                self.loaded.set_result(event.services)
            case kinds.PodRefused() if not self.loaded.done():
                self.loaded.set_exception(_refusal(self.service, event))


def _refusal(service: str, event: kinds.PodRefused) -> DeployError:
    reason, text, trace = event.reason, event.text, event.trace
    what = f"The service {service!r} was not deployed: {text}."
    match reason:
        case "syntax":
            return DeployError(what, f"Python cannot read the source:\n{trace}", "Correct that line and deploy again.")
        case "raised":
            return DeployError(what, f"The source raised while it was loaded:\n{trace}", "Correct it and deploy again.")
        case "duplicate":
            return DeployError(what, "Restate addresses services by name.", "Rename one of them.")
    return DeployError(
        what,
        "A pod serves the restate.Service, VirtualObject and Workflow objects its source defines at top level.",
        'Add one: greeter = restate.Service("Greeter"), with a function under @greeter.handler()',
    )
