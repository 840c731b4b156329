"""Panels as text: what nbval compares, so nothing in it may differ from run to run."""

from __future__ import annotations

from playground.recording import Recording
from playground.views.panels.board import Panels
from tests.unit.stories import Tale, long_day


def middle() -> Recording:
    events = long_day().events
    at = next(i for i, event in enumerate(events) if event.kind == "awakeable.completed")
    return Recording(events[:at])


def test_invocations() -> None:
    assert repr(Panels(middle()).invocations()) == (
        "Invocations\n"
        "invocation     status                    attempts\n"
        "─────────────  ────────────────────────  ────────\n"
        "Signup/signup  suspended                 2\n"
        "User/ada/add   completed                 2\n"
        "User/ada/add   completed with a failure  0\n"
        "User/ada/add   backing-off               1\n"
        "User/ada/add   pending                   0\n"
        "User/ada/add   scheduled                 0"
    )


def test_the_latest_of_many_invocations() -> None:
    tale = Tale().deploy()
    for number in range(200):
        tale.send(f"inv_{number}", "Signup/signup")
    shown = repr(Panels(Recording(tale.events)).invocations())
    assert "the latest 50 of 200" in shown
    assert len(shown.splitlines()) == 54


def test_awakeables() -> None:
    assert repr(Panels(middle()).awakeables()) == (
        "Awakeables\n"
        "invocation     waits for    sent with\n"
        "─────────────  ───────────  ─────────\n"
        "Signup/signup  awakeable 1  email"
    )


def test_requests() -> None:
    assert repr(Panels(Recording(Tale().deploy().events)).requests()) == (
        "Requests\n"
        "target          takes\n"
        "──────────────  ────────────\n"
        "Signup/signup   JSON object\n"
        "User/<key>/add  JSON integer\n"
        "User/<key>/get  none"
    )


def test_state_and_queue_of_a_key() -> None:
    events = long_day().events
    at = next(i for i, event in enumerate(events) if event.kind == "state.read")
    recording = Recording(events[: at + 1])
    assert repr(Panels(recording).state("User", "ada")) == (
        'State\nState of User/ada\nname   value\n─────  ──────────\ncount  1\nnote   "<script>"'
    )
    assert repr(Panels(recording).queue("User", "ada", "bob")) == (
        "Queue\nQueue of User/ada\n"
        "                invocation\n"
        "──────────────  ────────────\n"
        "holds the lock  –\n"
        "waits, 1.       User/ada/add\n"
        "waits, 2.       User/ada/add\n"
        "waits, 3.       User/ada/add\n\n"
        "Queue of User/bob: free, nobody waits"
    )
    assert "not read yet" in repr(Panels(recording).state("User", "bob"))


def test_nothing_to_show() -> None:
    assert repr(Panels(Recording()).dashboard()) == (
        "Requests\nnothing is deployed yet\n\n"
        "Invocations\nno invocations yet\n\n"
        "Outside world\nThe outside world: nothing has happened\n\n"
        "Pods\nno pods: scaled to zero\n\n"
        "Awakeables\nno invocation waits for an awakeable\n\n"
        "Queue\nno key has a queue yet\n\n"
        "State\nno state was read yet"
    )


def test_a_panel_carries_its_text_beside_the_widget() -> None:
    bundle, _ = Panels(middle()).pods()._repr_mimebundle_()  # type: ignore[misc]
    assert bundle["text/plain"].startswith("Pods\npod")
    assert "application/vnd.jupyter.widget-view+json" in bundle
