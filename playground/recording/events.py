"""The one currency of the project: an event says that something happened, when, and who says so.

Everything that is ever shown is folded from events like these, and only from them:

| kind | said by | fields |
|---|---|---|
| pod.starting, pod.stopping | backend | pod, service, revision |
| pod.loaded | pod | pod, services: [{name, type, handlers: [{name, kind}]}] |
| pod.refused | pod | pod, reason, text, trace |
| pod.ready | pod | pod |
| pod.gone | backend | pod, how: stopped, killed, crashed or refused; exit |
| pod.ended | pod's first process | pod, exit; in a container only, where the backend makes pod.gone of it |
| pod.log | backend | pod, text |
| attempt.started | tap | pod, attempt, invocation, target, known, retries, id |
| entry.replayed, .executed | tap | pod, attempt, type, entry, name, target, key, value, size, … |
| entry.proposed, .completed | tap | pod, attempt, type, entry, signal, value, size, failure, callee |
| entry.stored | tap | pod, attempt |
| attempt.suspended, .awaiting | tap | pod, attempt, entries, signals |
| attempt.failed | tap | pod, attempt, code, message, stacktrace, entry, name |
| attempt.ended, .closed | tap | pod, attempt |
| attempt.crashed, .held | gate | pod, attempt, invocation, boundary: [direction, frame type, entry] |
| plan.hold | ledger | run |
| frame.unknown | tap | pod, attempt, direction, type, size |
| revision.deployed | backend | service, revision, deployment, services, source |
| server.starting, .ready, .gone | backend | exit |
| effect.happened, .repeated, .refused | ledger | number, effect, key, body, pod, attempt, again: told once more |
| ledger.cleared | ledger | last: number of the latest entry forgotten |
| ledger.faults | ledger | effect, faults: {fail, lose_answer, slow, down}; how a kind misbehaves from now on |
| invocation.sent | client | invocation, target, body, delay, restarted: the invocation it repeats |
| invocation.status | admin API | invocation, target, status, parent, failure, waiting_signals, … |
| invocation.result | client | invocation, value or failure: [code, message] |
| awakeable.completed | client | awakeable, value or reason |
| journal.read | admin API | invocation, entries: [{index, type, name, value, …}] |
| state.read | admin API | service, key, values |
| queue.read | admin API | service, key, holder, waiting |

`attempt` counts within one pod. `entry` is a command's index in the journal, Input being 0. Times are
Unix seconds on the clock of whoever says it. A reader keeps fields and kinds it does not know.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened.

    Attributes:
        kind: what, from the table above (or newer).
        at: when, Unix seconds.
        data: the kind's own fields, and any this version does not know.
    """

    kind: str
    at: float
    data: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def now(cls, kind: str, /, **data: Any) -> Event:
        """An event of this moment."""
        return cls(kind, time.time(), data)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], **more: Any) -> Event:
        """An event from its flat form: `{"kind": …, "at": …, …}`.

        Raises:
            ValueError: `kind` or `at` is missing or of the wrong type.
        """
        data = {**fields, **more}
        kind, at = data.pop("kind", None), data.pop("at", None)
        if not isinstance(kind, str) or isinstance(at, bool) or not isinstance(at, int | float):
            raise ValueError("an event needs a kind and a time")
        return cls(kind, float(at), data)

    def to_json(self) -> str:
        """The event's flat form, one line of JSON."""
        return json.dumps({"kind": self.kind, "at": self.at, **self.data}, default=repr)
