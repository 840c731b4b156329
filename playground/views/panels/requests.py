"""The panel Requests: what can be requested, with which body, and sending it once or ten times."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NotRequired, TypedDict

from playground.errors import RequestError
from playground.recording import Timeline
from playground.recording.changes import Change
from playground.restate.ingress import NO_BODY
from playground.restate.target import Target
from playground.views import text
from playground.views.actions import Actions, Sent
from playground.views.asked import answers
from playground.views.panels.panel import Panel, Said, as_text, offered, plain, split

MANY = 10


class HandlerItem(TypedDict):
    """A handler that can be called.

    `kind` is its service's, `input` the type of its body, `schema` that type's JSON schema as text, for its own texts
    are a learner's and may hold anything; `last` the latest body that was sent to it.
    """

    service: str
    handler: str
    kind: str
    shared: bool
    input: str
    schema: str | None
    last: str | None


class Send(TypedDict):
    """A request, as it was typed: `body` is JSON, none if there is none; `delay` is in seconds.

    With `times` 10 it is sent so often, with `spread` to as many keys.
    """

    service: str
    handler: str
    key: str | None
    body: str | None
    idempotencyKey: NotRequired[str]
    delay: NotRequired[str]
    times: NotRequired[int]
    spread: NotRequired[bool]


class RequestsPanel(Panel[HandlerItem]):
    """Its items are the handlers that can be called now, by "Service/handler"."""

    name = "requests"
    title = "Requests"

    def items(self, timeline: Timeline) -> dict[str, HandlerItem]:
        """One item per handler: how it is addressed and what it takes."""
        last = _last_bodies(timeline)
        items: dict[str, HandlerItem] = {}
        for service in offered(timeline).values():
            for handler in service["handlers"]:
                name = f"{service['name']}/{handler['name']}"
                items[name] = {
                    "service": service["name"],
                    "handler": handler["name"],
                    "kind": service["type"],
                    "shared": handler.get("kind") == "SHARED",
                    "input": handler.get("input", ""),
                    "schema": None if handler.get("schema") is None else json.dumps(handler["schema"]),
                    "last": last.get(name),
                }
        return items

    def changed(self, timeline: Timeline, changes: Collection[Change]) -> dict[str, HandlerItem | None]:
        """All of them, once there is a new revision; those are gone that an older one offered and no newer one does."""
        if not any(change[0] == "revision" for change in changes):
            return {}
        ever = [service for revision in timeline.revisions.values() for service in revision.services]
        return {f"{s['name']}/{h['name']}": None for s in ever for h in s["handlers"]} | self.items(timeline)

    def text(self, timeline: Timeline) -> str:
        """Targets and what they take."""
        return text.requests_table(offered(timeline).values())

    @answers("send")
    def send(self, actions: Actions, asked: Send) -> Said:
        """The same request once, ten times, or to ten keys."""
        service, handler, key = asked["service"], asked["handler"], asked["key"]
        body = _body(asked["body"])
        idempotency_key, delay = asked.get("idempotencyKey") or None, _delay(asked.get("delay", ""))
        keys = [key] * (MANY if asked.get("times") == MANY else 1)
        if asked.get("spread"):
            keys = [f"{key}-{number}" for number in range(1, MANY + 1)]
        sent = [
            actions.send(Target(service, handler, k).path, body, idempotency_key=idempotency_key, delay=delay)
            for k in keys
        ]
        return {"said": _said(sent, keys), "invocations": [invocation.id for invocation in sent]}


def _said(sent: list[Sent], keys: list[str | None]) -> str:
    known = sum(not invocation.is_new for invocation in sent)
    if len(sent) == 1:
        return (
            f"{sent[0].target} was sent before with this key: it is the same invocation."
            if known
            else (f"Restate has accepted {sent[0].target}.")
        )
    where = "on one key" if len(set(keys)) == 1 and keys[0] is not None else "on ten keys" if keys[0] else "times"
    same = f" {known} of them were known by their key already: they are the same invocation." if known else ""
    return f"Restate has accepted {len(sent)} {'requests ' if keys[0] else ''}{where}.{same}"


def _body(sent: str | None) -> Any:
    if sent is None:
        return NO_BODY
    try:
        return json.loads(sent)
    except ValueError as error:
        raise RequestError("The body is not JSON.", f"{error}.", 'For example: {"username": "ada"}') from error


def _delay(seconds: str) -> float | None:
    if not seconds:
        return None
    try:
        delay = float(seconds)
    except ValueError:
        delay = -1.0
    if not 0 <= delay < 10**9:
        raise RequestError("That is no delay.", "A delay is a number of seconds, zero or more.", "For example: 10")
    return delay


def _last_bodies(timeline: Timeline) -> dict[str, str]:
    """The latest body a client sent to each handler, as a start for the next one."""
    last = {}
    for trace in timeline.invocations.values():
        if trace.sent_at is not None and trace.body is not None:
            service, _, handler = split(trace.target)
            body = as_text(trace.body)
            if len(body) <= 2000:
                last[f"{service}/{handler}"] = plain(body)
    return last
