"""Lesson 01: virtual objects, their state, their locks, and two of them that block each other."""

from __future__ import annotations

import time
from collections import Counter

from playground.lessons.evidence import Evidence
from playground.lessons.facts import Term
from playground.lessons.feedback import Broken, NotYet
from playground.lessons.question import Predict, Read
from playground.lessons.trial import PATIENCE, Trial
from playground.lessons.write import Write
from playground.recording import Trace

_DOCS = "https://docs.restate.dev"
TAKEN_IN = 1.0
"""Seconds within which Restate has accepted what a pod sent, or has refused it."""

TERMS = (
    Term(
        "exclusive handler",
        "A handler of a virtual object that may read and write the state. Only one at a time runs for a key.",
        f"{_DOCS}/foundations/handlers",
    ),
    Term(
        "shared handler",
        "A handler of a virtual object that may only read the state. It runs at any time and waits for nobody.",
        f"{_DOCS}/foundations/handlers",
    ),
    Term("lock", "What an exclusive handler holds from its beginning to its end: nobody else gets it meanwhile."),
    Term("queue", "The invocations that wait for a key's lock, in the order in which they were accepted."),
    Term(
        "terminal error",
        "An error that no retry would mend. The invocation ends with it, and the caller gets it.",
        f"{_DOCS}/develop/python/error-handling",
    ),
    Term(
        "deadlock",
        "Invocations that wait for each other's locks. None of them can ever go on by itself.",
        f"{_DOCS}/develop/python/service-communication",
    ),
)


def _written(evidence: Evidence) -> str:
    second = evidence.latest("User/francesco/initialize")
    written = [entry.label for entry in second.entries if entry.type == "SetState"]
    return {(): "nothing", ("user",): "user", ("activated",): "activated"}.get(tuple(written), "both")


second_initialize = Read(
    "second_initialize",
    "Look at the lens of the second initialize. What did it write to the state of User/francesco?",
    answer="nothing",
    options=("user", "activated", "both", "nothing"),
    observe=_written,
    mistakes={
        "both": "The first initialize wrote both. The lens of the second has no row that writes.",
        "user": "It read 'user': that is the row GetEagerState. It did not write it.",
        "activated": "The handler ended before it came to that line.",
    },
    hints=[
        "Each read and each write of the state is a row of its own in the lens.",
        "A row that writes is called SetState, with the name of what it writes.",
        "Count the rows called SetState.",
    ],
    because="It read 'user', found somebody there, and ended with its error before it wrote anything.",
)


_FOUR = ("User/francesco/activate", "User/francesco/get", "User/ada/activate", "User/ada/get")


def _answered(evidence: Evidence) -> int:
    verify = evidence.all("User/francesco/verify")[-1]
    for target in _FOUR[1:]:
        evidence.latest(target)
    requests = [evidence.all(target)[-1] for target in _FOUR]
    with evidence.recording.lock:
        confirmed = verify.attempts[-1].started_at if verify.done and verify.attempts else float("inf")
        return sum(bool(r.attempts) and r.attempts[0].started_at < confirmed for r in requests)


answered_meanwhile = Predict(
    "answered_meanwhile",
    "User/francesco/verify waits for its code. Four requests arrive: activate and get for francesco, activate and get "
    "for ada. How many of the four are answered before the code is entered?",
    answer=3,
    unit="requests",
    observe=_answered,
    mistakes={
        4: "verify holds the lock of francesco all the time it waits. activate is exclusive: it needs that lock.",
        2: "Count again: ada has a lock of her own, and get is shared, so it needs no lock, not even francesco's.",
        1: "Only one key is locked. Nothing that is sent to ada has to wait for francesco.",
        0: "A lock is held for one key, and only exclusive handlers need it.",
    },
    hints=[
        "Which of the two keys is locked?",
        "Which of the two handlers needs the lock?",
        "Only an exclusive handler of the locked key waits. How many of the four are that?",
    ],
    because="Only francesco's activate is both: exclusive, and for the key whose lock is held.",
)

_ACCOUNT = """
import os

import httpx
import restate

account = restate.VirtualObject("Account")


@account.handler()
async def deposit(ctx: restate.ObjectContext, amount: int) -> int:
    if amount <= 0:
        raise ValueError("only what is more than nothing can be deposited")
    balance = (await ctx.get("balance") or 0) + amount

    def tell_the_bank() -> None:
        httpx.post(os.environ["LEDGER_URL"] + "/transfer", json={"amount": amount}).raise_for_status()

    await ctx.run_typed("tell the bank", tell_the_bank)
    ctx.set("balance", balance)
    return balance


@account.handler()
async def balance(ctx: restate.ObjectContext) -> int:
    return await ctx.get("balance") or 0
"""

_BALANCE_EXCLUSIVE = """@account.handler()
async def balance(ctx: restate.ObjectContext)"""
_BALANCE_SHARED = """@account.handler(kind="shared")
async def balance(ctx: restate.ObjectSharedContext)"""
_REFUSE = 'raise restate.TerminalError("only what is more than nothing can be deposited")'


def _account(trial: Trial) -> str:
    target = f"Account/{trial.key()}"
    first = trial.call(f"{target}/deposit", 10)
    if first != 10:
        raise NotYet(f"deposit(10) returned {first!r}", "10, as before", "Was more changed than was asked for?")
    refused = trial.refuses(f"{target}/deposit", -5)
    if refused is None:
        raise NotYet(
            "deposit(-5) returned as if all were well",
            "it ends with a terminal error",
            "Whoever sent it has to learn that nothing was deposited: raise, do not return.",
        )
    trial.pg.ledger.misbehave("transfer", down=True)
    deposits = [trial.until(trial.send(f"{target}/deposit", 5), entry="tell the bank")]
    deposits.append(trial.send(f"{target}/deposit", 7))
    asked = trial.send(f"{target}/balance")
    if trial.waits_in_line(asked):
        raise NotYet(
            "while a deposit is in progress, balance waits in the queue behind it",
            "balance answers at once",
            "balance is exclusive: it waits for the lock. It only reads, so it need not.",
        )
    meanwhile = trial.result(asked)
    trial.pg.ledger.behave()
    for deposit in deposits:
        trial.result(deposit, failures=30)
    total = trial.call(f"{target}/balance")
    if (meanwhile, total) != (10, 22):
        raise NotYet(
            f"10 were there, then 5 and 7 were deposited at the same time; balance said {meanwhile} meanwhile and "
            f"{total} in the end",
            "10 meanwhile, and 22 in the end",
            "deposit has to be the only one that writes this key's state.",
        )
    return f"balance answered {meanwhile} while two deposits were under way, and {total} in the end"


balance_at_any_time = Write(
    "balance_at_any_time",
    "Repair Account: balance answers at once, also while a deposit is in progress; a deposit of nothing, or of less, "
    "ends with an error at once and is not tried again.",
    service="account",
    starter=_ACCOUNT,
    solution=_ACCOUNT.replace(_BALANCE_EXCLUSIVE, _BALANCE_SHARED).replace(
        'raise ValueError("only what is more than nothing can be deposited")', _REFUSE
    ),
    probe=_account,
    hints=[
        "There are two repairs, one in each handler.",
        "Which of the two handlers writes the state, and which one only reads it?",
        'A handler that only reads can be @account.handler(kind="shared"), with an ObjectSharedContext.',
        "Any exception but one makes Restate try again. Which one was it, in User?",
    ],
    because="A shared handler needs no lock, so it never waits. A terminal error is the answer; others are retried.",
)


def _ada(evidence: Evidence) -> str:
    evidence.latest("Friend/francesco/invite")
    waited = evidence.all("Friend/ada/nickname")[-1]
    if evidence.playground is not None:
        evidence.playground.runtime.wait_until(lambda: waited.done, 3)
    if not waited.done:
        return "still waits"
    return "failed" if waited.failure else "completed"


third_in_line = Predict(
    "third_in_line",
    "Two invocations are in a deadlock. A third, Friend/ada/nickname, waits behind them for ada's lock. You end the "
    "first of the two. What becomes of the third?",
    answer="completed",
    options=("completed", "failed", "still waits", "lost"),
    observe=_ada,
    mistakes={
        "failed": "Only the invocation that you ended fails, and what it had called. The third called for itself.",
        "still waits": "What was ended released its locks in both objects. So the queue moves on.",
        "lost": "A request that was accepted is kept until it has a result, however long the queue stands still.",
    },
    hints=[
        "Who holds ada's lock, and on whose behalf?",
        "What an invocation has called, and waits for, is ended with it.",
        "When an invocation has ended, for whatever reason, its lock is free for the next in the queue.",
    ],
    because="The call to ada was ended together with its caller. Her lock was free, and the next in line got it.",
)

_FRIENDS = """
import os

import httpx
import restate

person = restate.VirtualObject("Person")


@person.handler()
async def befriend(ctx: restate.ObjectContext, other: str) -> None:
    def send_card() -> None:
        httpx.post(os.environ["LEDGER_URL"] + "/card", json={"to": other}).raise_for_status()

    await ctx.run_typed("send a card", send_card)
    friends = await ctx.get("friends") or []
    ctx.set("friends", sorted({*friends, other}))
    await ctx.object_call(befriended, key=other, arg=ctx.key())


@person.handler()
async def befriended(ctx: restate.ObjectContext, other: str) -> None:
    friends = await ctx.get("friends") or []
    ctx.set("friends", sorted({*friends, other}))
"""
_CALL = "await ctx.object_call(befriended, key=other, arg=ctx.key())"
_SEND = "ctx.object_send(befriended, key=other, arg=ctx.key())"


def _friends(trial: Trial) -> str:
    one, two, three = trial.key("ada"), trial.key("ben"), trial.key("cem")
    trial.call(f"Person/{one}/befriend", three)
    _know(trial, one, three, "befriend(cem) was sent to ada, and nothing else")
    trial.pg.ledger.misbehave("card", down=True)
    both = [trial.send(f"Person/{one}/befriend", two), trial.send(f"Person/{two}/befriend", one)]
    for each in both:
        trial.until(each, entry="send a card")
    trial.pg.ledger.behave()
    for each in both:
        try:
            trial.result(
                each, failures=30, hopeless=lambda: all(_waits_behind_a_lock(trial, one.trace) for one in both)
            )
        except NotYet as stuck:
            raise NotYet(
                "ada and ben befriend each other at the same moment, and neither request ends",
                "both end",
                "Each holds its own lock and waits for the other's: a deadlock.",
            ) from stuck
    _know(trial, one, two, "ada and ben have befriended each other")
    return "ada and ben befriended each other at the same moment, and each has the other as a friend"


def _waits_behind_a_lock(trial: Trial, trace: Trace) -> bool:
    """Whether an invocation is suspended on calls that all wait for a lock."""
    waits = trial.waits(trace)
    called = [trial.recording.timeline.invocations.get(entry.callee) for entry in waits if entry.type == "Call"]
    return bool(waits) and len(called) == len(waits) and all(callee and trial.pending(callee) for callee in called)


def _know(trial: Trial, one: str, two: str, after: str) -> None:
    """Check that two people are friends of each other. A message may take a moment to arrive."""

    def misses(who: str, other: str) -> bool:
        friends = trial.pg.state("Person", who).get("friends")
        return other not in friends if isinstance(friends, list | dict | str) else True

    deadline = time.monotonic() + PATIENCE
    while missing := [(who, other) for who, other in ((one, two), (two, one)) if misses(who, other)]:
        with trial.recording.lock:
            requests = [trace for trace in trial.all("Person/*") if trial.token in trace.target]
        for request in requests:
            if why := trial.not_accepted(request):
                raise Broken(f"Restate does not accept what {request.target} does: {why}")
        if time.monotonic() > deadline or _all_has_arrived(requests):
            break
        _ = trial.pg.revisions  # asks Restate now, which says what it has refused
        time.sleep(0.05)
    else:
        return
    who, other = (name.split("-")[0] for name in missing[0])
    raise NotYet(
        f"{after}; now {other} is not among the friends of {who}",
        "each is a friend of the other",
        f"Who tells {who}?" if who != one.split("-")[0] else f"Does {who} write it down?",
    )


def _all_has_arrived(requests: list[Trace]) -> bool:
    """Whether all requests, and the messages they sent, have ended, and Restate has had time to refuse them."""
    sent = Counter(entry.target for trace in requests for entry in trace.entries if entry.type == "OneWayCall")
    here = Counter(trace.target for trace in requests)
    ended = all(trace.done for trace in requests) and all(here[target] >= count for target, count in sent.items())
    tried_again = any(Trial.ended_again(trace) for trace in requests)
    return ended and not tried_again and time.time() - max(trace.status_at for trace in requests) > TAKEN_IN


befriend_each_other = Write(
    "befriend_each_other",
    "Repair Person: two people who befriend each other at the same moment must both succeed, and each must have the "
    "other among its friends in the end.",
    service="person",
    starter=_FRIENDS,
    solution=_FRIENDS.replace(_CALL, _SEND),
    probe=_friends,
    hints=[
        "Ada holds her lock until befriend has ended. What does befriend wait for, in its last line?",
        "Does befriend need anything from the other one, or does it only have to be told?",
        "Telling without waiting: a message instead of a call.",
        "ctx.object_send(befriended, key=other, arg=ctx.key()) takes the place of the call; there is no await.",
    ],
    because="A message is as durable as a call, but nobody waits for it: befriend ends and releases its lock.",
)
