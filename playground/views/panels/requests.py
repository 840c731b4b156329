"""The panel Requests: what can be requested, with which body, and sending it once or ten times."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from playground.errors import RequestError
from playground.recording import Timeline
from playground.restate.ingress import NO_BODY
from playground.restate.target import Target
from playground.views import text
from playground.views.actions import Actions, Sent
from playground.views.panels.panel import Change, Data, Item, Panel, as_text, offered, plain, split, wanted

MANY = 10


class RequestsPanel(Panel):
    """Its items are the handlers that can be called now, by "Service/handler"."""

    name = "requests"
    title = "Requests"

    def items(self, timeline: Timeline, changes: Collection[Change] | None) -> dict[str, Item | None]:
        """One item per handler: how it is addressed and what it takes."""
        if changes is not None and not any(change[0] == "revision" for change in changes):
            return {}
        items: dict[str, Item | None] = {}
        if changes is not None:  # whatever an older revision offered and no newer one does
            gone = [service for revision in timeline.revisions.values() for service in revision.services]
            items.update({f"{s['name']}/{h['name']}": None for s in gone for h in s["handlers"]})
        last = _last_bodies(timeline)
        for service in offered(timeline).values():
            for handler in service["handlers"]:
                name = f"{service['name']}/{handler['name']}"
                items[name] = {
                    "service": service["name"],
                    "handler": handler["name"],
                    "kind": service["type"],
                    "shared": handler.get("kind") == "SHARED",
                    "input": handler.get("input", ""),
                    # As text: a schema's own texts are a learner's and may hold anything.
                    "schema": None if handler.get("schema") is None else json.dumps(handler["schema"]),
                    "last": last.get(name),
                }
        return items

    def text(self, timeline: Timeline) -> str:
        """Targets and what they take."""
        return text.requests_table(offered(timeline).values())

    def act(self, actions: Actions, verb: str, data: Data) -> Any:
        """`send`: the same request once, ten times, or to ten keys."""
        if verb != "send":
            return super().act(actions, verb, data)
        service, handler = wanted(data, "service"), wanted(data, "handler")
        key = data.get("key")
        body = _body(data.get("body"))
        idempotency_key, delay = data.get("idempotencyKey") or None, _delay(data.get("delay"))
        keys = [key] * (MANY if data.get("times") == MANY else 1)
        if data.get("spread"):
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


def _body(sent: Any) -> Any:
    if sent is None:
        return NO_BODY
    try:
        return json.loads(sent)
    except (TypeError, ValueError) as error:
        raise RequestError("The body is not JSON.", f"{error}.", 'For example: {"username": "ada"}') from error


def _delay(seconds: Any) -> float | None:
    if seconds in (None, "", 0):
        return None
    try:
        delay = float(seconds)
    except (TypeError, ValueError):
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
