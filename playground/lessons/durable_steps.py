"""Lesson 02: steps, their retries, when they can be cut off, and what replay requires of code."""

from __future__ import annotations

from playground.lessons.evidence import Evidence
from playground.lessons.facts import Claim, Term
from playground.lessons.feedback import Broken, CannotCheck, NotYet
from playground.lessons.question import Predict
from playground.lessons.trial import Trial
from playground.lessons.write import Write
from playground.recording import Effect, Trace

_DOCS = "https://docs.restate.dev"
_DEFAULTS = f"{_DOCS}/references/server-config"

TERMS = (
    Term(
        "back-off",
        "Waiting before a retry, longer each time, so that a service in trouble is not asked all the time.",
        f"{_DOCS}/guides/error-handling",
    ),
    Term(
        "paused",
        "Of an invocation: Restate has given up retrying it for now. It is kept until somebody resumes it.",
        f"{_DOCS}/services/invocation/managing-invocations",
    ),
    Term("crash atlas", "What becomes of an invocation whose pod is killed at each point of its journal in turn."),
    Term(
        "idempotency key",
        "A name for one request. Whoever gets the same name again answers as before, and does nothing twice.",
    ),
    Term(
        "deterministic",
        "Of a handler: with the same journal it asks for the same entries in the same order.",
        f"{_DOCS}/develop/python/durable-steps",
    ),
    Term(
        "journal mismatch",
        "A handler asks for something other than what its journal says it asked for before: error 570, or RT0016.",
        f"{_DOCS}/references/errors",
    ),
)

CLAIMS = (
    Claim("the first wait is 500 ms", _DEFAULTS, "default-retry-policy.initial-interval", "500ms"),
    Claim(
        "each wait is twice as long as the one before", _DEFAULTS, "default-retry-policy.exponentiation-factor", "2.0"
    ),
    Claim("up to one minute", _DEFAULTS, "default-retry-policy.max-interval", "1m"),
    Claim("After 70 attempts", _DEFAULTS, "default-retry-policy.max-attempts", "70"),
    Claim("the invocation is *paused*", _DEFAULTS, "default-retry-policy.on-max-attempts", "pause"),
)


def _requests(evidence: Evidence, trace: Trace, kind: str) -> list[Effect]:
    """Every request of a kind that an invocation sent to the outside world, even if it was refused there."""
    if evidence.playground is not None:
        evidence.playground.ledger.entries()  # waits until the recording has everything the ledger has
    with evidence.recording.lock:
        return [e for e in evidence.recording.timeline.effects if e.invocation == trace.id and e.kind == kind]


def _happened(evidence: Evidence, trace: Trace, kind: str) -> int:
    return sum(effect.became == "happened" for effect in _requests(evidence, trace, kind))


def _emails_and_gifts(evidence: Evidence) -> tuple[int, int]:
    greet = evidence.latest("Welcome/greet")
    if greet.entry("order gift") is None:
        raise CannotCheck(
            "The last Welcome/greet has no step 'order gift': it is the one in plain code.",
            "Run the cells between question and check first.",
        )
    return _happened(evidence, greet, "email"), _happened(evidence, greet, "gift")


emails_and_gifts = Predict(
    "emails_and_gifts",
    "The pod is killed inside 'order gift', when the gift is ordered and the step has not ended. How many emails and "
    "how many gifts will there have been in the end? Answer with two numbers: (emails, gifts).",
    answer=(1, 2),
    observe=_emails_and_gifts,
    mistakes={
        (1, 1): "The email is right. But the gift's step was cut off: the journal had no result, so it ran again.",
        (2, 2): "'send email' had ended: its result was in the journal and was replayed. No second email left.",
        (2, 1): "The other way round: what had ended is replayed, and what was cut off runs again.",
        (1, 0): "The ledger had the gift before you killed the pod. What has happened cannot be taken back.",
    },
    hints=[
        "For each of the two steps: had it ended when the pod was killed?",
        "A step that has ended is in the journal with its result, and is not done again.",
        "A step that was cut off has no result in the journal, and is executed again from its beginning.",
    ],
    because="The email's step had ended and was replayed. The gift's step was cut off and ran again.",
)

_REMINDER = """
import os
from datetime import timedelta

import httpx
import restate

reminder = restate.Service("Reminder")


def post(kind: str, to: str) -> None:
    httpx.post(os.environ["LEDGER_URL"] + "/" + kind, json={"to": to}).raise_for_status()


@reminder.handler()
async def remind(ctx: restate.Context, to: str) -> str:
    def email() -> None:
        post("email", to)

    await ctx.run_typed("send email", email)
    return "email"
"""
_OPTIONS = ", restate.RunOptions(max_attempts=3, initial_retry_interval=timedelta(milliseconds=50))"
_NO_ADDRESS = """        if "@" not in to:
            raise restate.TerminalError(f"{to} is no address")
"""
_LETTER = 'await ctx.run_typed("send letter", lambda: post("letter", to))'
_REMINDER_SOLUTION = _REMINDER.replace(
    """        post("email", to)

    await ctx.run_typed("send email", email)
    return "email"
""",
    f"""{_NO_ADDRESS}        post("email", to)

    try:
        await ctx.run_typed("send email", email{_OPTIONS})
    except restate.TerminalError:
        {_LETTER}
        return "letter"
    return "email"
""",
)


def _remind(trial: Trial) -> str:
    to = f"{trial.key()}@example.org"
    ledger = trial.pg.ledger

    def remind(whom: str) -> tuple[str, int, int, Trace]:
        """What remind returned, how many emails it asked for, how many letters it sent, and its trace."""
        invocation = trial.send("Reminder/remind", whom)
        try:
            result = trial.result(invocation, failures=3)
        except Broken:
            raise NotYet(
                f"after {len(trial.attempts(invocation.trace))} attempts it still tries again",
                "it gives up after three attempts and sends a letter",
                "Nothing limits the attempts at this step.",
            ) from None
        trace = invocation.trace
        return result, len(_requests(trial, trace, "email")), _happened(trial, trace, "letter"), trace

    result, emails, letters, _ = remind(to)
    if (result, emails, letters) != ("email", 1, 0):
        raise NotYet(
            f"all is well outside; it returned {result!r}, after {emails} email(s) and {letters} letter(s)",
            "'email', after one email and no letter",
        )
    ledger.misbehave("email", fail=2)
    result, emails, letters, _ = remind(to)
    if result != "email":
        raise NotYet(
            f"the provider is out of order for two requests; it gave up after {emails}",
            "the third attempt succeeds",
            "An error that a retry may fix must not be a terminal one, and three attempts are allowed.",
        )
    ledger.misbehave("email", fail=True)
    result, emails, letters, trace = remind(to)
    if emails != 3:
        raise NotYet(
            f"the provider is out of order; it was asked {emails} times",
            "three times",
            "max_attempts counts the first attempt, too.",
        )
    if (result, letters) != ("letter", 1):
        raise NotYet(
            f"the provider is out of order; it returned {result!r}, after {letters} letter(s)",
            "'letter', after one letter",
        )
    if sum(entry.type == "Run" for entry in trace.entries) < 2:
        raise NotYet(
            "a letter was sent, but the journal has no entry of it",
            "the letter is a step, too",
            "Without a step of its own it is sent again by whatever attempt comes next.",
        )
    ledger.behave()
    result, emails, letters, trace = remind(trial.key("nowhere"))
    if (result, emails, letters) != ("letter", 0, 1):
        raise NotYet(
            f"for an address without @ it returned {result!r}, after {emails} email(s) and {letters} letter(s)",
            "'letter', after no email and one letter",
            "Look at the address before you send, and raise a terminal error, because no retry will help.",
        )
    if len(trial.attempts(trace)) > 1:
        raise NotYet(
            f"an address without @ was tried {len(trial.attempts(trace))} times",
            "once",
            "No retry will put an @ in there: that error should be terminal.",
        )
    return "three attempts at most, then one letter; no attempt at all without an address"


letter_instead = Write(
    "letter_instead",
    "Extend remind: if the email fails three times, it sends a letter instead, in a step of its own, and returns "
    "'letter'. An address without an @ gets its letter at once, without any retry.",
    service="reminder",
    starter=_REMINDER,
    solution=_REMINDER_SOLUTION,
    probe=_remind,
    hints=[
        "Three things: a limit for the step, what happens when it is reached, and an address that cannot work.",
        "restate.RunOptions(max_attempts=3) is the third argument of ctx.run_typed.",
        "When a step has used up its attempts, its await raises restate.TerminalError: catch that, and nothing else.",
        "Inside the step, raise restate.TerminalError for an address without an @: the same except catches it.",
    ],
    because="RunOptions limits the attempts at a step. What it gives up with is a terminal error: you decide about it.",
)


points_sent_twice = Predict(
    "points_sent_twice",
    "The crash atlas kills the pod at every point of the journal of Note/leave, one run for each. In how many of the "
    "runs will the email have been sent twice?",
    answer=1,
    unit="runs",
    observe=lambda evidence: sum(
        outcome.effects.get("email", 0) == 2 for outcome in evidence.first_atlas("Note/leave")
    ),
    mistakes={
        0: "Between the effect and the journal there is a gap. A pod that dies right there has sent, and nobody knows.",
        2: "Before the effect nothing has left; after the result is in the journal it is replayed. Only one is left.",
        3: "The three moments differ: before the effect nothing has left, and after the journal it is replayed.",
        8: "Most points are before the email has left, or after its result is in the journal.",
    },
    hints=[
        "When has the email left, and when is its result in the journal?",
        "A run sends twice if its pod dies after the one and before the other.",
        "How many points are there between those two?",
    ],
    because="There the email has left, and its result is not in the journal. Elsewhere both are done, or neither.",
)

_INVOICE = """
import os
import uuid

import httpx
import restate

invoice = restate.Service("Invoice")


def send_email(to: str, key: str) -> None:
    url = os.environ["LEDGER_URL"] + "/email"
    httpx.post(url, json={"to": to}, headers={"idempotency-key": key}).raise_for_status()


@invoice.handler()
async def bill(ctx: restate.Context, to: str) -> str:
    key = str(uuid.uuid4())
    await ctx.run_typed("send email", lambda: send_email(to, key))
    return f"{to} has got the bill"
"""
_KEY = "str(ctx.uuid())"


def _bill(trial: Trial) -> str:
    to = trial.key()
    bills = []
    for _ in range(2):
        bills.append(trial.send("Invoice/bill", to))
        trial.result(bills[-1])
    sent = sum(_happened(trial, each.trace, "email") for each in bills)
    if sent != 2:
        raise NotYet(
            f"two bills for the same person, and {sent} email(s)",
            "an email for each bill",
            "Both requests used the same key, so the second was taken for a repetition of the first.",
        )
    atlas = trial.atlas("Invoice/bill", to)
    wrong = [outcome for outcome in atlas.broken(effects="exactly_once") if not outcome.right]
    if wrong:
        raise NotYet(f"with a crash {wrong[0].points[0].name}, the result is {wrong[0].result}", "the right result")
    if broken := atlas.broken(effects="exactly_once"):
        times = broken[0].effects.get("email", 0)
        with atlas.recording.lock:
            keys = [e.key for e in atlas.recording.timeline.effects if e.invocation == broken[0].invocation]
        mistake = "Each attempt had a key of its own: the outside world cannot see that it is the same email."
        if not all(keys):
            mistake = "The requests had no key: the outside world cannot see that it is the same email."
        raise NotYet(
            f"with a crash {broken[0].points[0].name}, the email was sent {times} times",
            "once, wherever it crashes",
            mistake,
        )
    return f"two bills are two emails; and with a crash at each of {len(atlas)} points, one bill is one email"


send_once = Write(
    "send_once",
    "Repair bill so that one request sends exactly one email, wherever the pod is killed; and two requests send two, "
    "even to the same person.",
    service="invoice",
    starter=_INVOICE,
    solution=_INVOICE.replace("str(uuid.uuid4())", _KEY).replace("import uuid\n", ""),
    probe=_bill,
    hints=[
        "Every attempt calls uuid.uuid4() again. What does the outside world see then?",
        "The key has to be the same in all attempts at one request, and another for each request.",
        "Restate can give you a uuid that depends on the invocation only, whichever attempt asks.",
        "key = str(ctx.uuid())",
    ],
    because="ctx.uuid() gives the same value in every attempt of an invocation, and another in every other invocation.",
)


def _second_attempt(evidence: Evidence) -> str:
    asking_in_plain_code = [
        trace for trace in evidence.all("Notice/notify") if trace.entry("is the provider up") is None
    ]
    attempts = evidence.attempts(asking_in_plain_code[-1]) if asking_in_plain_code else []
    if len(attempts) < 2:
        raise CannotCheck("There is no second attempt yet.", "Run the cells between question and check first.")
    if attempts[1].failure and attempts[1].failure[0] == 570:
        return "nothing"
    done = " ".join(map(str, attempts[1].executed))
    return "an email" if "send email" in done else "a letter" if "send letter" in done else "nothing"


after_the_change = Predict(
    "after_the_change",
    "The first attempt finds the provider up and is killed inside 'send email'. Before the second attempt the provider "
    "goes down. What does the second attempt send?",
    answer="nothing",
    options=("an email", "a letter", "both", "nothing"),
    observe=_second_attempt,
    mistakes={
        "a letter": "Its code went that way. But the journal has 'send email' at that place, so Restate stopped it.",
        "an email": "Its code did not come to the email: it asked again, and now the provider was down.",
        "both": "It came to the letter, and was stopped there: the journal has 'send email' at that place.",
    },
    hints=[
        "The handler runs again from its first line. What does provider_is_up() say this time?",
        "Which step does the second attempt ask for first? Which one does the journal have at that place?",
        "If the two differ, Restate cannot know which result belongs to what.",
    ],
    because="It asked for 'send letter' where the journal has 'send email': a journal mismatch, so nothing was done.",
)
