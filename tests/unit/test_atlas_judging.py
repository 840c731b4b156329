"""What the atlas learns from clean runs, what it counts from a recording, and what it refuses to claim."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from playground.atlas.atlas import Basis
from playground.atlas.legal import Legal, matches, nearest
from playground.atlas.normalize import VARIES
from playground.atlas.outcome import Observed, Outcome, judge
from playground.atlas.steps import Accident, Step, steps
from playground.errors import NothingObserved
from playground.shown import Atlas, Recording
from tests.unit.atlases import mixed, outcome, point
from tests.unit.stories import Tale


def seen(value: Any = None, *, state: dict[str, Any] | None = None, **more: Any) -> Observed:
    effects = more.pop("effects", {"email": 1})
    return Observed(value, more.pop("failure", ""), more.pop("stuck", ""), {"Stock/ada": state or {}}, effects, **more)


def learned(*runs: Observed) -> Legal:
    legal = Legal()
    for run in runs:
        legal.learn(run)
    return legal


def judged(legal: Legal, run: Observed, *, crashed: bool = True, **more: Any) -> Outcome:
    return judge(nearest(legal.outcomes, run), run, (point("here"),), "inv_1", crashed=crashed, **more)


# -- what is legal ------------------------------------------------------------------------------------


def test_clean_runs_that_agree_are_one_outcome() -> None:
    legal = learned(seen(1), seen(1), seen(1))
    assert (len(legal.outcomes), legal.varies) == (1, [])
    assert judged(legal, seen(1)).right
    assert judged(legal, seen(2)).detail == "it returned 2 instead of 1"
    assert judged(legal, seen(1, state={"count": 2})).state_diff == ("Stock/ada: count is 2, and should not be there",)


def test_few_values_are_legal_outcomes_and_their_parts_belong_together() -> None:
    won = seen("a", state={"winner": "a"}, effects={"prize-a": 1})
    lost = seen("b", state={"winner": "b"}, effects={"prize-b": 1})
    legal = learned(*[won, lost] * 4)
    assert (len(legal.outcomes), legal.varies) == (2, [])
    for run in (won, lost):
        assert judged(legal, run).right
        assert judged(legal, run).exactly_once
    assert not judged(legal, seen("c", state={"winner": "c"}, effects={"prize-a": 1})).right
    assert judged(legal, seen("a", state={"winner": "b"}, effects={"prize-a": 1})).state_diff
    mixed_up = judged(legal, seen("a", state={"winner": "a"}, effects={"prize-b": 1}))
    assert mixed_up.right
    assert not mixed_up.exactly_once
    assert not judged(legal, replace(won, effects={"prize-a": 2})).exactly_once


def test_what_is_another_in_most_runs_is_not_compared() -> None:
    legal = learned(*(seen({"at": n, "who": "ada"}, state={"at": n, "kind": "x"}) for n in range(8)))
    (only,) = legal.outcomes
    assert only.value == {"at": VARIES, "who": "ada"}
    assert legal.varies == ["result", "state of Stock/ada"]
    assert judged(legal, seen({"at": 99, "who": "ada"}, state={"at": 5, "kind": "x"})).right
    assert not judged(legal, seen({"at": 99, "who": "bob"}, state={"at": 5, "kind": "x"})).right
    assert judged(legal, seen({"at": 9, "who": "ada"}, state={"at": 5, "kind": "y"})).state_diff


def test_how_often_an_effect_happens_may_vary_too() -> None:
    legal = learned(*(seen(effects={"email": n}) for n in range(1, 9)))
    assert legal.varies == ["email"]
    assert judged(legal, seen(effects={"email": 20})).exactly_once


def test_what_a_control_brings_is_legal_and_shows_that_there_is_more() -> None:
    legal = learned(seen("in time"), seen("in time"), seen("in time"))
    assert legal.learn(seen("too late"), control=True)
    assert matches(legal.outcomes[0], seen("too late"))
    assert judged(legal, seen("too late")).right
    assert judged(legal, seen("in time")).right
    assert not judged(legal, seen("in time", state={"count": 1})).right


def test_a_run_in_which_an_object_was_not_addressed_is_compared_as_well() -> None:
    there = replace(seen("x", state={"n": 1}), states={"Stock/ada": {"n": 1}, "Stock/bob": {"n": 1}})
    legal = learned(there, there, there)
    missing = judged(legal, replace(there, states={"Stock/ada": {"n": 1}}))
    assert missing.state_diff == ("Stock/bob: n is missing",)


def test_a_mismatch_counts_though_it_healed() -> None:
    legal = learned(seen(1), seen(1), seen(1))
    healed = judged(legal, seen(1, mismatches=("Shop/buy",)))
    assert (healed.result, healed.right) == ("mismatch", False)
    assert "it returned 2 instead of 1" in judged(legal, seen(2, mismatches=("Shop/buy",))).detail


def test_an_effect_blamed_on_another_branch_is_not_said_to_have_happened_again() -> None:
    usual = seen(causes=Counter({("email", "Shop/buy", "Run mail"): 1}))
    other = seen(causes=Counter({("email", "Shop/buy", "Run charge"): 1}))
    assert judged(learned(usual, usual, usual), other).twice == ()


# -- how often steps ran ------------------------------------------------------------------------------


def attempts(tale: Tale, *ends: str) -> Recording:
    """Attempts that all execute the step of entry 1, and end at once, are killed at a boundary, or propose a result."""
    for number, end in enumerate(ends):
        pod = f"shop-{number}"
        tale.pod(pod)
        on_pod = tale.start(pod, "inv_1", "Shop/buy")
        told = {"pod": pod, "attempt": on_pod}
        tale.say("entry.executed", **told, type="Run", entry=1, name="charge")
        if end == "handing over":
            where = ["out", "ProposeRunCompletion", 1]
            tale.say("attempt.crashed", **told, invocation="inv_1", boundary=where)
        if end in ("proposed", "stored"):
            tale.say("entry.proposed", **told, type="ProposeRunCompletion", entry=1)
        if end == "stored":
            tale.say("entry.completed", **told, type="Run completion", entry=1)
            tale.say("attempt.ended", **told).say("attempt.closed", **told)
        else:
            tale.gone(pod, "killed")
    return Recording(tale.events)


@pytest.mark.parametrize(
    ("ends", "begun", "returned"),
    [
        (("stored",), 1, 1),
        (("cut off", "stored"), 2, 1),
        (("proposed", "stored"), 2, 2),
        (("handing over", "stored"), 2, 2),
        (("cut off", "cut off", "cut off"), 3, 0),
    ],
)
def test_the_recording_knows_how_often_a_step_ran(ends: tuple[str, ...], begun: int, returned: int) -> None:
    recording = attempts(Tale().deploy(), *ends)
    crashes = [event for event in recording.events if isinstance(event, Accident)]
    found = steps([recording.invocation("inv_1")], recording.timeline, crashes)
    assert found == [Step("Shop/buy", "Run charge", begun, returned)]


def test_ran_twice_and_may_have_run_twice_are_told_apart() -> None:
    legal = learned(seen(), seen(), seen())
    twice, perhaps, usual = Step("A", "Run a", 2, 2), Step("A", "Run b", 2, 1), Step("A", "Run c", 3, 3)
    told = judged(legal, seen(steps=(twice, perhaps, usual)), usual={("A", "Run c"): 3})
    assert (told.ran_twice, told.perhaps_twice, told.steps) == (("A, Run a",), ("A, Run b",), 3)
    assert not told.steps_once


# -- what is not claimed ------------------------------------------------------------------------------


def atlas(*outcomes: Outcome, **basis: Any) -> Atlas:
    return Atlas("Shop/buy", "pod", [o.points[0] for o in outcomes], list(outcomes), Recording(), Basis(**basis))


def quiet(**more: Any) -> Outcome:
    return replace(outcome(point("a")), effects={}, expected={}, **more)


def test_nothing_observed_is_neither_green_nor_red() -> None:
    for nothing in (atlas(), atlas(quiet(result="not reached"))):
        with pytest.raises(NothingObserved, match="no run reached"):
            nothing.holds()
    assert atlas(quiet()).holds()
    with pytest.raises(NothingObserved, match=r'Fix: atlas.holds\(steps="exactly_once"\)'):
        atlas(quiet(steps=1, ran_twice=("Shop/buy, Run charge",))).holds(effects="exactly_once")
    zero = replace(outcome(point("a")), effects={"line": 0}, expected={"line": 0})
    with pytest.raises(NothingObserved):
        atlas(zero).holds(effects="at_least_once")
    with pytest.raises(NothingObserved, match="has none"):
        atlas(quiet()).holds(steps="exactly_once")
    assert not atlas(quiet(steps=1, perhaps_twice=("Shop/buy, Run charge",))).holds(steps="exactly_once")


def test_a_mismatch_without_any_crash_is_no_green_atlas() -> None:
    assert not atlas(quiet(), mismatches=("Shop/buy",)).holds()


def test_coverage_says_what_was_not_reached() -> None:
    assert mixed().coverage == "7 of 7 points; 1 not reached"
    assert mixed().rests_on == ["Tried: 7 of 7 points; 1 not reached", "Effects: HTTP to the ledger"]


def test_what_verdicts_rest_on_is_said() -> None:
    ingress = "Stock/ada/add, through the ingress"
    swept = atlas(
        replace(outcome(point("a")), effects={ingress: 2, "line": 1}, expected={ingress: 1, "line": 1}, steps=1),
        clean=8,
        legal=2,
        varies=("result",),
        accepted=True,
        counted=("line",),
        untried=("Stock/ada/remind, sent with a delay of 24 h 0 min",),
    )
    assert swept.rests_on == [
        "Tried: 1 of 1 point",
        "Right: any of 2 outcomes of 8 clean runs and of controls",
        "Effects: calls through the ingress, effects=",
        "Steps: each ran once, as recorded at the pods",
        "Result: right if accept= accepts it",
        "Not compared, because it differs in every run: result",
        "Not tried: Stock/ada/remind, sent with a delay of 24 h 0 min",
        "Called through the ingress: Stock/ada/add; a retry calls it again, and no crash was tried in it",
    ]
    assert repr(swept).endswith("\n".join(swept.rests_on))
