"""Lesson 09: tests that crash what they test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playground.current import current
from playground.errors import PlaygroundClosed
from playground.lessons import pytested
from playground.lessons.evidence import Evidence
from playground.lessons.facts import Claim, Term
from playground.lessons.feedback import Broken, CannotCheck, NotYet
from playground.lessons.mutation import Bug, Test
from playground.lessons.pytested import Report
from playground.lessons.question import Predict
from playground.lessons.trial import Trial
from playground.lessons.write import Write
from playground.restate.admin import as_json

_DOCS = "https://docs.restate.dev"

TERMS = (
    Term("fixture", "What pytest prepares for a test and cleans up afterwards: here, a playground."),
    Term("mutant", "A copy of some code with one bug put in on purpose, to see whether a test finds it."),
)
CLAIMS = (
    Claim(
        "after one minute without progress",
        f"{_DOCS}/services/configuration",
        "worker.invoker.inactivity-timeout",
        "1m",
    ),
)

TICKETS = """
import os

import httpx
import restate

tickets = restate.Service("Tickets")


def post(kind: str, body: dict, key: str) -> None:
    url = os.environ["LEDGER_URL"] + "/" + kind
    httpx.post(url, json=body, headers={"idempotency-key": key}).raise_for_status()


@tickets.handler()
async def buy(ctx: restate.Context, order: dict) -> str:
    key = str(ctx.uuid())

    def charge() -> None:
        post("payment", order, key)

    def mail() -> None:
        post("email", order, key)

    await ctx.run_typed("charge", charge)
    await ctx.run_typed("mail", mail)
    return f"a ticket for {order['buyer']}"
"""
"""The service that the lesson tests, exactly as in its notebook."""

MUTANT = "without a key"
_MUTANTS = {MUTANT: (', headers={"idempotency-key": key}', "")}
_reports: list[Report] = []


def pytest(*tests: Callable[..., Any]) -> Report:
    """Run tests under pytest, on the service `tickets` as it is deployed now and on its mutant."""
    service = current().services.get("tickets")
    if service is None:
        raise PlaygroundClosed("The service tickets is not deployed.", "", "Run the cell with %%service tickets.")
    recording = current().recording
    with recording.lock:
        source = recording.timeline.revisions[service.revision].source
    versions = {"as it is": source}
    versions |= {name: source.replace(*change) for name, change in _MUTANTS.items() if change[0] in source}
    _reports.append(pytested.run(tests, versions, name="tickets"))
    return _reports[-1]


def _finds_the_mutant(evidence: Evidence) -> str:
    if not _reports:
        raise CannotCheck("pytest has not run yet.", "Run the cells between question and check first.")
    failed = _reports[-1].failed(MUTANT)
    return failed[0].test if len(failed) == 1 else f"{len(failed)} tests"


mutant_found_by = Predict(
    "mutant_found_by",
    "Which of the three tests fails for the mutant?",
    answer="test_a_lost_answer",
    options=("test_a_ticket_is_sold", "test_a_lost_answer", "test_a_dead_server", "none of them"),
    observe=_finds_the_mutant,
    mistakes={
        "test_a_ticket_is_sold": "Nothing goes wrong in it, so every step runs once, and nobody needs a key.",
        "test_a_dead_server": "It looks at the result alone, and the result is right, key or no key.",
        "none of them": "One of them makes happen what a key is good for: the same payment is asked for twice.",
    },
    hints=[
        "What is a key good for? When is the same payment asked for twice?",
        "A test finds it if it makes that happen, and then counts payments.",
        "Only one of the three counts payments.",
    ],
    because="The answer is lost, so the step runs again. Without a key the second request is a second payment.",
)

paid_once_test = Test(
    "paid_once_test",
    "Write a test that passes for Tickets/buy as it is, and fails for a version in which a buyer does not pay "
    "exactly once.",
    service="tickets",
    correct=TICKETS,
    bugs=[
        Bug(
            "no idempotency key",
            ', headers={"idempotency-key": key}',
            "",
            says="With it, a payment whose answer is lost is made twice. What in your test would notice two payments?",
        ),
        Bug(
            "a new key in every attempt",
            "key = str(ctx.uuid())",
            "key = os.urandom(8).hex()",
            says="With it, the second attempt asks with another key, so there are two payments. "
            "What in your test would notice?",
        ),
        Bug(
            "a refused payment is taken for paid",
            '        post("payment", order, key)\n',
            '        try:\n            post("payment", order, key)\n'
            "        except httpx.HTTPStatusError:\n            pass\n",
            says="With it, a refused payment is never tried again: the ticket is sold, and nobody has paid. "
            "What refuses a payment in your test?",
        ),
    ],
    starter="""
def test_a_buyer_pays_exactly_once(pg):
    result = pg.call("Tickets/buy", {"buyer": "ada", "show": "Hamlet"})
    assert result == "a ticket for ada"
""",
    solution="""
def test_a_buyer_pays_exactly_once(pg):
    atlas = pg.atlas("Tickets/buy", {"buyer": "ada", "show": "Hamlet"}, target="ledger")
    broken = atlas.broken(effects="exactly_once")
    assert not broken, f"not exactly once: {broken[0].points[0]}"
""",
    hints=[
        "Exactly once is not at least once, and not at most once. A bug of either kind is among the mutants.",
        "Two things can go wrong with a payment: its answer is lost, or it is refused. "
        'pg.ledger.misbehave("payment", ...) does either, and pg.ledger.count("payment") counts.',
        'pg.atlas(..., target="ledger") does both, to every effect. What does .broken(effects="exactly_once") hold?',
    ],
    because="The atlas loses the answer of every effect once, and refuses every effect once. A test with one "
    "misbehaviour after the other does as well.",
)


replay_attempts = Predict(
    "replay_attempts",
    "The playground suspends at every wait. How many attempts will Tickets/buy have?",
    answer=3,
    unit="attempts",
    observe=lambda evidence: len(evidence.attempts(evidence.latest("Tickets/buy"))),
    mistakes={
        1: "That is what it has with the usual timeout. Now every await that has to wait ends an attempt.",
        2: "There is one for each step, which ends when the handler waits for its result. And then?",
        4: "Input and output are no waits: nothing is awaited there.",
    },
    hints=[
        "How many times does buy await something?",
        "Each of these ends an attempt, and the next begins at the top.",
        "Two attempts end at an await. One more gets to the return.",
    ],
    because="Two attempts end at an await; the third replays both steps and returns.",
)

_RAFFLE = """
import os
import random

import httpx
import restate

raffle = restate.Service("Raffle")


def post(kind: str, body: dict, key: str) -> None:
    url = os.environ["LEDGER_URL"] + "/" + kind
    httpx.post(url, json=body, headers={"idempotency-key": key}).raise_for_status()


@raffle.handler()
async def draw(ctx: restate.Context, names: list) -> str:
    key = str(ctx.uuid())
    winner = random.choice(names)
    await ctx.run_typed(f"mail {winner}", lambda: post("email", {"to": winner}, key))
    await ctx.run_typed(f"publish {winner}", lambda: post("news", {"winner": winner}, key))
    return winner
"""


def _draws(trial: Trial) -> str:
    if trial.pg.settings.inactivity_timeout > 0.1:
        raise CannotCheck(
            "This playground does not suspend at every wait.",
            "Run the cell with Playground.open(inactivity_timeout=0), and those below it.",
        )
    names = [f"{n}-{trial.token}" for n in range(500)]
    winners = []
    for _ in range(3):
        invocation = trial.send("Raffle/draw", names)
        try:
            winner = trial.result(invocation)
        except Broken as broken:
            if broken.code != 570:
                raise
            raise NotYet(
                "an attempt asked for another step than the attempt before: a journal mismatch",
                "every attempt draws the winner that the first one drew",
                "The draw is made again in every attempt, and nothing keeps it.",
            ) from None
        bodies = [as_json(effect.body) for effect in trial.effects(of=invocation.trace)]
        named = {repr(name) for body in bodies for name in (body.values() if isinstance(body, dict) else [body])}
        if named != {repr(winner)}:
            raise NotYet(
                f"the draw was won by {winner!r}; told to the world: {', '.join(sorted(named)) or 'nothing'}",
                "one winner in the mail, in the news and in the result",
                "How often is a winner drawn? Draw once, and use that.",
            )
        winners.append(repr(winner))
    if len(set(winners)) == 1:
        raise NotYet(
            f"three raffles of {len(names)} names were all won by the same",
            "each draw is by chance",
            "A generator that always starts with the same seed always draws the same.",
        )
    return "three raffles, each with one winner, the same in every attempt"


same_way_twice = Write(
    "same_way_twice",
    "Repair Raffle/draw: by chance, but every attempt must go the same way.",
    service="raffle",
    starter=_RAFFLE,
    solution=_RAFFLE.replace("random.choice", "ctx.random().choice").replace("import random\n", ""),
    probe=_draws,
    hints=[
        "Every attempt runs draw from its first line. What is different the second time?",
        "What the journal does not have is made again. Lesson 02 has two ways to use chance in a handler.",
        "ctx.random() is a random.Random that gives every attempt the same numbers. "
        "A step whose result is the winner does as well.",
    ],
    because="ctx.random() is seeded by the invocation: other raffles draw other winners, other attempts the same one.",
)
