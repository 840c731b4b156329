"""Atlases to test views on: outcomes as a sweep would find them, and a recording of the runs."""

from __future__ import annotations

from typing import Any

from playground.atlas import Outcome, Point
from playground.shown import Atlas, Recording
from tests.unit.stories import Tale

PLACES = ("before it starts", "before Run charge is sent", "before Output is sent")


def point(name: str, invocation: str = "Shop/buy", role: str = "0", act: str = "kill") -> Point:
    """A point of that name."""
    where = ("effect", "payment", None) if act in ("fail", "lose_answer") else ("out", "Run", 1)
    return Point(act, role, where, 1, invocation, name)


def outcome(*points: Point, payment: int = 1, email: int = 0, number: int = 0, **more: Any) -> Outcome:
    """An outcome; in a clean run there is one payment and no email."""
    fields: dict[str, Any] = {"result": "right", "detail": "", "state_diff": (), **more}
    return Outcome(
        points=points or (point(PLACES[0]),),
        effects={"email": email, "payment": payment},
        expected={"email": 0, "payment": 1},
        invocation=f"inv_{number}",
        **fields,
    )


def runs(count: int) -> Recording:
    """So many runs of a buy that calls the stock, on pods that are shared; each run's buy is killed once."""
    tale = Tale().deploy()
    for number in range(count):
        pods = [f"shop-{number}-{n}" for n in range(2)]
        tale.send(f"inv_{number}", "Shop/buy").pod(pods[0])
        first = tale.start(pods[0], f"inv_{number}", "Shop/buy")
        tale.say("entry.executed", pod=pods[0], attempt=first, type="Call", entry=1, target="Stock/ada/add")
        call = {"pod": pods[0], "attempt": first, "entry": 1}
        tale.say("entry.completed", **call, type="Call invocation id", callee=f"inv_{number}_callee")
        tale.pod(pods[1])
        tale.end(pods[1], tale.start(pods[1], f"inv_{number}_callee", "Stock/ada/add"))
        tale.gone(pods[0], "killed")
        tale.end(pods[1], tale.start(pods[1], f"inv_{number}", "Shop/buy"))
        tale.gone(pods[1], "killed")  # by another run's accident
    return Recording(tale.events)


def mixed() -> Atlas:
    """One of everything."""
    callee = point("before SetState count is sent", "Stock/ada/add", "0.1")
    outcomes = [
        outcome(point(PLACES[0]), number=0),
        outcome(point(PLACES[1]), payment=2, twice=("payment in Shop/buy, Run charge",), number=1),
        outcome(callee, state_diff=("Stock/ada: count is 2 instead of 1",), number=2),
        outcome(point(PLACES[2]), result="stuck", detail="Shop/buy: journal mismatch, on every retry", number=3),
        outcome(point("after it"), result="wrong", detail="it returned 1 instead of 2", payment=0, number=4),
        outcome(point("at the end"), result="failed", detail="500: no", email=5, number=5),
        outcome(point("never"), result="not reached", detail="the run did not reach this point again", number=6),
    ]
    return Atlas("Shop/buy", "pod", [o.points[0] for o in outcomes], outcomes, runs(len(outcomes)))


def large(count: int) -> Atlas:
    """A sweep over many points, every seventh of which deviates."""
    outcomes = [
        outcome(point(f"point {n}", f"Shop/{n // 50}"), payment=2 if n % 7 == 3 else 1, number=n % 3)
        for n in range(count)
    ]
    return Atlas("Shop/buy", "pod", [o.points[0] for o in outcomes], outcomes, runs(3))


BAD = '</script><img src=x onerror="window.broken = 1">\u202e"quoted" \x00\ud800'


def hostile() -> Atlas:
    """An atlas all of whose texts are out to get us."""
    outcomes = [
        Outcome(
            points=(point(BAD, BAD),),
            result="wrong",
            detail=BAD * 1000,
            state_diff=(f"{BAD}: {BAD} is missing",) * 50,
            effects={BAD: 2},
            expected={BAD: 1},
            invocation="inv_0",
            twice=(f"{BAD} in {BAD}",),
        )
    ]
    return Atlas(BAD, "pod", [point(BAD, BAD)], outcomes, runs(1))
