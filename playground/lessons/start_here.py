"""Lesson 00: the first kill and the first replay."""

from __future__ import annotations

from playground.lessons.evidence import Evidence
from playground.lessons.facts import Term
from playground.lessons.question import Predict, Read

_DOCS = "https://docs.restate.dev"

TERMS = (
    Term(
        "durable execution engine",
        "Keeps a journal of what code has done, so that a crash loses nothing of it.",
        f"{_DOCS}/foundations/key-concepts",
    ),
    Term("journal", "What an invocation has done so far, entry by entry, kept by Restate."),
    Term("virtual object", "Handlers with a state of their own for every key.", f"{_DOCS}/foundations/services"),
    Term("service", "A group of handlers that keep no state of their own.", f"{_DOCS}/foundations/services"),
    Term("invocation", "One request to a handler, from the moment it is accepted until its result is there."),
    Term("pod", "One running copy of a service's revision: here a process, on Kubernetes a container."),
    Term("ledger", "The playground's outside world: it remembers every effect that really happened."),
    Term("suspend", "To end an attempt that can only wait. The invocation goes on when what it waits for is there."),
    Term("attempt", "One try at an invocation, on one pod."),
    Term("entry", "One line of a journal: a step, a call, a wait, with its result."),
    Term("executed", "Of an entry: asked for in this attempt, and done."),
    Term("replayed", "Of an entry: its result was taken from the journal; nothing was done."),
    Term("cut off", "Of a step: its pod died before its result was in the journal."),
    Term("scale to zero", "No pod runs while there is no work."),
    Term("awakeable", "Something to wait for that anybody who knows its id can complete."),
    Term("state", "What a virtual object keeps for a key: names with values."),
    Term("revision", "One version of a service's source, deployed."),
)


def _initialize_calls(evidence: Evidence) -> int:
    evidence.latest("Signup/signup", status="suspended")
    return len(evidence.all("User/francesco/initialize"))


initialize_calls = Predict(
    "initialize_calls",
    "The pod is killed inside send_email. How often will User/francesco/initialize have been called in the end?",
    answer=1,
    unit="times",
    observe=_initialize_calls,
    mistakes={
        2: "The handler ran again from its first line, but the journal had the call: its result was replayed.",
        0: "It was called before the email, by the first attempt, and the journal had its result before the kill.",
        3: "There were two attempts; the second took the call's result from the journal and called nobody.",
    },
    hints=[
        "Which of the handler's steps had ended before the kill?",
        "A step that has ended is in the journal, with its result.",
        "What is in the journal is not done again: the next attempt takes the result from there.",
    ],
    because="The call had ended before the kill. The second attempt took its result from the journal.",
)

emails_sent = Predict(
    "emails_sent",
    "The pod is killed inside send_email, when the email is out. How often will the email have been sent in the end?",
    answer=2,
    unit="times",
    observe=lambda evidence: len(evidence.effects("email", of=evidence.latest("Signup/signup", status="suspended"))),
    mistakes={
        1: "The first one had left, but the step had not ended: the journal had no result. So the step ran again.",
        0: "The ledger had the email before you killed the pod. What has left cannot be taken back.",
        3: "There were two attempts, and each ran the step once.",
    },
    hints=[
        "Had the step ended when the pod was killed?",
        "The email had left. But what was in the journal?",
        "A step without a result in the journal is executed again, from its beginning.",
    ],
    because="The step was cut off before its result was in the journal, so it ran again: the email left twice.",
)

last_attempt = Read(
    "last_attempt",
    "Look at the lens of the completed signup. What did the last attempt do with 'send email'?",
    answer="replayed",
    options=("executed", "replayed", "cut off", "failed"),
    observe=lambda evidence: evidence.how(evidence.latest("Signup/signup"), "send email"),
    mistakes={
        "executed": "The second attempt executed it. By the third its result was in the journal.",
        "cut off": "That was the first attempt: its pod was killed.",
        "failed": "Nothing failed: no step raised an error. A pod that dies is not a failure of the code.",
    },
    hints=[
        "Find the row 'Run send email', and in it the last column.",
        "A filled mark is executed, a hollow one is replayed.",
        "Nobody sent an email after the click. So where did the result come from?",
    ],
    because="It had ended in the attempt before, so its result was in the journal.",
)
