"""Lesson 06: requests, events and messages that come twice but count once."""

from __future__ import annotations

import json
from typing import Any

from playground.errors import PodNotFound
from playground.lessons.evidence import Evidence
from playground.lessons.facts import Claim, Term
from playground.lessons.feedback import CannotCheck, NotYet
from playground.lessons.question import Predict, Read
from playground.lessons.trial import Trial
from playground.lessons.write import Write

_DOCS = "https://docs.restate.dev"

TERMS = (
    Term(
        "attach",
        "To wait for the result of an invocation that somebody else, or you yourself, started earlier.",
        f"{_DOCS}/services/invocation/http",
    ),
    Term("CloudEvent", "A description of something that happened, in a common format. Its source and id identify it."),
    Term(
        "one-way call",
        "A call whose caller does not wait for the result.",
        f"{_DOCS}/develop/python/service-communication",
    ),
    Term("delayed call", "A one-way call that starts later; Restate keeps it until then."),
    Term(
        "fan-out",
        "To start many calls at once, and then wait for all of them.",
        f"{_DOCS}/guides/parallelizing-work",
    ),
)

CLAIMS = (
    Claim(
        "for one day after the invocation has ended",
        f"{_DOCS}/services/invocation/http",
        "default-idempotency-retention",
        "1d",
    ),
)


def _happened(evidence: Evidence, kind: str, word: str) -> int:
    """How often an effect of a kind happened with a word in its body, even if the ledger was cleared since."""
    if evidence.playground is not None:
        evidence.playground.ledger.entries()  # waits until the recording has everything the ledger has
    with evidence.recording.lock:
        effects = evidence.recording.timeline.effects
        return sum(effect.kind == kind and effect.became == "happened" and word in effect.body for effect in effects)


def _payments_for_order_7(evidence: Evidence) -> int:
    if not (payments := _happened(evidence, "payment", "order 7")):
        raise CannotCheck("Nobody has paid for order 7 yet.", "Run the cells between question and check first.")
    return payments


payments_for_one_key = Predict(
    "payments_for_one_key",
    "Three requests carry the key 'order-7'; the third asks for something else. How many payments will there be?",
    answer=1,
    unit="payments",
    observe=_payments_for_order_7,
    mistakes={
        2: "The third has another body, but Restate does not compare bodies: the key alone decides.",
        3: "All three have the same key, so they are one and the same invocation.",
        0: "The first request is like any other: it is carried out.",
    },
    hints=[
        "What makes two requests the same in Restate's eyes?",
        "The key does, together with the handler. Does the body play a part?",
        "It does not. All three get the result of the first.",
    ],
    because="One handler and one key are one invocation, whatever the body says. So never use a key for two things.",
)


def _total(evidence: Evidence, key: str) -> int:
    evidence.latest(f"Points/{key}/earned")
    if evidence.playground is None:
        raise CannotCheck("A recording does not have the state.", "Run this notebook from its first cell.")
    return int(evidence.playground.state("Points", key).get("total", 0))


points_by_id = Predict(
    "points_by_id",
    "The id alone is the idempotency key. What will Ada's total be when all four deliveries are done?",
    answer=30,
    unit="points",
    observe=lambda evidence: _total(evidence, "ada"),
    mistakes={
        35: "That would be right. But the app's event has id 1, as the shop's first: it was taken for the same.",
        45: "The second delivery of the shop's event 1 has the same key as the first, so it counted once.",
        40: "The redelivery has the key of the first delivery, so it did not count; nor did the app's event 1.",
        10: "The shop's event 2 has an id of its own, so it counted.",
    },
    hints=[
        "Write down the idempotency key of each of the four deliveries.",
        "They are 1, 1, 2 and 1.",
        "So three of them are one invocation: that of the first. Only the first's points and those of event 2 count.",
    ],
    because="The shop's event 1 and the app's event 1 had the same key, so the app's 5 points were lost.",
)


def _reminders(evidence: Evidence) -> int:
    evidence.latest("Shop/ship")
    evidence.latest("Shop/remind")
    return _happened(evidence, "email", "sofa")


reminders_after_kill = Predict(
    "reminders_after_kill",
    "The pod is killed while it packs. How many reminders (email) will have been sent in the end?",
    answer=1,
    unit="reminders",
    observe=_reminders,
    mistakes={
        0: "The pod died, but the message was not in the pod: Restate had it.",
        2: "The handler ran again from its first line. But the message was in the journal: it was not sent again.",
        3: "There were two attempts, and the second found the message in the journal.",
    },
    hints=[
        "service_send is an entry of the journal, like a call.",
        "The second attempt comes to service_send again. What does it find in the journal?",
        "It is replayed: nothing is sent a second time. And the first message is safe with Restate.",
    ],
    because="A message is sent by an entry of the journal, so it is sent exactly once, and kept until it is due.",
)

_STARTER = '''
import restate

points = restate.VirtualObject("Points")


@points.handler()
async def earned(ctx: restate.ObjectContext, event: dict) -> int:
    """Count an event's points. An event that was counted before changes nothing."""
    total = await ctx.get("total") or 0
    total = total + event["data"]["points"]
    ctx.set("total", total)
    return total
'''

_SOLUTION = '''
import restate

points = restate.VirtualObject("Points")


@points.handler()
async def earned(ctx: restate.ObjectContext, event: dict) -> int:
    """Count an event's points. An event that was counted before changes nothing."""
    total = await ctx.get("total") or 0
    counted = await ctx.get("counted") or []
    name = [event["source"], event["id"]]
    if name not in counted:
        total = total + event["data"]["points"]
        ctx.set("counted", [*counted, name])
        ctx.set("total", total)
    return total
'''


def _event(source: str, number: int, amount: int) -> dict[str, Any]:
    about = {"specversion": "1.0", "type": "points.earned", "source": source, "id": str(number), "subject": "ada"}
    return {**about, "data": {"points": amount}}


def _probe_events(trial: Trial) -> str:
    key = trial.key()
    target = f"Points/{key}/earned"
    delivered: list[str] = []

    def deliver(source: str, number: int, amount: int, total: int, mistake: str) -> None:
        again = f"{source} {number}" in delivered
        delivered.append(f"{source} {number}")
        returned = trial.call(target, _event(source, number, amount))
        if returned == total:
            return
        if again and set(trial.pg.state("Points", key)) <= {"total"}:
            mistake += " What a pod has in memory is gone with the pod. Keep it in the object's state."
        raise NotYet(
            f"after the events {', '.join(delivered)}: earned returned {json.dumps(returned)}", str(total), mistake
        )

    deliver("shop", 1, 10, 10, "The first event is new: its points count.")
    deliver("shop", 1, 10, 10, "The same event came again. It changes nothing, and the total is returned as it is.")
    deliver("shop", 2, 10, 20, "This is a new event that says the same as the one before: only source and id tell.")
    deliver("app", 1, 5, 25, "Two sources may use the same id. An event is known by its source and its id together.")
    deliver("shop", 1, 10, 25, "An old event came again after newer ones. Remember all of them, not only the latest.")
    try:
        trial.pg.kill_pod(trial.service)
    except PodNotFound:
        pass  # it has scaled to zero meanwhile, which has the same effect
    deliver("shop", 2, 10, 25, "The pod was killed. What an object has counted must outlive its pod.")
    return f"the events {', '.join(delivered)} make a total of 25, across a kill"


count_each_event_once = Write(
    "count_each_event_once",
    "Complete earned so that each event counts once, however often it is delivered, with no idempotency key.",
    service="points",
    starter=_STARTER,
    solution=_SOLUTION,
    probe=_probe_events,
    hints=[
        "earned has to remember which events it has counted. Where does an object keep what must outlive its pod?",
        "In its state: ctx.get and ctx.set, as the total. What identifies an event? Not its id alone.",
        'Keep a list of [event["source"], event["id"]] in the state. Only if the event is not in it, count and append.',
    ],
    because="Total and list are written by the same invocation, and one invocation of a key runs at a time. So no "
    "other delivery can come between the look and the write.",
)


def _calls_under_way(evidence: Evidence) -> int:
    trace = evidence.latest("Shop/cheapest")
    with evidence.recording.lock:
        marks = trace.attempts[0].marks if trace.attempts else {}
        calls = [marks[entry.row] for entry in trace.entries if entry.type == "Call" and entry.row in marks]
    answers = [call.until for call in calls if call.until is not None]
    if not answers:
        raise CannotCheck("The first attempt got no answer to a call.", "Run the cells above as they are.")
    first = min(answers)
    return sum(call.at < first for call in calls)


calls_under_way = Read(
    "calls_under_way",
    "Look at the picture of Shop/cheapest. How many calls were under way when the first answer came?",
    answer=3,
    unit="calls",
    observe=_calls_under_way,
    mistakes={
        1: "That is what it would be with `await` before each call. Here no call waits for the one before it.",
        2: "Look at where the bars begin: the third call was made with the other two.",
        0: "An answer comes to a call that is under way, so there was at least that one.",
    },
    hints=[
        "In the picture, each call is a bar. Where does it begin, and where does it end?",
        "Find the bar that ends first. Which other bars have begun by then?",
        "All the bars begin at the same place.",
    ],
    because="All the calls were made before the first `await`. Three answers take as long as the slowest of them.",
)
