"""Whatever is said, in whatever order: it folds, and every view of it can be shown."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings

from playground.recording import Event, Recording, kinds
from playground.recording.fold import Fold
from playground.runtime.revisions import in_use
from playground.views import layout, model, text
from playground.views.details import all_details
from playground.views.lens import Lens
from playground.views.outside import outside
from tests.unit.any_events import events
from tests.unit.test_panels_items import ALL

many = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow], deadline=None)


@many
@given(events())
def test_any_events_fold_and_every_text_is_there(said: list[Event]) -> None:
    recording = Recording(said)
    timeline = recording.timeline
    assert timeline.unread == []
    for trace in recording.invocations:
        assert text.invocation_table(trace, timeline)
        assert repr(trace)
        assert trace.awakeables is not None
        assert timeline.roles(trace.id)
        assert all(repr(attempt) for attempt in trace.attempts)
        text.journal_table(trace.target, trace.journal)
    text.pods_table(timeline.pods.values())
    text.invocations_table(recording.invocations, 10)
    text.ledger_table(timeline.effects, {})
    for (service, key), values in timeline.states.items():
        text.state_table(service, key, values)
    for (service, key), queue in timeline.queues.items():
        text.queue_table(service, key, queue.holder, queue.waiting)
    for revision in timeline.revisions.values():
        text.services_table(revision.service, revision.name, revision.services)
        text.requests_table(revision.services)
    assert repr(in_use(timeline))
    assert repr(recording)


@many
@given(events())
def test_any_events_can_be_sent_to_a_page(said: list[Event]) -> None:
    recording = Recording(said)
    timeline = recording.timeline
    for trace in recording.invocations:
        picture = model.picture(timeline, trace.id)
        json.dumps(picture, allow_nan=False, ensure_ascii=False).encode()
        layout.axis(picture, [trace.id])
        assert outside(picture) is not None
        assert model.delta(timeline, trace.id, dict.fromkeys(timeline.changes).keys()) is not None
    json.dumps(all_details(recording, recording.invocations), allow_nan=False, ensure_ascii=False).encode()
    for panel in ALL:
        items = panel.items(timeline)
        json.dumps(items, allow_nan=False, ensure_ascii=False).encode()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events(most=25))
def test_any_events_have_a_picture(said: list[Event]) -> None:
    recording = Recording(said)
    for trace in recording.invocations[:2]:
        assert Lens(recording, trace.id).png()


@many
@given(events())
def test_folding_bit_by_bit_is_folding_at_once(said: list[Event]) -> None:
    recording = Recording()
    for event in said:
        recording.append(event)
        recording.timeline  # noqa: B018  (folds)
    whole = Fold(said)
    assert repr(recording.timeline.invocations) == repr(whole.invocations)
    assert list(recording.timeline.changes) == list(whole.changes)


def test_invocations_that_call_each_other_have_a_role_each() -> None:
    said = []
    for caller, callee, pod in (("inv_1", "inv_2", "p"), ("inv_2", "inv_1", "q")):
        where = {"pod": pod, "attempt": 1}
        said += [
            Event.now("attempt.started", **where, invocation=caller, target="S/h", known=1),
            Event.now("entry.executed", **where, type="Call", entry=1, target="S/h"),
            Event.now("entry.completed", **where, type="Call invocation id", entry=1, callee=callee),
        ]
    said += [Event.now("invocation.status", invocation="inv_3", status="running", parent="inv_3")]
    timeline = Fold(said)
    assert timeline.roles("inv_1") == {"inv_1": "0", "inv_2": "0.1"}
    assert timeline.roles("inv_3") == {"inv_3": "0"}


def test_a_fold_that_fails_costs_one_event(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a fault of ours")

    monkeypatch.setitem(Fold._FOLDS, kinds.ServerReady, fail)
    recording = Recording([Event.now("server.ready"), Event.now("pod.starting", pod="p"), Event.now("server.ready")])
    assert list(recording.timeline.pods) == ["p"]
    assert len(recording.timeline.unread) == 2
    assert "2 events could not be understood" in repr(recording)
