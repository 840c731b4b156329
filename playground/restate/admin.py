# ruff: noqa: S608  (values only get into queries through literal())
"""Restate's admin API: deployments, invocations, and SQL queries about what the server knows.

https://docs.restate.dev/references/sql-introspection
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal
from urllib.parse import quote

import httpx

from playground.core.door import Door
from playground.errors import RequestError, StartError
from playground.restate import protocol
from playground.restate.ingress import refusal

QUERY_TIMEOUT = 15.0
"""Seconds for which a query is retried: for a moment after a restart, the server answers queries with an error."""

InvocationVerb = Literal["cancel", "kill", "pause", "resume", "purge", "restart-as-new"]


class Admin:
    """A client of the admin API. Lives on the engine's loop.

    Args:
        door: the way to it.
        ready: waits until the server is ready.
    """

    def __init__(self, door: Door, ready: Callable[[], Awaitable[None]]) -> None:
        self._ready = ready
        self._client = door.client(30)

    async def features(self) -> set[str]:
        """The features that are switched on in the server, by the server's names for them.

        Some things differ between releases: a feature is first optional and later the default. So we ask for features
        wherever one matters, and every time, because after a restart it may be another server.
        """
        answer = await self._request("GET", "/version")
        listed = answer.json().get("features", {}) if answer.is_success else {}
        return {name for name, on in listed.items() if on}

    async def check_features(self, asked_for: Iterable[str]) -> None:
        """Check that the features that were asked for are switched on.

        Raises:
            StartError: some are not.
        """
        missing = set(asked_for) - await self.features() if asked_for else set()
        if missing:
            raise StartError(
                f"The Restate server has not switched on: {', '.join(sorted(missing))}.",
                "PLAYGROUND_RESTATE_FEATURES asks for it, and the server does not list it in GET /version.",
                "unset PLAYGROUND_RESTATE_FEATURES",
            )

    async def register(
        self, address: str, *, headers: Mapping[str, str] | None = None, breaking: bool
    ) -> dict[str, Any]:
        """Register a deployment. Restate discovers it at its address; returns what it found.

        Args:
            headers: sent with every request to the deployment.

        Raises:
            RequestError: it could not be discovered, or is incompatible with what was registered before.
        """
        deployment = {"uri": address, "additional_headers": dict(headers or {}), "breaking": breaking}
        answer = await self._request("POST", "/deployments", json=deployment)
        if not answer.is_success:
            raise refusal(
                f"Restate did not register the deployment at {address}.", answer, "Deploy again, or look at pod.logs()."
            )
        return dict(answer.json())

    async def deployments(self) -> dict[str, str]:
        """All registered deployments: {id: address}."""
        answer = await self._request("GET", "/deployments")
        rows = answer.json()["deployments"] if answer.is_success else []
        return {str(row["id"]): str(row.get("uri", "")).rstrip("/") for row in rows}

    async def move(self, deployment: str, address: str, *, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Move a deployment to another address. Invocations that are pinned to it go on there.

        Args:
            headers: sent with every request to the deployment, instead of its earlier ones.

        Raises:
            RequestError: there is no such deployment.
        """
        path = f"/deployments/{quote(deployment, safe='')}"
        moved = {"uri": address, "additional_headers": dict(headers or {})}
        answer = await self._request("PATCH", path, json=moved)
        if not answer.is_success:
            raise refusal(f"Restate did not move the deployment {deployment}.", answer, "Deploy its source again.")
        return dict(answer.json())

    async def query(self, sql: str) -> list[dict[str, Any]]:
        """The rows of an SQL query.

        Raises:
            RequestError: the query is wrong, or the server does not answer it in time.
        """
        deadline = time.monotonic() + QUERY_TIMEOUT
        while True:
            answer = await self._request("POST", "/query", json={"query": sql}, headers={"accept": "application/json"})
            rows = answer.json().get("rows") if answer.is_success else None
            if rows is not None:
                return list(rows)
            if time.monotonic() > deadline or "sql" in answer.text.lower():
                raise refusal(
                    "Restate did not answer a query.", answer, "Run the cell again, or: python -m playground doctor"
                )
            await asyncio.sleep(0.05)

    async def unfinished(self) -> list[dict[str, Any]]:
        """All invocations that are not completed, the newest last."""
        return await self.query(f"{_INVOCATIONS} WHERE status <> 'completed' ORDER BY created_at")

    async def invocations(self, ids: Iterable[str]) -> list[dict[str, Any]]:
        """Those of these invocations that the server still knows."""
        listed = ", ".join(literal(i) for i in ids)
        return await self.query(f"{_INVOCATIONS} WHERE id IN ({listed})") if listed else []

    async def journal(self, invocation: str) -> list[dict[str, Any]]:
        """The journal of an invocation: [{"index", "type", "name", "target", "key", "value", "at"}]."""
        rows = await self.query(
            "SELECT index, entry_type, raw, appended_at FROM sys_journal"
            f" WHERE id = {literal(invocation)} ORDER BY index"
        )
        return [_journal_entry(row) for row in rows]

    async def callees(self, invocation: str) -> list[tuple[int, str, str]]:
        """What an invocation has called and sent, from its journal: [(command index, invocation id, target)]."""
        rows = await self.query(
            "SELECT entry_lite_json FROM sys_journal"
            f" WHERE id = {literal(invocation)} AND entry_type LIKE 'Command: %' ORDER BY index"
        )
        callees = []
        for index, row in enumerate(rows):
            command = json.loads(row.get("entry_lite_json") or "{}").get("Command", {})
            call = command.get("Call") or command.get("OneWayCall") if isinstance(command, dict) else None
            if call:
                (target,) = call["invocation_target"].values()
                names = [target["name"], target.get("key"), target["handler"]]
                callees.append((index, call["invocation_id"], "/".join(name for name in names if name is not None)))
        return callees

    async def from_ingress(self) -> list[str]:
        """Ids of the invocations that clients have made, including finished ones that Restate still keeps."""
        rows = await self.query("SELECT id FROM sys_invocation WHERE invoked_by = 'ingress'")
        return [row["id"] for row in rows]

    async def outcome(self, invocation: str) -> tuple[bytes | None, tuple[int, str] | None]:
        """Wait until an invocation ends, and read its outcome from the journal: (result, None) or (None, failure).

        Raises:
            RequestError: Restate does not know this invocation.
        """
        while True:
            rows = await self.invocations([invocation])
            if not rows:
                raise RequestError(
                    f"Restate does not know the invocation {invocation}.",
                    "It may have been purged.",
                    "Send the request again: pg.send(...)",
                )
            if rows[0]["status"] == "completed":
                break
            await asyncio.sleep(0.1)
        for entry in reversed(await self.journal(invocation)):
            if entry["type"] == "Command: Output" and "failure" not in entry:
                return entry.get("value", "").encode(), None
        return None, (500, rows[0].get("completion_failure") or "it ended without a result")

    async def state(self, service: str, key: str) -> dict[str, str]:
        """The state of an object: {name: value as text}."""
        return as_text(await self.raw_state(service, key))

    async def raw_state(self, service: str, key: str) -> dict[str, bytes]:
        """The state of an object as it is stored: {name: value}."""
        rows = await self.query(
            f"SELECT key, value FROM state WHERE service_name = {literal(service)}"
            f" AND service_key = {literal(key)} ORDER BY key"
        )
        return {row["key"]: bytes.fromhex(row["value"]) for row in rows}

    async def set_state(
        self, service: str, key: str, state: Mapping[str, bytes], *, instead_of: Mapping[str, bytes] | None = None
    ) -> None:
        """Ask Restate to replace the whole state of an object.

        Restate answers when it has accepted the change, and applies it later: like a call to an exclusive handler, the
        change has to wait for the key's lock.

        Args:
            state: the new state. Names that are not in it are removed.
            instead_of: the state that it is meant to replace. If the state differs by then, Restate drops the change.

        Raises:
            RequestError: there is no such object.
        """
        change: dict[str, Any] = {"object_key": key, "new_state": {name: list(value) for name, value in state.items()}}
        if instead_of is not None:
            change["version"] = state_version(instead_of)
        answer = await self._request("POST", f"/services/{quote(service, safe='')}/state", json=change)
        if not answer.is_success:
            raise refusal(
                f"Restate did not accept a new state of {service}/{key}.", answer, "pg.state shows the current one."
            )

    async def queue(self, service: str, key: str) -> tuple[str, list[str]]:
        """The invocation that holds a key's lock (empty if none), and those that wait for it, in order."""
        if "vqueues" in await self.features():
            return await self._virtual_queue(service, key)
        where = f"WHERE service_name = {literal(service)} AND service_key = {literal(key)}"
        holder, waiting = await asyncio.gather(
            self.query(f"SELECT invocation_id FROM sys_keyed_service_status {where}"),
            self.query(f"SELECT id FROM sys_inbox {where} ORDER BY sequence_number"),
        )
        return (holder[0]["invocation_id"] if holder else ""), [row["id"] for row in waiting]

    async def _virtual_queue(self, service: str, key: str) -> tuple[str, list[str]]:
        """The same, for a server on which each key has a virtual queue.

        Such a queue holds everything unfinished, in stages. Whatever holds the lock comes first, even if it is
        suspended, or back in the inbox between two attempts. The inbox also holds invocations that start later, and
        new states that were set from outside; neither of these waits for the lock.
        """
        rows = await self.query(
            "SELECT entry_id, has_lock FROM sys_vqueues WHERE stage IN ('inbox', 'running', 'suspended', 'paused')"
            " AND entry_kind = 'invocation' AND (has_lock OR (stage = 'inbox' AND run_at <= now()))"
            f" AND id IN (SELECT id FROM sys_vqueue_meta WHERE lock_name = {literal(f'{service}/{key}')})"
            " ORDER BY run_at, sequence_number"
        )
        holders = [row["entry_id"] for row in rows if row["has_lock"]]
        return (holders[0] if holders else ""), [row["entry_id"] for row in rows if not row["has_lock"]]

    async def act(self, invocation: str, verb: InvocationVerb, **options: Any) -> dict[str, Any]:
        """Cancel, kill, pause, resume … an invocation.

        Args:
            options: for the verb: `deployment` for resume, `from` and `deployment` for restart-as-new.

        Raises:
            RequestError: Restate refused, for example because the invocation is completed.
        """
        path = f"/invocations/{quote(invocation, safe='')}/{verb}"
        answer = await self._request("PATCH", path, params=options)
        if not answer.is_success:
            raise refusal(f"Restate did not {verb} {invocation}.", answer, "inv.status says what it is doing.")
        return dict(answer.json()) if answer.content else {}

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        deadline = time.monotonic() + QUERY_TIMEOUT
        while True:
            await self._ready()
            try:
                return await self._client.request(method, path, **options)
            except httpx.TransportError as error:
                # Every request here may be sent twice: registering and the verbs are idempotent.
                if time.monotonic() > deadline:
                    raise RequestError(
                        "Restate's admin API does not answer.",
                        repr(error),
                        "Open a new playground: pg.close(), then pg = Playground.open()",
                    ) from error
                await asyncio.sleep(0.05)


_INVOCATIONS = (
    "SELECT id, target, target_service_name, target_service_key, target_handler_name, status, invoked_by_id,"
    " pinned_deployment_id, retry_count, next_retry_at, last_failure, suspended_waiting_for_signals,"
    " completion_result, completion_failure, idempotency_key, scheduled_start_at FROM sys_invocation"
)


def as_text(state: Mapping[str, bytes]) -> dict[str, str]:
    """State values as text, even if their bytes are not."""
    return {name: value.decode("utf-8", "replace") for name, value in state.items()}


def state_version(state: Mapping[str, bytes]) -> str:
    """The version by which Restate sees whether a state is still the one that a change was meant for."""
    digest = hashlib.sha256()
    for position, (name, value) in enumerate(sorted((name.encode(), value) for name, value in state.items())):
        digest.update(position.to_bytes(8, "big") + b"\1" + name + b"\2" + value + b"\3")
    return base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")


def literal(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def _journal_entry(row: dict[str, Any]) -> dict[str, Any]:
    """A journal entry from a row of `sys_journal`, whose `raw` is the protocol message without its frame."""
    group, _, name = row["entry_type"].partition(": ")
    entry: dict[str, Any] = {"index": row["index"], "type": row["entry_type"], "at": row.get("appended_at")}
    if group == "Command":
        kind = protocol.COMMAND_TYPES.get(name)
    elif name == "Signal":
        kind = protocol.SIGNAL
    elif name == "CallInvocationId":
        kind = protocol.CALL_INVOCATION_ID
    else:
        kind = protocol.COMMAND_TYPES.get(name, 0) - 0x0400 + 0x8000
    try:
        message = protocol.decode(kind or 0, bytes.fromhex(row["raw"]))
    except (protocol.Malformed, ValueError):
        return entry
    for field in ("name", "target", "key", "completion", "signal", "failure"):
        if value := getattr(message, field):
            entry[field] = value
    if message.value is not None:
        entry["value"] = message.value.decode("utf-8", "replace")
    return entry


def as_json(text: str | None) -> Any:
    """A payload as a JSON value; if it is not JSON, as text."""
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text
