"""What Restate holds for one key of a virtual object or workflow: its state and its queue.

Both can be read here, and the recorder can watch them. The state can also be changed from outside. Restate treats such
a change like a call to an exclusive handler: it accepts it at once, and applies it when the key's lock is free. It does
not report when that has happened, so we read the state until it has.
https://docs.restate.dev/services/introspection#editing-application-state
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any

from playground.errors import RequestError, WaitTimeout
from playground.recording import Event, Recording
from playground.restate.admin import Admin, as_text

DROPPED_AFTER = 1.0
"""If the lock has been free for this many seconds and the change is not applied, Restate has dropped it."""


async def read_state(recording: Recording, admin: Admin, service: str, key: str) -> dict[str, bytes]:
    """Read a key's state and return it. Record it if it is new."""
    at = time.time()
    state = await admin.raw_state(service, key)
    values = as_text(state)
    with recording.lock:
        if recording.timeline.states.get((service, key)) != values:
            recording.append(Event.of("state.read", at, {"service": service, "key": key, "values": values}))
    return state


async def read_queue(recording: Recording, admin: Admin, service: str, key: str) -> tuple[str, list[str]]:
    """Read who holds a key's lock and who waits for it, and return that. Record it if it is new."""
    at = time.time()
    holder, waiting = await admin.queue(service, key)
    with recording.lock:
        known = recording.timeline.queues.get((service, key))
        if known is None or (known.holder, known.waiting) != (holder, waiting):
            queue = {"service": service, "key": key, "holder": holder, "waiting": waiting}
            recording.append(Event.of("queue.read", at, queue))
    return holder, waiting


async def set_state(
    recording: Recording, admin: Admin, service: str, key: str, state: Mapping[str, bytes], patience: float
) -> None:
    """Replace a key's whole state, and wait until the change is applied.

    Raises:
        RequestError: Restate did not accept it, or a handler has changed the state meanwhile.
        WaitTimeout: it is accepted, but the key's lock is still held.
    """
    await admin.set_state(service, key, state)
    await _applied(recording, admin, service, key, state, patience)


async def edit_state(
    recording: Recording,
    admin: Admin,
    service: str,
    key: str,
    changes: Mapping[str, str | None],
    seen: Mapping[str, str | None],
    patience: float,
) -> None:
    """Change single values of a key's state, if they are still what they were when the edit began.

    Args:
        changes: new values by name, as JSON text; None removes the name.
        seen: the values that these names had; None if they had none.
        patience: seconds to wait until the change is applied.

    Raises:
        RequestError: the state has changed meanwhile; nothing is overwritten.
        WaitTimeout: the change is accepted, but the key's lock is still held.
    """
    before = await read_state(recording, admin, service, key)
    texts = as_text(before)
    stale = [name for name, text in seen.items() if texts.get(name) != text]
    if stale:
        raise _overtaken(service, key, stale[0])
    after = dict(before)
    for name, text in changes.items():
        if text is None:
            after.pop(name, None)
        else:
            after[name] = text.encode()
    await admin.set_state(service, key, after, instead_of=before)
    await _applied(recording, admin, service, key, after, patience)


async def _applied(
    recording: Recording, admin: Admin, service: str, key: str, state: Mapping[str, bytes], patience: float
) -> None:
    deadline = time.monotonic() + patience
    free_since: float | None = None
    while await read_state(recording, admin, service, key) != state:
        now = time.monotonic()
        holder, waiting = await read_queue(recording, admin, service, key)
        if holder or waiting:
            free_since = None
        elif free_since is None:
            free_since = now
        elif now - free_since > DROPPED_AFTER:
            raise _overtaken(service, key, "")
        if now > deadline and free_since is None:
            trace = recording.timeline.invocations.get(holder)
            raise WaitTimeout(
                f"Restate has accepted the new state of {service}/{key} and will apply it when the key's lock is free.",
                f"{trace.target if trace else 'An invocation'} holds it now.",
                f"pg.queue({service!r}, {key!r})",
            )
        await asyncio.sleep(0.05)


def _overtaken(service: str, key: str, name: str) -> RequestError:
    return RequestError(
        f"The state of {service}/{key} was not changed.",
        f"{f'{name!r} is' if name else 'It is'} no longer what it was when the change began: a handler has written it.",
        f"Look at the new state before you change it: pg.state({service!r}, {key!r})",
    )


def check(service: str, services: Iterable[Mapping[str, Any]]) -> None:
    """Check that a service has keys.

    Args:
        service: its name.
        services: all deployed services.

    Raises:
        RequestError: there is no such virtual object or workflow.
    """
    keyed = [each["name"] for each in services if each["type"] != "SERVICE"]
    if service not in keyed:
        raise RequestError(
            f"There is no virtual object or workflow {service!r}.",
            "Only those have keys, each with its own state and queue.",
            f"Name one that is deployed: {', '.join(keyed) or 'none is'}.",
        )
