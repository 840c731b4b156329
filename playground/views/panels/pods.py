"""The panel Pods: those that are there, the last that went, what they print, and killing one.

Killing a *pod* ends a process. Its invocations lose their attempt and nothing else: Restate retries them,
on another pod. That is the opposite of killing an *invocation*, which no panel but Invocations can do.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TypedDict

from playground.recording import Pod, Recording, Timeline
from playground.recording.changes import Change
from playground.views import text
from playground.views.actions import Actions
from playground.views.asked import answers
from playground.views.messages import OfPod
from playground.views.panels.panel import Panel, Said, Whole, plain

GONE = 4
"""How many of the pods that went last are still shown."""
TAIL = 30
"""Lines of a pod's log that are sent unasked."""
LINE = 300
"""Characters of each."""


class PodItem(TypedDict):
    """A pod.

    `open` are the first of the targets that run on it, `openCount` how many there are; `log` the end of what it
    printed, `logCount` how many lines that is in all, `logCut` whether any line here is not whole. Unix seconds.
    """

    label: str
    service: str
    revision: str
    phase: str
    alive: bool
    startedAt: float
    readyAt: float | None
    goneAt: float | None
    open: list[str]
    openCount: int
    log: list[str]
    logCount: int
    logCut: bool


class PodsPanel(Panel[PodItem]):
    """Its items are pods, by name."""

    name = "pods"
    title = "Pods"

    def items(self, timeline: Timeline) -> dict[str, PodItem]:
        """One item per pod that is there, or has just gone."""
        shown = {pod.name for pod in _shown(timeline)}
        return {name: _item(pod, timeline) for name, pod in timeline.pods.items() if name in shown}

    def changed(self, timeline: Timeline, changes: Collection[Change]) -> dict[str, PodItem | None]:
        """Those that came, went or did something."""
        shown = {pod.name for pod in _shown(timeline)}
        touched = {str(change[1]) for change in changes if change[0] == "pod"}
        for change in changes:
            if change[0] == "attempt" and (trace := timeline.invocations.get(change[1])):
                touched.update(attempt.pod for attempt in trace.attempts[change[2] - 1 :][:1])
        if any(not pod.alive for name in touched if (pod := timeline.pods.get(name))):
            touched |= timeline.pods.keys() - shown  # one more has gone, so the oldest of them is shown no more
        return {name: _item(timeline.pods[name], timeline) if name in shown else None for name in touched}

    def text(self, timeline: Timeline) -> str:
        """The pods that are there."""
        return text.pods_table(pod for pod in timeline.pods.values() if pod.alive)

    @answers("kill")
    def kill(self, actions: Actions, asked: OfPod) -> Said:
        """Kill a pod."""
        killed = actions.kill_pod(asked["pod"])
        return {"said": f"The pod {killed.name} is killed. Restate retries what ran on it, on another pod."}

    @answers("whole")
    def whole(self, recording: Recording, asked: OfPod) -> Whole:
        """A pod's whole log."""
        pod = recording.timeline.pods.get(asked["pod"])
        return {"text": plain(pod.log) if pod else ""}


def _shown(timeline: Timeline) -> list[Pod]:
    gone = [pod for pod in timeline.pods.values() if not pod.alive]
    gone.sort(key=lambda pod: pod.gone_at or 0.0)
    return [pod for pod in timeline.pods.values() if pod.alive] + gone[-GONE:]


def _item(pod: Pod, timeline: Timeline) -> PodItem:
    attempts = [timeline.open.get((pod.name, number)) for number in sorted(pod.open)]
    running = [attempt.trace.target for attempt in attempts if attempt]
    return {
        "label": pod.label,
        "service": pod.service,
        "revision": pod.revision,
        "phase": pod.phase,
        "alive": pod.alive,
        "startedAt": pod.started_at,
        "readyAt": pod.ready_at,
        "goneAt": pod.gone_at,
        "open": [plain(target[:LINE]) for target in running[:20]],
        "openCount": len(running),
        "log": [plain(line[:LINE]) + ("…" if len(line) > LINE else "") for line in pod.logs[-TAIL:]],
        "logCount": len(pod.logs) + pod.logs_dropped,
        "logCut": any(len(line) > LINE for line in pod.logs[-TAIL:]),
    }
