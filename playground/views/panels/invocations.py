"""The panel Invocations: each with its status, and what Restate lets one do to it in that status.

The verbs are Restate's own. *Cancel* lets the handler see a TerminalError and compensate; *kill* ends the
invocation at once, without that. Neither touches the pod.
https://docs.restate.dev/services/invocation/managing-invocations
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, TypedDict

from playground.recording import Recording, Timeline, Trace
from playground.recording.changes import Change
from playground.views import text
from playground.views.actions import Actions
from playground.views.asked import answers
from playground.views.panels.panel import Clipped, Panel, Said, Whole, as_text, clip, maybe_clip, plain

MOST = 2000
"""Invocations sent to the page when it first shows: the latest."""
SHOWN = 50
"""Invocations in the text."""
CLIP = 300

Verb = Literal["cancel", "kill", "pause", "resume", "restart-as-new"]
# Restate answers "not running" or "not yet" to the others (seen with 1.7).
_VERBS: dict[str, tuple[Verb, ...]] = {
    "pending": ("cancel", "kill"),
    "scheduled": ("cancel", "kill"),
    "ready": ("cancel", "kill"),
    "running": ("cancel", "pause", "kill"),
    "backing-off": ("resume", "cancel", "pause", "kill"),
    "suspended": ("resume", "cancel", "kill"),
    "paused": ("resume", "cancel", "kill"),
    "completed": ("restart-as-new",),
}


class InvocationItem(TypedDict):
    """An invocation. `n` counts them in the order in which they were heard of; `pod` is the one that runs it now."""

    n: int
    target: Clipped
    status: str
    failed: bool
    attempts: int
    pod: str
    body: Clipped | None
    value: Clipped | None
    failure: Clipped | None
    parent: Clipped | None
    verbs: list[Verb]


class OfInvocation(TypedDict):
    """Which invocation, by its id."""

    invocation: str


class OfPart(OfInvocation):
    """Which of its texts."""

    part: Literal["target", "parent", "body", "value", "failure"]


class InvocationsPanel(Panel[InvocationItem]):
    """Its items are invocations, by id."""

    name = "invocations"
    title = "Invocations"

    def items(self, timeline: Timeline) -> dict[str, InvocationItem]:
        """One item per invocation."""
        numbered = list(enumerate(timeline.invocations.values(), 1))[-MOST:]
        return {trace.id: _item(number, trace, timeline) for number, trace in numbered}

    def changed(self, timeline: Timeline, changes: Collection[Change]) -> dict[str, InvocationItem | None]:
        """Those that something has happened to."""
        touched = dict.fromkeys(str(change[1]) for change in changes if change[0] in ("trace", "attempt"))
        if not touched:
            return {}
        numbers = {invocation: number for number, invocation in enumerate(timeline.invocations, 1)}
        return {
            invocation: _item(numbers[invocation], timeline.invocations[invocation], timeline)
            if invocation in numbers
            else None  # the recording has let go of it
            for invocation in touched
        }

    def text(self, timeline: Timeline) -> str:
        """The latest invocations and their status."""
        return text.invocations_table(list(timeline.invocations.values()), SHOWN)

    @answers("cancel")
    def cancel(self, actions: Actions, asked: OfInvocation) -> Said:
        """Ask it to stop."""
        invocation = actions.invocation(asked["invocation"])
        invocation.cancel()
        return {"said": f"{invocation.target} is asked to cancel: its handler sees a TerminalError at its next await."}

    @answers("kill")
    def kill(self, actions: Actions, asked: OfInvocation) -> Said:
        """End it at once."""
        invocation = actions.invocation(asked["invocation"])
        invocation.kill()
        return {"said": f"The invocation {invocation.target} is killed, without compensation. Its pod lives on."}

    @answers("pause")
    def pause(self, actions: Actions, asked: OfInvocation) -> Said:
        """Make no further attempt."""
        invocation = actions.invocation(asked["invocation"])
        invocation.pause()
        target = invocation.target
        if invocation.status == "suspended":  # it was so quick; see Invocation.pause
            return {"said": f"{target} is suspended by now, and goes on when what it waits for is there."}
        return {"said": f"{target} is paused: Restate makes no further attempt until it is resumed."}

    @answers("resume")
    def resume(self, actions: Actions, asked: OfInvocation) -> Said:
        """Go on with it."""
        invocation = actions.invocation(asked["invocation"])
        invocation.resume()
        return {"said": f"{invocation.target} is resumed."}

    @answers("restart-as-new")
    def restart_as_new(self, actions: Actions, asked: OfInvocation) -> Said:
        """Run it once more."""
        invocation = actions.invocation(asked["invocation"])
        again = invocation.restart_as_new()
        return {"said": f"{invocation.target} runs once more, as a new invocation.", "invocations": [again.id]}

    @answers("whole")
    def whole(self, recording: Recording, asked: OfPart) -> Whole:
        """The whole result, failure or request body of one."""
        trace = recording.invocation(asked["invocation"])
        parent = recording.timeline.invocations.get(trace.parent)
        failure = trace.failure[1] if trace.failure else trace.last_failure
        match asked["part"]:
            case "body":
                text = as_text(trace.body)
            case "target":
                text = trace.target
            case "parent":
                text = parent.target if parent else ""
            case "value":
                text = trace.value or ""
            case _:
                text = failure
        return {"text": plain(text)}


def _item(number: int, trace: Trace, timeline: Timeline) -> InvocationItem:
    last = trace.attempts[-1] if trace.attempts else None
    pod = timeline.pods.get(last.pod) if last and last.outcome == "running" else None
    failure = trace.failure[1] if trace.failure else "" if trace.done else trace.last_failure
    parent = timeline.invocations.get(trace.parent)
    return {
        "n": number,
        "target": clip(trace.target, CLIP),
        "status": trace.status,
        "failed": bool(trace.done and trace.failure),
        "attempts": len(trace.attempts),
        "pod": pod.label if pod else "",
        "body": None if trace.body is None else clip(as_text(trace.body), CLIP),
        "value": maybe_clip(trace.value, CLIP),
        "failure": clip(failure, CLIP) if failure else None,
        "parent": clip(parent.target, CLIP) if parent else None,
        "verbs": list(_VERBS.get(trace.status, ("cancel", "kill"))),
    }
