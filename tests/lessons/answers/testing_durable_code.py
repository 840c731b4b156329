"""Other answers to the exercises of lesson 09."""

from __future__ import annotations

from playground.lessons import testing_durable_code as lesson
from tests.lessons.answers import Right, Wrong

_RAFFLE = lesson.same_way_twice.starter
_DRAW = "    winner = random.choice(names)\n"

WRONG = {
    "paid_once_test": [
        Wrong(
            "nothing goes wrong in it",
            "",
            """
def test_a_buyer_pays_exactly_once(pg):
    pg.call("Tickets/buy", {"buyer": "ada", "show": "Hamlet"})
    assert pg.ledger.count("payment") == 1
""",
            says="What in your test would notice two payments?",
        ),
        Wrong(
            "only a lost answer",
            "",
            """
def test_a_buyer_pays_exactly_once(pg):
    pg.ledger.misbehave("payment", lose_answer=1)
    pg.call("Tickets/buy", {"buyer": "ada", "show": "Hamlet"})
    assert pg.ledger.count("payment") == 1
""",
            says="What refuses a payment in your test?",
        ),
        Wrong(
            "only a refused payment",
            "",
            """
def test_a_buyer_pays_exactly_once(pg):
    pg.ledger.misbehave("payment", fail=1)
    pg.call("Tickets/buy", {"buyer": "ada", "show": "Hamlet"})
    assert pg.ledger.count("payment") == 1
""",
            says="Slipped through: “no idempotency key”, “a new key in every attempt”.",
        ),
        Wrong(
            "counts requests, not payments",
            "",
            """
def test_a_buyer_pays_exactly_once(pg):
    pg.ledger.misbehave("payment", lose_answer=1)
    pg.call("Tickets/buy", {"buyer": "ada", "show": "Hamlet"})
    assert len(pg.ledger.entries("payment")) == 1
""",
            says="A test that fails where nothing is wrong is soon switched off.",
        ),
    ],
    "same_way_twice": [
        Wrong(
            "a generator of its own",
            "",
            _RAFFLE.replace("random.choice", "random.SystemRandom().choice"),
            says="The draw is made again in every attempt",
        ),
        Wrong(
            "always the same seed",
            "",
            _RAFFLE.replace("random.choice", "random.Random(7).choice"),
            says="always starts with the same seed",
        ),
        Wrong(
            "drawn by the clock",
            "",
            _RAFFLE.replace("random.choice(names)", "names[time.time_ns() // 1000 % len(names)]").replace(
                "import random", "import time"
            ),
            says="The draw is made again in every attempt",
        ),
        Wrong(
            "drawn in each step",
            "",
            _RAFFLE.replace(_DRAW, "")
            .replace("winner}, key", "random.choice(names)}, key")
            .replace(' {winner}", lambda', '", lambda')
            .replace("return winner", "return random.choice(names)"),
            says="Draw once, and use that.",
        ),
    ],
}

RIGHT = {
    "paid_once_test": [
        Right(
            "one misbehaviour after the other",
            "",
            """
def test_a_buyer_pays_exactly_once(pg):
    for misbehaviour in ({"lose_answer": 1}, {"fail": 1}):
        pg.ledger.clear()
        pg.ledger.misbehave("payment", **misbehaviour)
        pg.call("Tickets/buy", {"buyer": "ada", "show": "Hamlet"})
        assert pg.ledger.count("payment") == 1
""",
        ),
    ],
    "same_way_twice": [
        Right(
            "drawn in a step of its own",
            "",
            _RAFFLE.replace("random.choice(names)", 'await ctx.run_typed("draw", random.choice, seq=names)'),
        ),
    ],
}
