"""Lesson 04: the whole application, on a bad day and killed at every point."""

from __future__ import annotations

from playground.core.text import clean
from playground.errors import InvocationFailed
from playground.handles import Invocation
from playground.lessons.evidence import Evidence
from playground.lessons.facts import Claim
from playground.lessons.feedback import Broken, CannotCheck, NotYet
from playground.lessons.question import Predict, Read
from playground.lessons.trial import Trial
from playground.lessons.write import Write
from playground.recording import Trace
from playground.recording.timeline import awakeable_id
from playground.restate.protocol import FIRST_AWAKEABLE

_DOCS = "https://docs.restate.dev"

CLAIMS = (
    Claim(
        says="after 70 attempts",
        page=f"{_DOCS}/services/configuration",
        setting="default-retry-policy.max-attempts",
        value="70",
    ),
)

SIGNUP = "Signup/signup"


def _of(evidence: Evidence, username: str) -> Trace:
    """The latest signup of a user."""
    signups = [trace for trace in evidence.all(SIGNUP) if f'"{username}"' in str(trace.body).replace("'", '"')]
    if not signups:
        raise CannotCheck(f"{username} has not signed up yet.", "Run the cells between question and check first.")
    return signups[-1]


def _bad_day(evidence: Evidence) -> Trace:
    """Giselle's signup, once her email has been sent for good."""
    trace = _of(evidence, "giselle")

    def out() -> bool:
        return trace.done or trace.status == "suspended"

    if not out() and (evidence.playground is None or not evidence.playground.runtime.wait_until(out, 10)):
        raise CannotCheck(
            f"giselle's signup is {trace.status}; the question is about when it waits for the click.",
            "Run the cells between question and check first.",
        )
    return trace


emails_on_a_bad_day = Predict(
    "emails_on_a_bad_day",
    "The mail provider refuses the first try. In the second try the email leaves, and then the pod is killed. "
    "How often will the email have left in the end?",
    answer=2,
    unit="times",
    observe=lambda evidence: len(evidence.effects("email", of=_bad_day(evidence))),
    mistakes={
        1: "The second try had left, but its result was not in the journal. So there was a third, and it left, too.",
        3: "There were three tries, but the provider refused the first: nothing left.",
        0: "The pod was killed after the email had left. What has left cannot be taken back.",
    },
    hints=[
        "Count the tries first. Then ask for each: did the email leave?",
        "The first try was refused before anything left. Was the second one's result in the journal?",
        "The second try left and was cut off, so there is a third. It is like lesson 00, with a refusal before it.",
    ],
    because="The refused try sent nothing. The one that was cut off did, and so did the one after it.",
)


first_try = Read(
    "first_try",
    "Look at the lens of Giselle's signup. What became of 'send email' in attempt 1?",
    answer="failed",
    options=("executed", "replayed", "cut off", "failed"),
    observe=lambda evidence: evidence.how(_bad_day(evidence), "send email", attempt=0),
    mistakes={
        "cut off": "That was attempt 2: its pod was killed. In attempt 1 the code itself raised an error.",
        "executed": "It began, but it did not end well: the provider refused, and raise_for_status raised an error.",
        "replayed": "Nothing could be replayed in attempt 1: there was no attempt before it.",
    },
    hints=[
        "Find the row 'Run send email', and in it what stands under attempt 1.",
        "Two things went wrong that day. Which came first: the provider's refusal, or the kill?",
        "A step whose code raises an error has a word of its own. It is not the word for a pod that dies.",
    ],
    because="The provider answered with an error, so the step raised one, and Restate tried again.",
)


points_with_two_emails = Predict(
    "points_with_two_emails",
    "The pod is killed at every point of the signup, one point per run. At how many points will the email leave twice?",
    answer=1,
    unit="points",
    observe=lambda evidence: sum(outcome.effects.get("email", 0) > 1 for outcome in evidence.first_atlas(SIGNUP)),
    mistakes={
        0: "There is still the moment when the email is out and the journal does not know it yet.",
        3: "There are three invocations. But only one of them sends an email, in one step.",
        39: "At most points the email is not out yet, or the journal has its result already.",
    },
    hints=[
        "In lesson 02 a handler with one step had one such point. What has changed, and what has not?",
        "There are more points now. But at how many of them is an email out, and its result not in the journal?",
        "It is a matter of steps with an effect, not of lines or of handlers. How many such steps are there?",
    ],
    because="A kill shows outside only between the effect and its result in the journal. One step has one such point.",
)


# -- to be repaired -------------------------------------------------------------------------------------

STARTER = """
import os
import time

import httpx
import restate

user = restate.VirtualObject("User")


@user.handler(kind="shared")
async def get(ctx: restate.ObjectSharedContext) -> dict:
    return {"user": await ctx.get("user"), "activated": await ctx.get("activated")}


@user.handler()
async def initialize(ctx: restate.ObjectContext, new: dict) -> None:
    if await ctx.get("user") is not None:
        raise restate.TerminalError("the user was already initialized")
    ctx.set("user", new)
    ctx.set("activated", False)


@user.handler()
async def activate(ctx: restate.ObjectContext) -> None:
    if await ctx.get("user") is None:
        raise restate.TerminalError("the user doesn't exist")
    ctx.set("activated", False)


signup_service = restate.Service("Signup")


@signup_service.handler()
async def signup(ctx: restate.Context, new: dict) -> str:
    username = new["username"]
    await ctx.object_call(initialize, key=username, arg={"name": new["name"], "surname": new["surname"]})

    link, clicked = ctx.awakeable()

    def send_email() -> None:
        mail = {"to": username, "link": link}
        httpx.post(os.environ["LEDGER_URL"] + "/email", json=mail).raise_for_status()
        time.sleep(new.get("seconds", 0))  # how long the mail provider takes

    await ctx.run_typed("send email", send_email)
    await clicked

    await ctx.object_call(activate, key=username, arg=None)
    return f"The new user {username} is signed up and activated"
"""

_ACTIVATED = 'exist")\n    ctx.set("activated", '
_POST = "json=mail)"
_POST_KEY = 'json=mail, headers={"idempotency-key": key})'
_KEY = "    key = str(ctx.uuid())\n"
_SOLUTION = (
    STARTER.replace(f"{_ACTIVATED}False)", f"{_ACTIVATED}True)")
    .replace(_POST, _POST_KEY)
    .replace("\n    def send_email", f"{_KEY}\n    def send_email")
)


def _repaired(trial: Trial) -> str:
    # The answer to Ada's email is lost: the email is sent, but the step fails.
    trial.pg.ledger.misbehave("email", lose_answer=1)
    ada = _signed_up(trial, "ada", "The answer of the mail provider was lost once.")
    ben = _signed_up(trial, "ben", "A second user signed up.")
    for name in ("ada", "ben"):
        answer = trial.call(f"User/{trial.key(name)}/get")
        active = answer.get("activated") if isinstance(answer, dict) else answer
        if active is not True:
            raise NotYet(
                f"The link was clicked, signup said that the user is activated, and get says: {clean(active)}.",
                "after the click, get says 'activated': True",
                "Which handler should have stored that? Read what it stores.",
            )
    counts = [len(trial.effects("email", of=each.trace)) for each in (ada, ben)]
    expected = "each of two users gets one email, though one answer of the mail provider is lost"
    if counts[0] > 1:
        raise NotYet(
            f"The answer of the mail provider was lost once, and the email left {counts[0]} times.",
            expected,
            _why_twice(trial, ada),
        )
    if counts[1] != 1:
        raise NotYet(f"The second user got {counts[1]} emails.", expected, _SHARED_KEY)
    return "an answer of the mail provider was lost; yet both users got one email, and both are active"


_SHARED_KEY = "Two users with one key: give every signup its own."


def _signed_up(trial: Trial, name: str, story: str) -> Invocation:
    """A signup from the request to the end. The link is clicked as soon as an email is on its way."""
    new = {"username": trial.key(name), "name": name.title(), "surname": "Lovelace"}
    invocation = trial.send(SIGNUP, new)

    def on_its_way() -> bool:
        trace = invocation.trace
        over = trace.done or trial.failures(trace) > 0 or trial.waits_for_somebody(trace)
        return over or any(effect.invocation == trace.id for effect in trial.recording.timeline.effects)

    trial.pg.runtime.wait_until(on_its_way, 10)
    if not invocation.trace.done:
        trial.pg.resolve(awakeable_id(invocation.trace.raw_id, FIRST_AWAKEABLE))
    expected = "the user is signed up and activated"
    try:
        trial.result(invocation, failures=2)
    except InvocationFailed as error:
        raise NotYet(
            f"{story} The signup ended with an error: {clean(error.message)}",
            expected,
            "The user exists now, and can never be activated. Do not give up: have the next try do no harm.",
        ) from None
    except Broken as error:
        if "422" not in error.message:
            raise
        raise NotYet(
            f"{story} The mail provider refuses the email: it knows the key, from another email.", expected, _SHARED_KEY
        ) from None
    if invocation.trace.entry("Awakeable") is None:
        raise NotYet("It did not wait for the click.", expected, "Leave `await clicked` where it was.")
    return invocation


def _why_twice(trial: Trial, invocation: Invocation) -> str:
    keys = [effect.key for effect in trial.effects("email", of=invocation.trace)]
    if not any(keys):
        return "No email came with an idempotency-key. It is a header of the request."
    return (
        "Every try came with another key. Make the key outside of the step, with ctx.uuid(): a replay gives the same."
    )


ported_from_go = Write(
    "ported_from_go",
    "Two things are wrong with the article's code. Have every email leave once, and every user activated in the end.",
    service="signup",
    starter=STARTER,
    solution=_SOLUTION,
    probe=_repaired,
    hints=[
        "One of the two the crash atlas has shown you. The other shows when you ask get, after the click.",
        "activate says that a user is active. Read its last line. And look at what the email's request lacks.",
        "The key goes into a header, and must be the same when the step is tried again: make it before send_email.",
        "ctx.set('activated', True); key = str(ctx.uuid()); httpx.post(..., headers={'idempotency-key': key}).",
    ],
    because="ctx.uuid() is the same in every attempt of one signup, so the provider knows the email again. "
    "And activate has to store what it says.",
)
