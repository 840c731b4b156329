"""The boundary: whatever anybody says becomes an event, and says only what is the speaker's to say."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.recording import Event, Recording, Unknown, heard, kinds
from playground.recording.checks import TOO_DEEP
from playground.recording.events import KINDS, field_types
from playground.recording.table import table

DOCS = Path(__file__).parents[2] / "docs" / "events.md"
STARTED = {"kind": "attempt.started", "at": 1.0, "attempt": 1, "invocation": "inv_1", "target": "S/h", "known": 1}


def test_the_docs_have_the_table_of_all_kinds() -> None:
    assert DOCS.read_text("utf-8") == table(), "python -m playground.recording.table > docs/events.md"


def test_every_kind_says_what_it_means_and_who_says_it() -> None:
    for name, kind in KINDS.items():
        assert name == kind.KIND
        assert kind.__doc__
        assert kind.BY in ("pod", "ledger", "backend", "client", "admin API", "anybody")


def test_a_known_kind_is_typed_and_keeps_what_it_does_not_know() -> None:
    event = heard({**STARTED, "new": [1]}, "pod", "p")
    assert isinstance(event, kinds.AttemptStarted)
    assert (event.pod, event.attempt, event.invocation, event.known) == ("p", 1, "inv_1", 1)
    assert event.more == {"new": [1]}
    assert event.kind == "attempt.started"


def test_an_unknown_kind_is_kept_whole() -> None:
    event = heard({"kind": "from.the.future", "at": 2, "deep": {"a": [1]}}, "pod", "p")
    assert event == Unknown(2.0, "from.the.future", more={"deep": {"a": [1]}, "pod": "p"})


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({**STARTED, "attempt": [1]}, "attempt: not a count"),
        ({**STARTED, "attempt": True}, "attempt: not a count"),
        ({**STARTED, "attempt": -1}, "attempt: not a count"),
        ({**STARTED, "known": 10**40}, "known: not a count"),
        ({**STARTED, "known": float("nan")}, "known: not a count"),
        ({**STARTED, "invocation": {"a": 1}}, "invocation: not text"),
        ({**STARTED, "invocation": None}, "invocation: missing"),
        ({"kind": "attempt.started", "at": 1.0, "attempt": 1}, "invocation: missing"),
        ({**STARTED, "id": "xyz"}, "id: not hexadecimal"),
        ({**STARTED, "at": float("inf")}, "not a number of seconds"),
        ({**STARTED, "at": "now"}, "not a number of seconds"),
        ({**STARTED, "kind": ["attempt.started"]}, "not text"),
        ({"at": 1.0}, "not text"),
        ([1], "not a table of fields"),
        ("text", "not a table of fields"),
        ({"kind": "pod.loaded", "at": 1.0, "services": [{"name": 1}]}, "services: not text"),
        ({"kind": "pod.loaded", "at": 1.0, "services": [[]]}, "services: not a table"),
        ({"kind": "entry.proposed", "at": 1.0, "attempt": 1, "failure": [500]}, "failure: not a code and a message"),
    ],
)
def test_a_wrong_type_becomes_a_malformed_event(wrong: Any, why: str) -> None:
    event = heard(wrong, "pod", "p")
    assert isinstance(event, kinds.Malformed)
    assert (event.by, event.pod, event.why) == ("pod", "p", why)
    assert event.original
    recording = Recording([event])
    assert recording.invocations == []
    assert recording.timeline.pods == {}


def test_what_is_kept_of_something_malformed_is_bounded() -> None:
    event = heard({**STARTED, "known": "x" * 10_000_000}, "pod", "p")
    assert isinstance(event, kinds.Malformed)
    assert len(event.original) <= 1000


@pytest.mark.parametrize(
    "told",
    [
        {"kind": "invocation.status", "invocation": "inv_x", "status": "completed"},
        {"kind": "invocation.sent", "invocation": "inv_x", "target": "S/h"},
        {"kind": "effect.happened", "number": 1, "effect": "email"},
        {"kind": "pod.gone", "how": "killed"},
        {"kind": "pod.starting"},
        {"kind": "revision.deployed", "revision": "x-00001"},
        {"kind": "server.gone"},
        {"kind": "state.read", "service": "S", "key": "k", "values": {}},
        {"kind": "plan.hold", "run": "1"},
        {**STARTED, "pod": "somebody else"},
        {"kind": "pod.ready", "pod": ["p"]},
    ],
)
def test_a_pod_speaks_only_of_itself_and_of_what_it_can_know(told: dict[str, Any]) -> None:
    event = heard({"at": 1.0, **told}, "pod", "p")
    assert isinstance(event, kinds.Refused)
    assert event.pod == "p"
    timeline = Recording([Event.of("pod.starting", 0, {"pod": "p"}), event]).timeline
    assert (list(timeline.pods), timeline.pods["p"].alive, timeline.server) == (["p"], True, "starting")
    assert not timeline.invocations
    assert not timeline.effects
    assert not timeline.states


@pytest.mark.parametrize("kind", ["attempt.started", "invocation.result", "pod.gone"])
def test_the_ledger_speaks_of_effects_only(kind: str) -> None:
    assert isinstance(heard({**STARTED, "kind": kind}, "ledger"), kinds.Refused)


def test_half_surrogates_and_bottomless_values_are_made_harmless() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    event = heard({**STARTED, "target": "S/\ud800", "new": deep}, "pod", "p")
    assert isinstance(event, kinds.AttemptStarted)
    assert event.target == "S/?"
    assert event.more == {"new": TOO_DEEP}
    assert isinstance(heard({**STARTED, "known": deep}, "pod", "p"), kinds.Malformed)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    json_values
    | st.dictionaries(st.sampled_from(["kind", "at", "pod", "attempt", "entry", "entries", "known"]), json_values),
    st.sampled_from(["pod", "ledger"]),
)
def test_anything_that_is_said_becomes_an_event_that_can_be_saved(told: Any, by: Any) -> None:
    event = heard(told, by, "p" if by == "pod" else "")
    assert isinstance(event, Event)
    assert 0 <= event.at <= max(1e12, time.time())
    json.loads(event.to_json())


@given(st.data())
def test_every_kind_survives_being_saved_and_loaded(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    told = data.draw(st.dictionaries(st.sampled_from(["new", "newer"]), json_values, max_size=2))
    filled = Event.of(kind, 5.0, {**_right(kind), **told})
    again = Event.of(kind, 5.0, {n: v for n, v in json.loads(filled.to_json()).items() if n not in ("kind", "at")})
    assert type(filled) is type(again) is KINDS[kind]
    assert filled.to_json() == again.to_json()


def _right(kind: str) -> dict[str, Any]:
    """A right value for each field of a kind."""
    sample: dict[str, Any] = {
        "text": "t", "count": 3, "index": 2, "whole": -9, "flag": True, "seconds": 1.5, "signal": 17,
        "hexadecimal": "00ff", "failure": [500, "no"], "texts": ["a"], "indexes": [1], "signals": [1, "named"],
        "values": {"a": "1"}, "services": [{"name": "S", "type": "SERVICE", "handlers": [{"name": "h"}]}],
        "journal": [{"index": 0, "type": "Command: Input"}], "faults": {"fail": -1, "down": True, "slow": 1.0},
        "boundary": ["in", "Start", None], "anything": {"a": [1]},
    }  # fmt: skip
    return {name: sample[holds] for name, holds, _ in field_types(KINDS[kind])}
