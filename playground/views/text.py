"""Text tables: the accessible form of every view, and what nbval compares.

They are the same in every run that did the same: no times, ids, ports or random names; a pod is called
by its ordinal. Columns are aligned by characters, so they read in any fixed-width font.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playground.atlas import Atlas, Outcome

from playground.core.text import NONE, clean, one_line, plural, table
from playground.recording import Attempt, Effect, Entry, Pod, Timeline, Trace
from playground.recording.mismatch import Mismatch, Place, explain


def invocation_table(trace: Trace, timeline: Timeline) -> str:
    """Entries × attempts: what was replayed, what was executed, on which pod, and how each attempt ended."""
    if not trace.attempts:
        return f"{clean(trace.target)}: {summary(trace, timeline)}"
    head = ["", "entry", *(f"attempt {attempt.number}" for attempt in trace.attempts)]
    pods = ["", "on", *(_pod(attempt, timeline) for attempt in trace.attempts)]
    rows = [[_index(entry), entry_name(entry), *(_cell(entry, a) for a in trace.attempts)] for entry in trace.entries]
    ends = ["", "ended", *(_outcome(attempt) for attempt in trace.attempts)]
    top = [pods]
    if len({attempt.revision for attempt in trace.attempts}) > 1:  # it was moved to another one
        top.append(["", "revision", *(attempt.revision or "?" for attempt in trace.attempts)])
    lines = [table(head, [*top, *rows, ends], f"{clean(trace.target)}: {summary(trace, timeline)}")]
    return "\n".join([*lines, *mismatches(trace, timeline)])


def mismatches(trace: Trace, timeline: Timeline) -> list[str]:
    """Why attempts did not fit the journal, each reason once, in the order in which they came up."""
    reasons: dict[tuple[int, Place | None, Place | None], Mismatch] = {}
    for each in (explain(timeline, trace, attempt) for attempt in trace.attempts):
        if each is not None:
            reasons.setdefault((each.index, each.written, each.asked), each)
    return [one_line(line) for each in reasons.values() for line in each.lines]


def summary(trace: Trace, timeline: Timeline) -> str:
    """One line: status, attempts, pods, kills, suspensions."""
    parts = [_status(trace)]
    if trace.attempts:
        pods = len({attempt.pod for attempt in trace.attempts})
        parts.append(f"{plural(len(trace.attempts), 'attempt')} on {plural(pods, 'pod')}")
    for noun, outcome in (("kill", "killed"), ("failure", "failed"), ("suspension", "suspended")):
        if count := sum(attempt.outcome == outcome and not attempt.mismatch for attempt in trace.attempts):
            parts.append(plural(count, noun))
    if trace.mismatches:
        parts.append("1 journal mismatch" if trace.mismatches == 1 else f"{trace.mismatches} journal mismatches")
    return ", ".join(parts)


def _status(trace: Trace) -> str:
    return trace.aborted or trace.status + (" with a failure" if trace.done and trace.failure else "")


def entry_name(entry: Entry) -> str:
    """An entry's type and what tells it from others."""
    return f"{entry.type} {entry.label}".rstrip()


def _index(entry: Entry) -> str:
    # An awakeable has a signal number instead of a command index.
    return str(entry.row[1]) if entry.row[0] == "entry" else ""


def _pod(attempt: Attempt, timeline: Timeline) -> str:
    pod = timeline.pods.get(attempt.pod)
    return f"pod {pod.ordinal}" if pod else "?"


def _cell(entry: Entry, attempt: Attempt) -> str:
    mark = attempt.marks.get(entry.row)
    if mark is None:
        return NONE
    if attempt.mismatch and mark.how == "failed":
        return "mismatch"
    over = entry.failed and mark.until is not None
    return {"executed": "failed for good", "replayed": "replayed failure"}.get(mark.how, mark.how) if over else mark.how


def _outcome(attempt: Attempt) -> str:
    return "journal mismatch" if attempt.mismatch else attempt.outcome


def pods_table(pods: Iterable[Pod], failed: Iterable[Pod] = ()) -> str:
    """Pods in the order they started, by ordinal."""
    rows = [[pod.label, pod.revision, pod.phase] for pod in pods]
    lines = [f"{pod.revision} has no pod, which is tried for again: {pod.reason}" for pod in failed]
    if rows:
        lines.insert(0, table(["pod", "revision", "phase"], rows))
    return "\n".join(lines) or "no pods: scaled to zero"


def revisions_table(revisions: Iterable[tuple[str, bool, int]]) -> str:
    """Revisions: which takes new requests, and how many unfinished invocations each has."""
    rows = [[name, "yes" if newest else NONE, str(unfinished)] for name, newest, unfinished in revisions]
    return table(["revision", "new requests", "unfinished"], rows) if rows else "nothing is deployed yet"


def state_table(service: str, key: str, values: Mapping[str, Any]) -> str:
    """An object's state, by name."""
    title = clean(f"State of {service}/{key}")
    if not values:
        return f"{title}: empty"
    return table(["name", "value"], [[name, json.dumps(values[name])] for name in sorted(values)], title)


def queue_table(service: str, key: str, holder: str, waiting: Sequence[str]) -> str:
    """Who holds a key's lock and who waits, by handler."""
    title = clean(f"Queue of {service}/{key}")
    if not holder and not waiting:
        return f"{title}: free, nobody waits"
    rows = [["holds the lock", holder or NONE], *([f"waits, {n}.", who] for n, who in enumerate(waiting, 1))]
    return table(["", "invocation"], rows, title)


def journal_table(target: str, entries: Iterable[Mapping[str, Any]]) -> str:
    """The journal as Restate's server has it."""
    rows = []
    for entry in entries:
        label = entry.get("name") or entry.get("target") or entry.get("key") or ""
        failure = entry.get("failure")
        value = f"failure {failure[0]}: {failure[1]}" if failure else entry.get("value", "")
        rows.append([str(entry["index"]), entry["type"], label, value])
    return table(["", "entry", "name", "value"], rows, clean(f"Journal of {target}"))


def ledger_table(effects: Iterable[Effect], pods: Mapping[str, str]) -> str:
    """What reached the outside world: kind, what became of it, from which pod, with which key or not."""
    rows = []
    for effect in effects:
        told = "repeated, nothing happened" if effect.repeated else effect.became
        source = pods.get(effect.pod, NONE) + (", outside of any step" if effect.outside else "")
        rows.append([effect.kind, told, source, "yes" if effect.key else "no", effect.body])
    if not rows:
        return "The outside world: nothing has happened"
    return table(["kind", "what", "from", "key", "body"], rows, "The outside world")


def atlas_table(atlas: Atlas) -> str:
    """Crash points × what came of them: result, state, effects and steps; and what all that rests on."""
    outcomes = atlas.outcomes
    accidents = {"pod": "a pod killed in each", "server": "the Restate server killed in each"}
    what = accidents.get(atlas.target, "the outside world misbehaving in each")
    title = f"Crash atlas of {clean(atlas.request)}: {plural(len(outcomes), 'run')}, {what}"
    kinds = sorted({kind for outcome in outcomes for kind in outcome.effects})
    rows = []
    before = ""
    for outcome in outcomes:
        invocation = outcome.points[0].invocation
        name = ", then ".join(point.name for point in outcome.points)
        state = f"differs ({len(outcome.state_diff)})" if outcome.state_diff else "right"
        counts = [_times(outcome.effects.get(kind, 0), outcome.expected.get(kind, 0)) for kind in kinds]
        steps = [atlas_steps(outcome)] if atlas.observed_steps else []
        rows.append([invocation if invocation != before else "", name, outcome.result, state, *counts, *steps])
        before = invocation
    head = ["invocation", "crashed", "result", "state", *kinds, *(["steps"] if atlas.observed_steps else [])]
    return "\n".join([table(head, rows, title), "", *(one_line(line) for line in atlas.rests_on)])


def _times(count: int, expected: int) -> str:
    words = {0: "never", 1: "once", 2: "twice"}
    return words.get(count, f"{count} times") + ("" if count == expected else " !")


def atlas_steps(outcome: Outcome) -> str:
    """How often the steps of a run ran: "once each", "one ran twice", "2 may have run twice"."""
    told = []
    for steps, what in ((outcome.ran_twice, "ran twice"), (outcome.perhaps_twice, "may have run twice")):
        if steps:
            told.append(f"{'one' if len(steps) == 1 else len(steps)} {what}")
    return ", ".join(told) or ("once each" if outcome.steps else NONE)


def services_table(service: str, revision: str, services: Iterable[Mapping[str, Any]]) -> str:
    """What a deployed service offers."""
    kinds = {"SERVICE": "service", "VIRTUAL_OBJECT": "virtual object", "WORKFLOW": "workflow"}
    rows = [
        [s["name"], kinds.get(s["type"], s["type"]), ", ".join(sorted(h["name"] for h in s["handlers"]))]
        for s in sorted(services, key=lambda s: str(s["name"]))
    ]
    return table(["Restate service", "kind", "handlers"], rows, f"{service} is deployed as revision {revision}")


def requests_table(services: Iterable[Mapping[str, Any]]) -> str:
    """What can be requested: targets, and what each takes."""
    rows = []
    for service in sorted(services, key=lambda s: str(s["name"])):
        key = "" if service["type"] == "SERVICE" else "<key>/"
        for handler in sorted(service["handlers"], key=lambda h: str(h["name"])):
            rows.append([f"{service['name']}/{key}{handler['name']}", handler.get("input") or "anything"])
    return table(["target", "takes"], rows) if rows else "nothing is deployed yet"


def invocations_table(traces: Sequence[Trace], most: int) -> str:
    """The latest invocations, oldest first, and their status."""
    rows = [[trace.target, _status(trace), str(len(trace.attempts))] for trace in traces[-most:]]
    if not rows:
        return "no invocations yet"
    earlier = f"the latest {most} of {len(traces)}" if len(traces) > most else ""
    return table(["invocation", "status", "attempts"], rows, earlier)


def awakeables_table(pending: Iterable[tuple[str, int, str]]) -> str:
    """Awakeables to be completed, each (target, number within its invocation, effect that carried its id)."""
    rows = [[target, f"awakeable {number}", mail or NONE] for target, number, mail in pending]
    return table(["invocation", "waits for", "sent with"], rows) if rows else "no invocation waits for an awakeable"
