"""Lesson 03: waiting for somebody without a process that waits."""

from __future__ import annotations

from playground.core.text import table
from playground.errors import InvocationFailed
from playground.handles import Invocation
from playground.lessons.evidence import WAIT, Evidence
from playground.lessons.facts import Claim, Term
from playground.lessons.feedback import Broken, CannotCheck, NotYet
from playground.lessons.question import Predict, Read
from playground.lessons.trial import Trial
from playground.lessons.write import Write
from playground.recording import Effect, Trace
from playground.restate.admin import as_json

_DOCS = "https://docs.restate.dev"

TERMS = (
    Term("resolve", "To complete an awakeable with a value.", f"{_DOCS}/develop/python/external-events"),
    Term(
        "reject",
        "To complete an awakeable with a failure: the handler that waits for it gets a TerminalError.",
        f"{_DOCS}/develop/python/external-events",
    ),
    Term(
        "inactivity timeout",
        "How long an invocation may make no progress before Restate suspends it.",
        f"{_DOCS}/services/configuration",
    ),
    Term("pod-second", "One pod that runs for one second: a measure of what a service costs."),
    Term(
        "durable timer",
        "A timer that Restate keeps. It goes off whatever becomes of the pod that started it.",
        f"{_DOCS}/develop/python/durable-timers",
    ),
)

CLAIMS = (
    Claim(
        says="after one minute without progress",
        page=f"{_DOCS}/services/configuration",
        setting="worker.invoker.inactivity-timeout",
        value="1m",
    ),
)

CONFIRM = "Confirmation/confirm"
DAYS = 30
SECONDS_OF_A_DAY = 24 * 60 * 60


# -- what a wait costs ----------------------------------------------------------------------------------


class Bill:
    """What it costs to wait for 30 days, with a pod that blocks and with an invocation that is suspended.

    Args:
        invocation: the one that waits.
    """

    def __init__(self, invocation: Invocation) -> None:
        recording = invocation.recording
        with recording.lock:
            pods = recording.timeline.pods
            served = {attempt.pod for attempt in invocation.trace.attempts}
            services = {pods[name].service for name in served if name in pods}
            mine = [pod for pod in pods.values() if pod.service in services]
            self._alive = sum(pod.alive for pod in mine)
            self._seconds = sum(pod.gone_at - pod.started_at for pod in mine if pod.gone_at is not None)

    def __repr__(self) -> str:
        blocked = f"{DAYS * SECONDS_OF_A_DAY:,}"
        recorded = f"under {_round_up(self._seconds):,}" if not self._alive else "still counting"
        rows = [["a pod that blocks", "1", blocked], ["suspended, as recorded", str(self._alive), recorded]]
        return table(["", "pods that wait", "pod-seconds"], rows, f"A wait of {DAYS} days")


def _round_up(seconds: float) -> int:
    """A round number above it: 100, 1000 and so on."""
    limit = 100
    while limit <= seconds:
        limit *= 10
    return limit


# -- the exercises --------------------------------------------------------------------------------------


def _of(evidence: Evidence, address: str) -> Trace:
    """The latest request to confirm an address."""
    requests = [trace for trace in evidence.all(CONFIRM) if address in str(trace.body)]
    if not requests:
        raise CannotCheck(
            f"No request for {address} is recorded yet.", "Run the cells between question and check first."
        )
    return requests[-1]


def _pods_while_waiting(evidence: Evidence) -> int:
    """How many pods there are while all three wait; if somebody has clicked, just before the first click."""
    waiting = [_of(evidence, f"{name}@example.com") for name in ("ada", "ben", "cy")]
    timeline = evidence.recording.timeline

    def alive() -> int:
        return sum(pod.alive for pod in timeline.pods.values())

    def clicks() -> list[float]:
        return [at for trace in waiting for at in trace.clicked.values()]

    if any(not trace.awakeables and not trace.clicked for trace in waiting):
        raise CannotCheck("Not all three wait yet.", "Run the cells between question and check first.")
    if not clicks() and evidence.playground is not None:
        evidence.playground.runtime.wait_until(lambda: alive() == 0, WAIT)
    with evidence.recording.lock:
        if not clicks():
            return alive()
        at = min(clicks())
        return sum(pod.started_at < at and (pod.gone_at or at + 1) > at for pod in timeline.pods.values())


pods_while_waiting = Predict(
    "pods_while_waiting",
    "Three invocations wait for their clicks. How many pods run, once there is nothing to do but wait?",
    answer=0,
    unit="pods",
    observe=_pods_while_waiting,
    mistakes={
        1: "One pod could hold all three. But nothing has to be held: what they have done is in the journal.",
        3: "An invocation needs a pod only while its code runs. Here no code runs.",
        2: "A pod runs while there is work. None of the three has any.",
    },
    hints=[
        "What would a pod do all the time?",
        "Restate suspends an invocation that can only wait. What of it does the pod keep?",
        "A suspended invocation is a journal in Restate. And a pod without work is stopped.",
    ],
    because="All three are suspended: each is a journal in Restate, and no pod is needed to keep it.",
)


def _device(evidence: Evidence) -> str:
    trace = _of(evidence, "ada@example.com")
    if evidence.playground is not None:
        evidence.playground.runtime.wait_until(lambda: trace.done, WAIT)
    if not trace.done:
        raise CannotCheck("Ada's invocation is not completed yet.", "Run the cells between question and check first.")
    result = str(as_json(trace.value)) if trace.failure is None else ""
    devices = [device for device in ("phone", "laptop") if device in result]
    return "both" if len(devices) == 2 else devices[0] if devices else "neither"


second_click = Predict(
    "second_click",
    "Ada clicks twice: on her phone, and at once again on her laptop. Which of them does the handler get?",
    answer="phone",
    options=("phone", "laptop", "both", "neither"),
    observe=_device,
    mistakes={
        "laptop": "The first value completed the awakeable. A later one does not replace it.",
        "both": "An awakeable is completed once, with one value.",
        "neither": "The second click was ignored, but it did no harm to the first.",
    },
    hints=[
        "How often can something be completed?",
        "When the handler is replayed, `await clicked` has to give the same value as before.",
        "The value is in the journal once it is there. What is in the journal does not change.",
    ],
    because="The first click completed the awakeable, and its value is in the journal. The second changed nothing.",
)


who_kept_time = Read(
    "who_kept_time",
    "Look at the lens of the completed Deadline/confirm. What did the last attempt do with 'Sleep'?",
    answer="replayed",
    options=("executed", "replayed", "awaited", "cut off"),
    observe=lambda evidence: evidence.how(evidence.latest("Deadline/confirm"), "Sleep"),
    mistakes={
        "executed": "The first attempt started the timer. The last one was only told that it is over.",
        "awaited": "That is the word for the awakeable, in the first attempt. The timer had gone off by the second.",
        "cut off": "Only a step that runs in a pod can be cut off. The timer ran in Restate.",
    },
    hints=[
        "Find the row 'Sleep', and in it the mark of attempt 2. A hollow mark and a filled one mean different things.",
        "Why was there a second attempt at all?",
        "Restate began it because the timer had gone off. So the result was there before the attempt was.",
    ],
    because="The timer went off in Restate, and its result was in the journal before the last attempt began.",
)


STARTER = """
import os
from datetime import timedelta

import httpx
import restate

reminder = restate.Service("Reminder")


def post(kind: str, address: str, link: str) -> None:
    mail = {"to": address, "link": link}
    httpx.post(os.environ["LEDGER_URL"] + "/" + kind, json=mail).raise_for_status()


@reminder.handler()
async def confirm(ctx: restate.Context, new: dict) -> str:
    address, patience = new["address"], timedelta(seconds=new["patience"])
    link, clicked = ctx.awakeable()
    await ctx.run_typed("send email", post, kind="email", address=address, link=link)

    first, value = await restate.select(click=clicked, timeout=ctx.sleep(patience))
    if first == "timeout":
        raise restate.TerminalError("nobody clicked")
    return f"{address} confirmed on a {value}"
"""

_GIVES_UP = """    if first == "timeout":
        raise restate.TerminalError("nobody clicked")
"""
_REMINDS = """    if first == "timeout":
        await ctx.run_typed("send reminder", post, kind="reminder", address=address, link=link)
        first, value = await restate.select(click=clicked, timeout=ctx.sleep(patience))
"""
_SOLUTION = STARTER.replace(_GIVES_UP, _REMINDS + _GIVES_UP)

PATIENCE = 2.0
"""Seconds. Longer than the inactivity timeout, so that a timer inside the pod dies with its attempt."""

_ONCE_MORE = "After the reminder, wait once more. A timer that has gone off stays so: the second wait needs its own."


def _mail(trial: Trial, invocation: Invocation, kind: str, seconds: float) -> Effect | None:
    """The first mail of a kind that an invocation sends, as soon as it is sent."""
    mails: list[Effect] = []

    def there() -> bool:
        sent = trial.recording.timeline.effects
        mails[:] = [e for e in sent if (e.kind, e.invocation) == (kind, invocation.id) and e.became == "happened"]
        return bool(mails) or invocation.trace.done or trial.waits_for_somebody(invocation.trace)

    if not trial.pg.runtime.wait_until(there, seconds) or not mails:
        trial.pg.ledger.entries()  # waits until the recording has everything the ledger has
        there()
    return mails[0] if mails else None


def _remind_probe(trial: Trial) -> str:
    def ask(who: str, patience: float) -> Invocation:
        return trial.send("Reminder/confirm", {"address": trial.key(who), "patience": patience})

    quick, late, never = ask("quick", 60), ask("late", PATIENCE), ask("never", PATIENCE)
    _click_in_time(trial, quick)
    _click_on_the_first_link(trial, late)
    _no_click(trial, never)
    return "a click in time, a click after the reminder, and no click at all: each ended as it should"


def _click_in_time(trial: Trial, quick: Invocation) -> None:
    mail = _mail(trial, quick, "email", 5)
    if mail is None:
        trial.result(quick, patience=0.1)  # raises what the handler raises
        raise NotYet("No email was sent.", "the email is sent first")
    trial.resolve(trial.named(mail, "link"), "phone")
    expected = "a click before the time is up is the end of the waiting"
    try:
        trial.result(quick, patience=4)
    except InvocationFailed as error:
        raise NotYet(
            f"A click long before the time was up, and it ended with: {error.message}", expected, "Are they seconds?"
        ) from None
    except NotYet as stuck:
        raise NotYet(
            f"Somebody clicked at once. {stuck.observed}", expected, "It waits for the timer before it looks."
        ) from None


def _click_on_the_first_link(trial: Trial, late: Invocation) -> None:
    mail, reminder = _mail(trial, late, "email", 1), _mail(trial, late, "reminder", PATIENCE + 3)
    if reminder is None or mail is None:
        mistake = ""
        if late.status == "suspended":
            mistake = (
                "Only a click can wake it now. A timer of asyncio lives in the pod; use ctx.sleep: Restate keeps it."
            )
        raise NotYet(
            f"Nobody clicked for {PATIENCE:g} s, and no reminder came. It is {late.status}.",
            "one reminder when the time is up",
            mistake,
        )
    trial.resolve(trial.named(mail, "link"), "laptop")

    def elsewhere() -> bool:
        """Whether it is suspended on something other than what was clicked."""
        waits = {entry.row for entry in trial.waits(late.trace)}
        clicked = {("signal", signal) for signal in late.trace.clicked}
        return bool(waits and clicked) and not waits & clicked

    try:
        trial.result(late, patience=4, hopeless=elsewhere)
    except (NotYet, InvocationFailed):
        new = trial.named(reminder, "link") != trial.named(mail, "link")
        raise NotYet(
            "After the reminder somebody clicked the link of the first email, and nothing came of it.",
            "a click on any of the two mails confirms the address",
            "A new awakeable has a new id, and nobody waits for the old one any more. Keep the one you have."
            if new
            else _ONCE_MORE,
        ) from None


def _no_click(trial: Trial, never: Invocation) -> None:
    expected = "with no click at all it ends with a TerminalError, after one reminder and a second wait"
    try:
        returned = trial.result(never, patience=2 * PATIENCE + 4)
    except InvocationFailed:
        pass
    except Broken as error:
        raise NotYet(
            f"Nobody clicked, and it raises, again and again: {error.message}",
            expected,
            "Any other exception is retried. That nobody clicked will not change by trying again: raise TerminalError.",
        ) from None
    else:
        raise NotYet(f"Nobody clicked, and it returned {returned!r}.", expected)
    reminders = trial.effects("reminder", of=never.trace)
    if len(reminders) != 1:
        raise NotYet(
            f"One request sent {len(reminders)} reminders.",
            expected,
            "Outside a step it is sent again whenever the handler is replayed. Use ctx.run_typed.",
        )
    if trial.last_ended_at(never.trace) - reminders[0].at < PATIENCE / 2:
        raise NotYet("It gave up as soon as the reminder was out.", expected, _ONCE_MORE)


remind_once = Write(
    "remind_once",
    "Have confirm send one reminder, with the same link, when the time is up; then wait as long again; then give up.",
    service="reminder",
    starter=STARTER,
    solution=_SOLUTION,
    probe=_remind_probe,
    hints=[
        "What should happen between the first time-out and giving up? It is three lines.",
        "The reminder is an effect like the email: it belongs in a step. Which link should it carry?",
        "clicked can be waited for again. A timer that has gone off cannot: make a second one.",
        "In the first if: send the reminder with ctx.run_typed, then restate.select(click=clicked, timeout=...) again.",
    ],
    because="The same awakeable is waited for twice, each time against a durable timer of its own.",
)
