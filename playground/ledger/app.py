"""The ledger's HTTP API: `POST /{kind}` makes an effect happen; `/-/…` is for watching and controlling it.

It plays somebody else's service, so handlers call it with plain HTTP that has nothing of ours in it. The pod adds
headers that say which pod, attempt and step a request comes from, as tracing would.

Every user of the machine, and every page in the learner's browser, can send requests to loopback. So the address in
LEDGER_URL ends in a secret. A request whose path does not begin with the secret, or that names another host (somebody
may have pointed a name here), gets a 404 before anything of it is read. Other origins are never allowed in. The paths
below come after the secret.

| request | answer |
|---|---|
| POST /{kind}, header idempotency-key | 200 {"id", "kind"}; 502 down; 503 refused; 504 answer lost; 409, 422 key |
| any request, while its file is unusable | 507 {"error", "fix"} |
| GET /-/entries, GET /-/entries/last | {"entries": […]}, {"last": number of the latest} |
| DELETE /-/entries | 204 |
| POST /-/gate/{ask}, /-/plans, /-/plans/{run}/release, …/forget | the crash atlas |
| GET /-/faults, PUT /-/faults/{kind} | how kinds misbehave |
"""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields
from hmac import compare_digest
from typing import Any, Literal
from urllib.parse import urlsplit

from playground.ledger.plans import Plans
from playground.ledger.store import Conflict, Faults, Request, Store, unusable
from playground.pod.emit import MAX_VALUE

KIND = re.compile(r"[a-z][a-z0-9_-]{0,39}")
POD_HEADER, ATTEMPT_HEADER, STEP_HEADER = "x-playground-pod", "x-playground-attempt", "x-playground-step"
MAX_BODY, MAX_DIGITS, MAX_SLOW = 1 << 20, 9, 600
LOOPBACK = ("127.0.0.1", "localhost", "::1")
NOT_LET_IN = (404, {"error": "the address is all of LEDGER_URL, its path too: LEDGER_URL + '/email'"})

Tell = Callable[[dict[str, Any]], None]
Answer = tuple[int, dict[str, Any] | None]


class Ledger:
    """The ASGI app.

    Args:
        store: its memory.
        tell: called with an event for each entry.
        secret: the first part of every path.
        host: the host name that handlers use; loopback's names are always accepted.
    """

    def __init__(self, store: Store, tell: Tell, *, secret: str, host: str) -> None:
        self._store, self._tell = store, tell
        self._secret, self._hosts = secret.encode(), {host, *LOOPBACK}
        self._plans = Plans(tell)
        self._told = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        secret, slash, path = scope["path"].removeprefix("/").partition("/")
        if compare_digest(secret.encode("utf-8", "replace"), self._secret) and _hostname(headers) in self._hosts:
            try:
                request_body = await _body(receive)
            except _Gone:
                return  # half a request does not count
            try:
                self.tell_all()
                status, body = await self._answer(scope["method"], slash + path, headers, request_body)
            except sqlite3.Error as error:
                problem = unusable(error, self._store.path)
                status, body = 507, {"error": str(problem), "fix": problem.fix}
        else:
            status, body = NOT_LET_IN
        content = b"" if body is None else json.dumps(body).encode()
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        )
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        if body is None:
            return 413, {"error": f"a body may have at most {MAX_BODY} bytes"}
        if path.startswith("/-/"):
            return await self._plan(path, body) or self._manage(method, path, body)
        kind = path.strip("/")
        if method != "POST" or not KIND.fullmatch(kind):
            return 404, {"error": "POST /{kind}, e.g. POST /email; a kind is lower-case letters, digits, - and _"}
        request = Request(
            kind,
            body.decode("utf-8", "replace"),
            headers.get("idempotency-key", ""),
            headers.get(POD_HEADER, ""),
            _number(headers.get(ATTEMPT_HEADER, "")) or 0,
            -1 if headers.get(STEP_HEADER) == "-1" else _number(headers.get(STEP_HEADER, "")),
        )
        return await self._effect(request)

    async def _effect(self, request: Request) -> Answer:
        store = self._store
        if store.faults(request.kind).down:
            return 502, {"error": f"{request.kind}: nobody is there"}
        try:
            if known := store.answered(request):
                self._enter(store.enter(request, "repeated"))
                return 200, known
        except Conflict as conflict:
            return conflict.status, {"error": str(conflict)}
        store.begin(request)
        try:
            await asyncio.sleep(store.faults(request.kind).slow)
            fault = self._plans.fault(request.pod, request.attempt, request.kind)
            if fault == "fail" or self._take(request.kind, "fail"):
                self._enter(store.enter(request, "refused"))
                return 503, {"error": f"{request.kind}: temporarily out of order"}
            entry, answer = store.happen(request)
            self._enter(entry)
        finally:
            store.end(request)
        if fault == "lose_answer" or self._take(request.kind, "lose_answer"):
            return 504, {"error": f"{request.kind}: no answer in time"}
        return 200, answer

    async def _plan(self, path: str, body: bytes) -> Answer | None:
        """Answer the crash atlas (see `plans`); None if the request is not from it."""
        match path.split("/")[2:]:
            case ["gate", ask]:
                return 200, {"answer": await self._gate(ask, json.loads(body))}
            case ["plans"]:
                plan = json.loads(body)
                await self._plans.register(plan["run"], plan["root"], plan["accidents"])
                return 204, None
            case ["plans", run, "release"]:
                self._plans.release(run)
                return 204, None
            case ["plans", run, "forget"]:
                self._plans.forget(run)
                return 204, None
        return None

    async def _gate(self, question: str, fields: dict[str, Any]) -> Any:
        plans = self._plans
        match question:
            case "begin":
                return await plans.begin(fields["pod"], fields["attempt"], fields["invocation"])
            case "callee":
                await plans.callee(fields["invocation"], fields["entry"], fields["callee"])
            case "foreign":
                await plans.foreign(fields["invocation"])
            case "end":
                plans.end(fields["invocation"], fields["passed"])
            case "arrive":
                return await plans.arrive(fields["invocation"])
        return None

    def _manage(self, method: str, path: str, body: bytes) -> Answer:
        store = self._store
        match method, path.split("/")[2:]:
            case "GET", ["entries"]:
                return 200, {"entries": store.entries()}
            case "GET", ["entries", "last"]:
                return 200, {"last": store.last()}
            case "DELETE", ["entries"]:
                store.clear()
                self._tell({"kind": "ledger.cleared", "last": store.last()})
                return 204, None
            case "GET", ["faults"]:
                return 200, store.all_faults()
            case "PUT", ["faults", kind] if KIND.fullmatch(kind):
                try:
                    store.set_faults(kind, _faults(json.loads(body)))
                except (ValueError, TypeError) as error:
                    return 400, {"error": str(error)}
                self._tell_faults(kind)
                return 200, store.all_faults()
        return 404, {"error": "there is no such path"}

    def _take(self, kind: str, fault: Literal["fail", "lose_answer"]) -> bool:
        before = self._store.faults(kind)
        taken = self._store.take(kind, fault)
        if self._store.faults(kind) != before:
            self._tell_faults(kind)
        return taken

    def tell_all(self) -> None:
        """Report, once, everything that the file already has: it may have been in use before.

        Raises:
            sqlite3.Error: the file is unusable now.
        """
        if self._told:
            return
        entries = self._store.entries()
        forgotten = entries[0]["number"] - 1 if entries else self._store.last()
        if forgotten:
            self._tell({"kind": "ledger.cleared", "last": forgotten})
        for entry in entries:
            self._enter(entry, again=True)
        for kind in self._store.kinds():
            self._tell_faults(kind)
        self._told = True

    def _tell_faults(self, kind: str) -> None:
        self._tell({"kind": "ledger.faults", "effect": kind, "faults": asdict(self._store.faults(kind))})

    def _enter(self, entry: dict[str, Any], **more: bool) -> None:
        details = {name: entry[name] for name in ("number", "key", "pod", "attempt") if entry[name]}
        if entry["step"] is not None:
            details["step"] = entry["step"]
        self._tell(
            {
                "kind": f"effect.{entry['what']}",
                "at": entry["at"],
                "effect": entry["kind"],
                "body": entry["body"][:MAX_VALUE],
                **details,
                **more,
            }
        )


def _number(header: str) -> int | None:
    digits = header[:MAX_DIGITS]
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _faults(values: dict[str, Any]) -> Faults:
    known = {field.name for field in fields(Faults)}
    if unknown := set(values) - known:
        raise ValueError(f"unknown faults: {', '.join(sorted(unknown))}")
    faults = Faults(**values)
    for name in ("fail", "lose_answer"):
        if type(getattr(faults, name)) is not int or getattr(faults, name) < -1:
            raise ValueError(f"{name} is a number of requests, or -1 for all")
    if type(faults.slow) not in (int, float) or not 0 <= faults.slow <= MAX_SLOW:
        raise ValueError(f"slow is a number of seconds, at most {MAX_SLOW}")
    if type(faults.down) is not bool:
        raise ValueError("down is true or false")
    return faults


def _hostname(headers: dict[str, str]) -> str | None:
    try:
        return urlsplit(f"//{headers.get('host', '')}").hostname
    except ValueError:
        return None


class _Gone(Exception):
    """The client disconnected in the middle of a request."""


async def _body(receive: Callable[[], Awaitable[dict[str, Any]]]) -> bytes | None:
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body"):
            return body
