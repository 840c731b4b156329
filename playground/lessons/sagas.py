"""Lesson 05: undo what was done, in reverse order, even if nobody knows what was done."""

from __future__ import annotations

from playground.lessons.evidence import Evidence
from playground.lessons.facts import Term
from playground.lessons.feedback import NotYet
from playground.lessons.question import Predict, Read
from playground.lessons.trial import Trial
from playground.lessons.write import Write
from playground.recording import Trace

_DOCS = "https://docs.restate.dev"
BOOKINGS = ("flight", "hotel", "payment")

TERMS = (
    Term(
        "saga",
        "Steps at different places, each with something that undoes it: either all of them stay, or none.",
        f"{_DOCS}/guides/sagas",
    ),
    Term("compensation", "A step that undoes an earlier one: a cancellation for a booking, a refund for a payment."),
    Term(
        "cancel",
        "To ask an invocation to stop: its handler gets a terminal error at its next await, and can clean up.",
        f"{_DOCS}/services/invocation/managing-invocations",
    ),
)


def _kinds(evidence: Evidence, trace: Trace) -> list[str]:
    """The kinds of all effects of an invocation, in order, even if the ledger was cleared since."""
    if evidence.playground is not None:
        evidence.playground.ledger.entries()  # waits until the recording has everything the ledger has
    with evidence.recording.lock:
        effects = evidence.recording.timeline.effects
        return [effect.kind for effect in effects if effect.invocation == trace.id and effect.became == "happened"]


declined_again = Read(
    "declined_again",
    "Look at the lens of Trip/oslo/book. What did the last attempt do with 'payment'?",
    answer="replayed",
    options=("executed", "replayed", "cut off", "failed"),
    observe=lambda evidence: evidence.how(evidence.latest("Trip/oslo/book"), "payment"),
    mistakes={
        "executed": "The first attempt did that. That the card has expired was then in the journal, like any result.",
        "cut off": "That was 'cancel hotel', in the first attempt: the pod was killed there.",
        "failed": "The step had failed before the kill, in the first attempt. The second one did not ask the bank.",
    },
    hints=[
        "Find the row 'Run payment', and in it the last column.",
        "A filled mark is executed, a hollow one is replayed. Was the bank asked a second time?",
        "A terminal error ends a step. What ends a step is in the journal.",
    ],
    because="A terminal error is a result like any other: it is in the journal, so it is raised again, and nobody is "
    "asked again. That is how the second attempt came to the very same `except`.",
)

undone_by_cancel = Predict(
    "undone_by_cancel",
    "The trip to Lima waits for a card, and is cancelled. How many bookings will have been undone when it has ended?",
    answer=2,
    unit="bookings",
    observe=lambda evidence: sum(
        kind.startswith("cancel-") for kind in _kinds(evidence, evidence.latest("Trip/lima/book"))
    ),
    mistakes={
        0: "That would be inv.kill(), which runs no code. inv.cancel() lets the handler go on, with a terminal error.",
        1: "The handler goes through the whole list: first the hotel, then the flight.",
        3: "There was no card, so nothing was paid: 'payment' was not on the list yet.",
    },
    hints=[
        "Where is the handler when it is cancelled? What has it booked by then?",
        "inv.cancel() raises a TerminalError at the await where the handler waits.",
        "That await is inside the try. What is on the list by then?",
    ],
    because="The cancellation arrived as a TerminalError at `await given`, inside the try. Flight and hotel were on "
    "the list.",
)


def _left_booked(evidence: Evidence) -> str:
    kinds = _kinds(evidence, evidence.latest("Trip/bern/book"))
    return " and ".join(kind for kind in BOOKINGS if kind in kinds and f"cancel-{kind}" not in kinds) or "nothing"


left_booked = Predict(
    "left_booked",
    "The hotel books, but its answer is lost. What will still be booked when the trip to Bern has ended?",
    answer="hotel",
    options=("nothing", "flight", "hotel", "flight and hotel"),
    observe=_left_booked,
    mistakes={
        "nothing": "The flight was undone. The hotel was not on the list: its line comes after the step that failed.",
        "flight": "The flight was on the list by then, so it was undone.",
        "flight and hotel": "The flight was on the list by then, so it was undone. The hotel was not.",
    },
    hints=[
        "The step for the hotel ends with a TerminalError. Which line comes next?",
        'After the step comes booked.append("hotel"). Is that line reached?',
        "So the list has only the flight. And the hotel has a room for you.",
    ],
    because="The hotel had booked. But its step ended with an error, so the line that notes it was never reached.",
)

_SOURCE = '''
import os

import httpx
import restate

ONE_TRY = restate.RunOptions(max_attempts=1)


def ask(kind: str, trip_id: str) -> None:
    """Ask a partner for something: the airline, the hotel, the bank."""
    key = {"idempotency-key": f"{kind} {trip_id}"}
    answer = httpx.post(os.environ["LEDGER_URL"] + "/" + kind, json={"trip": trip_id}, headers=key)
    if answer.is_error:
        raise RuntimeError(answer.json()["error"])


def pay(trip_id: str, card: str) -> None:
    if card == "expired":
        raise restate.TerminalError("the card has expired")
    ask("payment", trip_id)


trip = restate.VirtualObject("Trip")


@trip.handler()
async def book(ctx: restate.ObjectContext, card: str) -> str:
    booked: list[str] = []
    try:
        await ctx.run_typed("flight", ask, ONE_TRY, "flight", ctx.key())
        booked.append("flight")

        await ctx.run_typed("hotel", ask, ONE_TRY, "hotel", ctx.key())
        booked.append("hotel")

        await ctx.run_typed("payment", pay, ONE_TRY, ctx.key(), card)
        booked.append("payment")
    except restate.TerminalError:
        for kind in reversed(booked):
            await ctx.run_typed(f"cancel {kind}", ask, kind=f"cancel-{kind}", trip_id=ctx.key())
        raise
    return f"{ctx.key()} is booked"
'''


def _early(source: str) -> str:
    """The source, with each compensation noted before its step."""
    for kind in BOOKINGS:
        late = f'        booked.append("{kind}")\n'
        step = f'        await ctx.run_typed("{kind}"'
        source = source.replace(late, "").replace(step, late + step)
    return source


def _probe_in_time(trial: Trial) -> str:
    target = f"Trip/{trial.key('oslo')}/book"
    refused = trial.refuses(target, "expired")
    undone = [kind for kind in _kinds(trial, trial.latest(target)) if kind in ("cancel-flight", "cancel-hotel")]
    observed = f"with an expired card, these are undone: {', '.join(undone) or 'none'}"
    if undone == ["cancel-flight", "cancel-hotel"]:
        raise NotYet(
            observed, "cancel-hotel, then cancel-flight", "Undo in reverse order: what was booked last is undone first."
        )
    if undone != ["cancel-hotel", "cancel-flight"]:
        raise NotYet(observed, "cancel-hotel, then cancel-flight", "Both were booked when the bank said no.")
    if refused is None:
        raise NotYet(
            "with an expired card, book returns as if all were well",
            "it ends with the bank's error",
            "When everything is undone, raise the error again: the caller has to know.",
        )

    target = f"Trip/{trial.key('rome')}/book"
    trial.call(target, "visa")
    kinds = _kinds(trial, trial.latest(target))
    if any(kind.startswith("cancel-") for kind in kinds):
        raise NotYet(
            f"a trip that succeeds: {', '.join(kinds)}",
            ", ".join(BOOKINGS),
            "A trip that succeeds must not be undone. `finally` runs after a success, too; `except` does not.",
        )

    trial.pg.ledger.misbehave("flight", fail=1)
    if trial.refuses(f"Trip/{trial.key('lima')}/book", "visa") is None:
        raise NotYet(
            "the airline refuses once, and book returns as if all were well",
            "after one try that fails, the trip is given up",
            "Leave ONE_TRY where it is, and let its error out: what follows from an error is what this is about.",
        )

    atlas = trial.atlas(f"Trip/{trial.key('cairo')}/book", "visa", target="ledger")
    for outcome in atlas:
        (point,) = outcome.points
        if outcome.result != "failed":
            why = outcome.detail or "book returns as if all were well"
            raise NotYet(f"in the atlas, when {point.name}: {why}", "the trip ends with an error", "")
        for kind in BOOKINGS:
            if outcome.effects.get(kind) and not outcome.effects.get(f"cancel-{kind}"):
                raise NotYet(
                    f"in the atlas, when {point.name}: {kind} happened, and nothing undid it",
                    "whatever may have happened is undone",
                    f"When is {kind} written down: before its step, or after it?",
                )
    return f"a crash atlas of {len(atlas)} runs, and nothing stays booked or paid in any of them"


compensate_in_time = Write(
    "compensate_in_time",
    "Repair book: whatever a partner does with a request, nothing may stay booked or paid when the trip fails.",
    service="trip",
    starter=_SOURCE,
    solution=_early(_SOURCE),
    probe=_probe_in_time,
    hints=[
        "Look at the atlas: which bookings stay? In each of these runs, what is the last line of the try that was run?",
        "An error from a step does not say that nothing happened. So the list must not wait for the step's success.",
        'Move booked.append("flight") to the line before its step, and the other two likewise.',
    ],
    because="What may have happened is on the list before it can happen. So sometimes something is undone that never "
    "was: the partner has to put up with that.",
)
