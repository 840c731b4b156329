"""Lesson 07: workflows, which run once per key, and can be asked and told things while they run."""

from __future__ import annotations

from playground.errors import InvocationFailed
from playground.handles import Invocation
from playground.lessons.evidence import Evidence
from playground.lessons.facts import Claim, Term
from playground.lessons.feedback import Broken, NotYet
from playground.lessons.question import Predict, Read
from playground.lessons.trial import Trial
from playground.lessons.write import Write
from playground.recording import Trace

_DOCS = "https://docs.restate.dev"

TERMS = (
    Term(
        "workflow",
        "Handlers with a key of which one, run, is executed once per key; the others may be called as often as"
        " you like, also while it runs.",
        f"{_DOCS}/foundations/services",
    ),
    Term("query", "A call that asks a workflow how far it is, and changes nothing."),
    Term("signal", "A call that tells a running workflow something it may be waiting for."),
    Term(
        "durable promise",
        "A value with a name, one per key of a workflow: completed once, by any of its handlers, waited for by any.",
        f"{_DOCS}/develop/python/external-events",
    ),
)

CLAIMS = (
    Claim(
        "keeps a workflow that has ended for one day",
        f"{_DOCS}/services/configuration",
        "default-workflow-completion-retention",
        "1d",
    ),
)


def _emails(evidence: Evidence) -> int:
    evidence.latest("Signup/ada/run", status="completed")
    return sum("ada" in effect.body for effect in evidence.effects("email"))


workflow_emails = Predict(
    "workflow_emails",
    "run of the workflow Signup is sent a second time for the key ada. How many emails will ada have in the end?",
    answer=1,
    unit="emails",
    observe=_emails,
    mistakes={
        2: "A service would have sent two. A workflow's run is executed once per key: the second started nothing.",
        0: "The first run had sent its email before the second request came.",
        3: "There was one run, and it was not cut off: each of its steps was executed once.",
    },
    hints=[
        "What is a workflow's key for?",
        "How often may run be executed for one key?",
        "The second request is for the same key as the first. It gets the first one's invocation.",
    ],
    because="run is executed once per key. The second request became the first one's invocation.",
)

promise_entry = Read(
    "promise_entry",
    "Look at the lens of the click. Which of its entries carried the news to run?",
    answer="CompletePromise clicked",
    options=("Input", "GetPromise clicked", "CompletePromise clicked", "Output"),
    observe=lambda evidence: next(
        (str(entry) for entry in evidence.latest("Signup/ada/click").entries if entry.type == "CompletePromise"), "none"
    ),
    mistakes={
        "GetPromise clicked": "That is an entry of run: there it waits for the promise. Look at the lens of the click.",
        "Output": "The output goes to whoever sent the click. run hears nothing of it.",
        "Input": "That is what the click was given. It has told nobody yet.",
    },
    hints=[
        "There are two lenses: one of run, one of click. You need the lower one of the two.",
        "run waits for a promise. Somebody has to complete it.",
        "Read the entries of click from top to bottom: one of them has a promise in it.",
    ],
    because="click completed the promise, and that is what run was waiting for.",
)

early_click_attempts = Predict(
    "early_click_attempts",
    "bob's click comes before his run is even sent. How many attempts will his run need?",
    answer=1,
    unit="attempts",
    observe=lambda evidence: len(evidence.attempts(evidence.latest("Signup/bob/run"))),
    mistakes={
        2: "ada's run needed two, for it was suspended until the click. bob's promise had its value already.",
        0: "What has completed was executed, so it had an attempt.",
        3: "Nothing was cut off, and nothing had to be waited for.",
    },
    hints=[
        "Why did ada's run need a second attempt?",
        "Does a durable promise need somebody who waits for it, to keep a value?",
        "The value is there when run asks for it. What is there to suspend for?",
    ],
    because="A durable promise keeps its value, whoever comes first. run found it there and never had to wait.",
)

_STARTER = """
import os

import httpx
import restate

expense = restate.Workflow("Expense")


def pay(amount: int) -> None:
    httpx.post(os.environ["LEDGER_URL"] + "/payment", json={"amount": amount}).raise_for_status()


@expense.main()
async def run(ctx: restate.WorkflowContext, amount: int) -> str:
    ctx.set("status", "waiting")
    decision = "approved"  # nobody was asked
    if decision == "approved":
        await ctx.run_typed("pay", pay, amount=amount)
    ctx.set("status", decision)
    return decision


@expense.handler()
async def decide(ctx: restate.WorkflowSharedContext, decision: str) -> str:
    return decision  # run has not heard of it


@expense.handler()
async def status(ctx: restate.WorkflowSharedContext) -> str:
    return await ctx.get("status", type_hint=str) or "unknown"
"""

_SOLUTION = _STARTER.replace(
    'decision = "approved"  # nobody was asked', 'decision = await ctx.promise("decision", type_hint=str)'
).replace(
    "    return decision  # run has not heard of it",
    """    promise = ctx.promise("decision", type_hint=str)
    try:
        await promise.resolve(decision)
    except restate.TerminalError:
        pass  # somebody was first
    return await promise""",
)


def _approval(trial: Trial) -> str:
    ada, bob = trial.key("ada"), trial.key("bob")
    run = trial.send(f"Expense/{ada}/run", 40)
    _waits(trial, run)
    waiting = trial.call(f"Expense/{ada}/status")
    if waiting != "waiting":
        raise NotYet(f"status, before anybody has decided: {waiting!r}", "'waiting'", "Leave what sets it as it was.")
    first = _decide(trial, ada, "approved", "decide, for a run that waits,")
    try:
        returned = trial.result(run, patience=5.0, hopeless=lambda: _nobody_decides(trial, ada))
    except NotYet:
        raise _not_told(run.trace, trial.all(f"Expense/{ada}/decide")[-1]) from None
    ended = (first, returned, len(trial.effects("payment", of=run.trace)))
    if ended != ("approved", "approved", 1):
        raise NotYet(
            f"decide('approved') returned {ended[0]!r}, run {ended[1]!r}; payments: {ended[2]}",
            "'approved', 'approved', one payment",
            "run has to go by the value of the promise, and decide to return it.",
        )
    second = _decide(trial, ada, "declined", "A second decide for the same expense")
    if second != "approved":
        raise NotYet(
            f"decide('declined'), after decide('approved'), returned {second!r}",
            "'approved': the first decision counts",
            "decide returned what it was given, not what was decided. The promise has the decision.",
        )
    shown = trial.call(f"Expense/{ada}/status")
    if shown != "approved":
        raise NotYet(
            f"status, after run has ended: {shown!r}", "'approved'", "run has to set the status when it is decided."
        )
    _decide(trial, bob, "declined", "decide, for a run that is not sent yet,")
    early = trial.send(f"Expense/{bob}/run", 50)
    result = trial.result(early, patience=5.0)
    paid = len(trial.effects("payment", of=early.trace))
    if (result, paid) != ("declined", 0):
        raise NotYet(f"decide('declined') before run: run returned {result!r}; payments: {paid}", "'declined', none")
    return "approved once and paid once; a second decision changed nothing; a decision before run was not lost"


def _waits(trial: Trial, run: Invocation) -> None:
    """Check that run waits and does nothing else."""
    trace = run.trace

    def shows() -> bool:
        waits = trace.status == "suspended" or any(entry.type == "GetPromise" for entry in trace.entries)
        failed = [attempt for attempt in trace.attempts if attempt.outcome == "failed"]
        return waits or trace.done or _peeks(trace) > 4 or len(failed) > 1

    if not trial.pg.runtime.wait_until(shows, 8.0) or (trace.attempts and trace.attempts[-1].outcome == "failed"):
        trial.result(run, patience=1.0)  # says what it raises
    if trace.done:
        raise NotYet(
            f"run ended before anybody had decided: it returned {trace.value}",
            "it waits for a decision",
            "Here nobody was asked. run has to wait for a promise.",
        )
    if _peeks(trace) > 4:
        raise NotYet(
            f"run has looked {_peeks(trace)} times whether there is a decision, and goes on looking",
            "it is suspended until there is one",
            "It asks again and again, and each time adds to the journal. Wait for the promise instead.",
        )
    trial.stored(run)  # also the status that it has set before


def _peeks(trace: Trace) -> int:
    return sum(entry.type == "PeekPromise" for entry in trace.entries)


def _decide(trial: Trial, key: str, decision: str, when: str) -> str:
    """Call decide, and return its answer."""
    sent = trial.send(f"Expense/{key}/decide", decision)
    try:
        return str(trial.result(sent, patience=5.0, hopeless=lambda: _nobody_decides(trial, key)))
    except InvocationFailed as error:
        raise NotYet(
            f"{when} ended with a terminal error: {error.message}",
            "it returns the decision that counts",
            "A promise can be completed once. After that, resolve raises a TerminalError."
            if "already completed" in error.message
            else "",
        ) from None
    except (NotYet, Broken) as stuck:
        entries = {entry.type for entry in sent.trace.entries}
        mistake = ""
        if "SetState" in entries:
            mistake = "decide writes state. Only run may: Restate does not accept it from any other handler."
        elif "GetPromise" in entries:
            mistake = "decide waits for the promise as well as run. One of the two has to complete it."
        if isinstance(stuck, Broken) and not mistake:
            raise
        raise NotYet(f"{when} does not end", "it tells run, and returns", mistake) from stuck


def _nobody_decides(trial: Trial, key: str) -> bool:
    """Whether everything in progress for a key waits for promises that nothing has completed or can complete."""
    requests = trial.all(f"Expense/{key}/*")
    if any(not trace.attempts or trace.attempts[-1].outcome == "running" for trace in requests):
        return False
    entries = [entry for trace in requests for entry in trace.entries]
    waiting = [trial.waits(trace) for trace in requests if not trace.done]
    awaited = [entry for waits in waiting for entry in waits]
    completed = {entry.key for entry in entries if entry.type == "CompletePromise"}
    return (
        all(waiting)
        and all(entry.type == "GetPromise" and entry.key not in completed for entry in awaited)
        and not any(entry.type in ("Call", "OneWayCall") for entry in entries)
    )


def _not_told(run: Trace, decide: Trace) -> NotYet:
    """Why run has not heard of a decision."""
    awaited = {entry.key for entry in run.entries if entry.type == "GetPromise"}
    completed = {entry.key for entry in decide.entries if entry.type == "CompletePromise"}
    if awaited and completed and not awaited & completed:
        mistake = f"run waits for the promise {awaited.pop()!r}, decide completes {completed.pop()!r}."
    else:
        mistake = "decide has not completed the promise that run waits for."
    return NotYet("decide has returned, and run still waits", "run goes on", mistake)


approval = Write(
    "approval",
    "Make run wait for a decision, and decide tell it. The first decision counts; a later one is told what it was.",
    service="expenses",
    starter=_STARTER,
    solution=_SOLUTION,
    probe=_approval,
    hints=[
        "run and decide share a key. What do they both know by name?",
        'In run: decision = await ctx.promise("decision", type_hint=str)',
        "In decide: resolve the same promise. A second time, resolve raises a restate.TerminalError: catch it.",
        "decide can wait for the promise too, once it is completed: return await promise",
    ],
    because="The promise is durable, has a name that both sides know, and keeps the first value for good.",
)
