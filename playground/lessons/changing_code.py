"""Lesson 08: a new revision while invocations are in progress; moving, pausing and restarting them."""

from __future__ import annotations

import re

from playground.errors import RequestError
from playground.lessons.evidence import Evidence
from playground.lessons.facts import Claim, Term
from playground.lessons.feedback import Broken, CannotCheck, NotYet
from playground.lessons.question import Predict, Read
from playground.lessons.trial import Trial
from playground.lessons.write import Write
from playground.recording import Trace

_DOCS = "https://docs.restate.dev"
_MISMATCH = 570

TERMS = (
    Term(
        "pinned",
        "Of an invocation: all its attempts go to the revision that wrote the first entry of its journal.",
        f"{_DOCS}/services/versioning",
    ),
    Term("drained", "Of a revision: no new requests go to it, and no unfinished invocation is pinned to it."),
)

CLAIMS = (
    Claim(
        "Restate gives up after 70 attempts",
        f"{_DOCS}/services/configuration",
        "default-retry-policy.max-attempts",
        "70",
    ),
    Claim(
        "pauses the invocation",
        f"{_DOCS}/services/configuration",
        "default-retry-policy.on-max-attempts",
        "pause",
    ),
)


def _begun(evidence: Evidence, name: str) -> Trace:
    """The latest signup of somebody that ran from the beginning."""
    signups = [
        trace
        for trace in evidence.all("Signup/signup")
        if trace.body == name and trace.done and trace.attempts and trace.attempts[0].known_entries == 1
    ]
    if not signups:
        raise CannotCheck(f"No signup of {name} is completed yet.", "Run the cells between question and check first.")
    return signups[-1]


checks_made = Predict(
    "checks_made",
    "ada began on the first revision, bob on the second, which checks names. Both click. How many names are checked?",
    answer=1,
    unit="names",
    observe=lambda evidence: len(evidence.effects("check", of=[_begun(evidence, "ada"), _begun(evidence, "bob")])),
    mistakes={
        2: "ada's invocation began on the first revision and stayed there to its end. That one checks no names.",
        0: "bob's invocation began after the second revision was there, so it ran on that one.",
        3: "Each signup runs on one revision, and the second one checks a name once.",
    },
    hints=[
        "Which revision did each of the two begin on?",
        "An invocation has a journal. Which code was it written by?",
        "All attempts of an invocation go to the revision that wrote its journal.",
    ],
    because="bob's signup ran on the second revision. ada's was pinned to the first, which knows no check.",
)


def _asked_for(evidence: Evidence) -> str:
    for trace in reversed(evidence.all("Signup/signup")):
        for attempt in evidence.attempts(trace):
            if attempt.failure and attempt.failure[0] == _MISMATCH:
                match = re.search(r"name: (.+) != (.+)", attempt.failure[1])
                if match and trace.body == "cleo":
                    return match[2].strip()
    raise CannotCheck("No journal mismatch of cleo's signup is recorded.", "Run the cells above first.")


mismatch_asked = Read(
    "mismatch_asked",
    "Look at the failure of cleo's signup. Which step did the second revision ask for where the journal has another?",
    answer="check name",
    options=("send email", "check name", "send welcome", "clicked"),
    observe=_asked_for,
    mistakes={
        "send email": "That is what the journal has at this place. It was written by the first revision.",
        "send welcome": "The replay did not get that far: it stopped at the first step.",
        "clicked": "The replay did not get that far. And an awakeable is not a step: it has no name.",
    },
    hints=[
        "The failure names two steps, one on either side of !=.",
        "One of them is in the journal, the other was asked for.",
        "The first revision wrote the journal: its first step is 'send email'. What is the second revision's?",
    ],
    because="The second revision checks the name first. The journal has 'send email' there, so it cannot go on.",
)

FIRST = """
import os

import httpx
import restate

three = restate.InvocationRetryPolicy(max_attempts=3)
signup = restate.Service("Signup", invocation_retry_policy=three)


def post(kind: str, username: str) -> None:
    httpx.post(os.environ["LEDGER_URL"] + "/" + kind, json={"to": username}).raise_for_status()


@signup.handler("signup")
async def sign_up(ctx: restate.Context, username: str) -> str:
    _, clicked = ctx.awakeable()  # its id belongs in the email; lesson 03 has it there
    await ctx.run_typed("send email", post, kind="email", username=username)
    await clicked
    await ctx.run_typed("send welcome", post, kind="welcome", username=username)
    return f"{username} is active"
"""
_EMAIL = '    await ctx.run_typed("send email", post, kind="email", username=username)\n'
_WELCOME = '    await ctx.run_typed("send welcome", post, kind="welcome", username=username)\n'
_CHECK = '    await ctx.run_typed("check name", post, kind="check", username=username)\n'
SECOND = FIRST.replace(_EMAIL, _CHECK + _EMAIL)
_STARTER = SECOND.replace(_CHECK, f"    # new: no email without a check\n{_CHECK}")
_SOLUTION = FIRST.replace(_WELCOME, _CHECK + _WELCOME)


def _moves_on(trial: Trial) -> str:
    moved = _moved(trial)
    email, check, welcome = _effects(trial, moved)
    if not check:
        raise NotYet(
            "the signup from the first revision ended without a check of its name",
            "its name is checked before it is welcomed",
            "This revision has no check after the place where that signup was.",
        )
    _order(check, welcome, "the signup from the first revision")
    if email:
        raise NotYet("it was sent a second email", "no step that was done is done again")

    fresh = trial.send("Signup/signup", trial.key())
    trial.until(fresh, status="suspended")
    if not fresh.awakeables:
        raise NotYet("a new signup does not wait for the click", "it waits, as before")
    trial.pg.resolve(fresh.awakeables[0])
    trial.result(fresh)
    email, check, welcome = _effects(trial, fresh.trace)
    if len(check) != 1 or len(email) != 1:
        raise NotYet(
            f"a new signup made {len(check)} check(s) and sent {len(email)} email(s)",
            "one of each",
            "What is not in a ctx.run is done on every attempt, and a signup that waits has two of them."
            if len(check) > 1
            else "",
        )
    _order(check, welcome, "a new signup")
    return "a signup from the first revision went on and was checked; so was a new one"


def _moved(trial: Trial) -> Trace:
    """A signup from the first revision, carried on from where it waited by the revision that is deployed now."""
    first = FIRST.strip()
    with trial.recording.lock:
        revisions = {r.name for r in trial.recording.timeline.revisions.values() if r.source.strip() == first}
    old = [
        trace
        for trace in trial.all("Signup/signup")
        if trace.done and not trace.failure and trace.attempts and {a.revision for a in trace.attempts} <= revisions
    ]
    if not old:
        raise CannotCheck("No signup has completed on the first revision yet.", "Run the cells above, from the top.")
    try:
        moved = trial.pg.invocation(old[-1].id).restart_as_new(from_entry="send welcome")
    except RequestError as error:
        raise CannotCheck(str(error)) from None
    try:
        trial.result(moved)
    except Broken as broken:
        if broken.code != _MISMATCH:
            raise
        match = re.search(r"name: (.+) != (.+)", broken.message)
        steps = (
            f"its journal has {match[1].strip()!r} where this revision asks for {match[2].strip()!r}" if match else ""
        )
        raise NotYet(
            f"a signup that had begun on the first revision cannot go on: {steps or broken.message}",
            "it goes on where it was",
            "What is in a journal has to stay in the code: the same steps, in the same order, by the same names.",
        ) from None
    return moved.trace


def _effects(trial: Trial, trace: Trace) -> tuple[list[int], list[int], list[int]]:
    """The numbers of a signup's emails, checks and welcomes, in the order in which the outside world saw them."""
    effects = trial.effects(of=trace)
    email, check, welcome = ([e.number for e in effects if e.kind == kind] for kind in ("email", "check", "welcome"))
    return email, check, welcome


def _order(check: list[int], welcome: list[int], whose: str) -> None:
    if check and welcome and min(check) > min(welcome):
        raise NotYet(f"{whose} was welcomed, and then its name was checked", "the check comes before the welcome")
    if not welcome:
        raise NotYet(f"{whose} was not welcomed", "everybody is welcomed in the end")


compatible_change = Write(
    "compatible_change",
    "Check every name before the welcome, so that a signup that waits on the first revision could go on with this one.",
    service="signup",
    starter=_STARTER,
    solution=_SOLUTION,
    probe=_moves_on,
    hints=[
        "A signup that waits has 'send email' as the first step in its journal. What must your first step be?",
        "Everything up to the click may be in a journal already. What comes after the click is in none.",
        "The check need not come first. It must only come before the welcome.",
        "Move the line with 'check name' down, behind 'await clicked'.",
    ],
    because="What journals may have already stays as it was. What is new comes after it.",
)

payments_after_restart = Predict(
    "payments_after_restart",
    "The order is charged, fails at its label, and is restarted from 'print label'. How many payments will there be?",
    answer=1,
    unit="payments",
    observe=lambda evidence: len(evidence.effects("payment", of=_restarted(evidence))),
    mistakes={
        2: "A restart from the beginning would charge again. From 'print label' on, the charge is taken over.",
        0: "The first invocation had charged the card before it failed. A failure takes nothing back.",
        3: "Two invocations, and only the first one executed 'charge card'.",
    },
    hints=[
        "Which steps does the new invocation execute?",
        "What comes before 'print label' is taken over from the old journal, with its results.",
        "'charge card' comes before 'print label'.",
    ],
    because="'charge card' was taken over with its result. It was replayed, not executed.",
)


def _restarted(evidence: Evidence) -> list[Trace]:
    """The orders up to the first that took over part of another's journal."""
    orders = evidence.all("Orders/ship")
    took_over = [at for at, trace in enumerate(orders) if trace.attempts and trace.attempts[0].known_entries > 1]
    if not took_over:
        raise CannotCheck("The order is not restarted yet.", "Run the cells between question and check first.")
    return orders[: took_over[0] + 1]
