"""The panel Pods: those that are there, the last that went, what they print, and killing one.

Killing a *pod* ends a process. Its invocations lose their attempt and nothing else: Restate retries them,
on another pod. That is the opposite of killing an *invocation*, which no panel but Invocations can do.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from playground.recording import Pod, Recording, Timeline
from playground.views import text
from playground.views.actions import Actions
from playground.views.panels.panel import Change, Data, Item, Panel, plain, wanted

GONE = 4
"""How many of the pods that went last are still shown."""
TAIL = 30
"""Lines of a pod's log that are sent unasked."""
LINE = 300
"""Characters of each."""


class PodsPanel(Panel):
    """Its items are pods, by name."""

    name = "pods"
    title = "Pods"

    def items(self, timeline: Timeline, changes: Collection[Change] | None) -> dict[str, Item | None]:
        """One item per pod that is there, or has just gone."""
        shown = {pod.name for pod in _shown(timeline)}
        if changes is None:
            return {name: _item(pod, timeline) for name, pod in timeline.pods.items() if name in shown}
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

    def act(self, actions: Actions, verb: str, data: Data) -> Any:
        """`kill` a pod."""
        if verb != "kill":
            return super().act(actions, verb, data)
        name = wanted(data, "pod")
        killed = actions.kill_pod(name)
        return {"said": f"The pod {killed.name} is killed. Restate retries what ran on it, on another pod."}

    def whole(self, recording: Recording, data: Data) -> str:
        """A pod's whole log."""
        pod = recording.timeline.pods.get(wanted(data, "pod"))
        return plain(pod.log) if pod else ""


def _shown(timeline: Timeline) -> list[Pod]:
    gone = [pod for pod in timeline.pods.values() if not pod.alive]
    gone.sort(key=lambda pod: pod.gone_at or 0.0)
    return [pod for pod in timeline.pods.values() if pod.alive] + gone[-GONE:]


def _item(pod: Pod, timeline: Timeline) -> Item:
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
