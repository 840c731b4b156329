"""The panel Invocations: each with its status, and what Restate lets one do to it in that status.

The verbs are Restate's own. *Cancel* lets the handler see a TerminalError and compensate; *kill* ends the
invocation at once, without that. Neither touches the pod.
https://docs.restate.dev/services/invocation/managing-invocations
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from playground.recording import Recording, Timeline, Trace
from playground.views import text
from playground.views.actions import Actions
from playground.views.panels.panel import Change, Data, Item, Panel, as_text, clip, plain, wanted

MOST = 2000
"""Invocations sent to the page when it first shows: the latest."""
SHOWN = 50
"""Invocations in the text."""
CLIP = 300

# Restate answers "not running" or "not yet" to the others (seen with 1.7).
_VERBS = {
    "pending": ("cancel", "kill"),
    "scheduled": ("cancel", "kill"),
    "ready": ("cancel", "kill"),
    "running": ("cancel", "pause", "kill"),
    "backing-off": ("resume", "cancel", "pause", "kill"),
    "suspended": ("resume", "cancel", "kill"),
    "paused": ("resume", "cancel", "kill"),
    "completed": ("restart-as-new",),
}


class InvocationsPanel(Panel):
    """Its items are invocations, by id."""

    name = "invocations"
    title = "Invocations"

    def items(self, timeline: Timeline, changes: Collection[Change] | None) -> dict[str, Item | None]:
        """One item per invocation."""
        if changes is None:
            touched = dict.fromkeys(list(timeline.invocations)[-MOST:])
        else:
            touched = dict.fromkeys(change[1] for change in changes if change[0] in ("trace", "attempt"))
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

    def act(self, actions: Actions, verb: str, data: Data) -> Any:
        """Restate's verbs: `cancel`, `kill`, `pause`, `resume`, `restart-as-new`."""
        if verb not in ("cancel", "kill", "pause", "resume", "restart-as-new"):
            return super().act(actions, verb, data)
        invocation = actions.invocation(wanted(data, "invocation"))
        target = invocation.target
        if verb == "restart-as-new":
            again = invocation.restart_as_new()
            return {"said": f"{target} runs once more, as a new invocation.", "invocations": [again.id]}
        if verb == "cancel":
            invocation.cancel()
            return {"said": f"{target} is asked to cancel: its handler sees a TerminalError at its next await."}
        if verb == "kill":
            invocation.kill()
            return {"said": f"The invocation {target} is killed, without compensation. Its pod lives on."}
        if verb == "pause":
            invocation.pause()
            if invocation.status == "suspended":  # it was so quick; see Invocation.pause
                return {"said": f"{target} is suspended by now, and goes on when what it waits for is there."}
            return {"said": f"{target} is paused: Restate makes no further attempt until it is resumed."}
        invocation.resume()
        return {"said": f"{target} is resumed."}

    def whole(self, recording: Recording, data: Data) -> str:
        """The whole result, failure or request body of one."""
        trace = recording.invocation(wanted(data, "invocation"))
        part = data.get("part")
        if part == "body":
            return plain(as_text(trace.body))
        if part == "target":
            return plain(trace.target)
        failure = trace.failure[1] if trace.failure else trace.last_failure
        return plain((trace.value if part == "value" else failure) or "")


def _item(number: int, trace: Trace, timeline: Timeline) -> Item:
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
        "value": clip(trace.value, CLIP),
        "failure": clip(failure or None, CLIP),
        "parent": plain(parent.target[:CLIP]) if parent else "",
        "verbs": list(_VERBS.get(trace.status, ("cancel", "kill"))),
    }
