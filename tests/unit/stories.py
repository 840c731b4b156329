"""A recording to test panels on: events as pods, clients, the ledger and the admin API would say them."""

from __future__ import annotations

import json
from typing import Any

from playground.recording import Event
from playground.recording.timeline import awakeable_id

SERVICES: list[dict[str, Any]] = [
    {
        "name": "Signup",
        "type": "SERVICE",
        "handlers": [{"name": "signup", "kind": "SERVICE", "input": "JSON object", "schema": {"type": "object"}}],
    },
    {
        "name": "User",
        "type": "VIRTUAL_OBJECT",
        "handlers": [
            {"name": "add", "kind": "EXCLUSIVE", "input": "JSON integer", "schema": {"type": "integer"}},
            {"name": "get", "kind": "SHARED", "input": "none", "schema": None},
        ],
    },
]


class Tale:
    """Events, a tenth of a second apart; each method says what one party would."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._pods: dict[str, int] = {}

    def say(self, kind: str, **data: Any) -> Tale:
        self.events.append(Event.of(kind, 1000 + len(self.events) / 10, data))
        return self

    def deploy(self, services: list[dict[str, Any]] = SERVICES, number: int = 1, source: str = "") -> Tale:
        revision = f"shop-{number:05d}"
        told = {"service": "shop", "revision": revision, "deployment": "dp", "services": services, "source": source}
        return self.say("revision.deployed", **told)

    def pod(self, name: str, *lines: str) -> Tale:
        self._pods[name] = 0
        self.say("pod.starting", pod=name, service="shop", revision="shop-00001").say("pod.ready", pod=name)
        for line in lines:
            self.say("pod.log", pod=name, text=line)
        return self

    def gone(self, name: str, how: str = "stopped") -> Tale:
        return self.say("pod.gone", pod=name, how=how)

    def send(self, invocation: str, target: str, **more: Any) -> Tale:
        return self.say("invocation.sent", invocation=invocation, target=target, **more)

    def start(self, pod: str, invocation: str, target: str) -> int:
        """An attempt begins; returns its number on the pod."""
        self._pods[pod] += 1
        number = self._pods[pod]
        raw = invocation.encode().hex()
        self.say("attempt.started", pod=pod, attempt=number, invocation=invocation, target=target, known=1, id=raw)
        self.say("entry.replayed", pod=pod, attempt=number, type="Input", entry=0, value="1")
        return number

    def end(self, pod: str, number: int, value: str = '"ok"') -> Tale:
        self.say("entry.executed", pod=pod, attempt=number, type="Output", entry=1, value=value)
        self.say("attempt.ended", pod=pod, attempt=number)
        return self.say("attempt.closed", pod=pod, attempt=number)

    def suspend(self, pod: str, number: int, *signals: int) -> Tale:
        self.say("attempt.suspended", pod=pod, attempt=number, entries=[], signals=[1, *signals])
        return self.say("attempt.closed", pod=pod, attempt=number)

    def status(self, invocation: str, status: str, **more: Any) -> Tale:
        return self.say("invocation.status", invocation=invocation, status=status, **more)

    def mail(self, pod: str, number: int, awakeable: str) -> Tale:
        body = json.dumps({"to": "ada", "link": f"https://example.org/{awakeable}"})
        return self.say("effect.happened", number=1, effect="email", body=body, pod=pod, attempt=number)


def awakeable(invocation: str, signal: int = 17) -> str:
    """The id of an invocation's awakeable, as `Tale.start` numbers it."""
    return awakeable_id(invocation.encode().hex(), signal)


def long_day() -> Tale:
    """Something of everything: a queue, a kill, a mail, a suspension, failures, two revisions, many pods."""
    tale = Tale().deploy().pod("shop-1", "hello", "x" * 1000)
    tale.send("inv_s", "Signup/signup", body={"username": "ada"})
    signup = tale.start("shop-1", "inv_s", "Signup/signup")
    tale.mail("shop-1", signup, awakeable("inv_s"))
    for number in range(4):
        tale.send(f"inv_q{number}", "User/ada/add", body=number)
    tale.send("inv_later", "User/ada/add", body=9, delay=60).status("inv_later", "scheduled")
    first = tale.start("shop-1", "inv_q0", "User/ada/add")
    tale.say("queue.read", service="User", key="ada", holder="inv_q0", waiting=["inv_q2", "inv_q1", "inv_q3"])
    tale.gone("shop-1", "killed").pod("shop-2")
    first = tale.start("shop-2", "inv_q0", "User/ada/add")
    tale.end("shop-2", first)
    tale.say("state.read", service="User", key="ada", values={"count": "1", "note": '"<script>"'})
    second = tale.start("shop-2", "inv_q2", "User/ada/add")
    again = tale.start("shop-2", "inv_s", "Signup/signup")
    tale.suspend("shop-2", again, 17)
    tale.status("inv_q1", "completed", completion_failure="[409] cancelled")
    tale.say("attempt.failed", pod="shop-2", attempt=second, code=500, message="no", entry=1)
    tale.say("attempt.closed", pod="shop-2", attempt=second).deploy(SERVICES[:1], 2)
    for number in range(3, 10):
        tale.gone(f"shop-{number - 1}").pod(f"shop-{number}")
    tale.say("state.read", service="User", key="ada", values={})
    tale.say("awakeable.completed", awakeable=awakeable("inv_s"), value="yes")
    third = tale.start("shop-9", "inv_s", "Signup/signup")
    tale.say("entry.replayed", pod="shop-9", attempt=third, type="Signal", signal=17, value='"yes"')
    tale.end("shop-9", third)
    return tale.say("invocation.result", invocation="inv_s", value='"ok"')
