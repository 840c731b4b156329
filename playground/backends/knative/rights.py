"""What has to be there, and allowed, before a playground touches anything in a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from playground.backends.knative.connection import (
    CLAIMS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    KSERVICES,
    PODS,
    REVISIONS,
    SERVICES,
    STATEFUL_SETS,
    Connection,
    Resource,
)
from playground.errors import StartError

Right = tuple[str, Resource, str]
"""Verb, kind of object, subresource."""

NEEDED: list[Right] = [
    *((verb, KSERVICES, "") for verb in ("get", "list", "create", "patch", "delete", "deletecollection")),
    *((verb, CONFIG_MAPS, "") for verb in ("create", "patch", "delete", "deletecollection")),
    *((verb, PODS, "") for verb in ("list", "watch", "delete")),
    ("get", PODS, "log"),
    ("create", PODS, "exec"),
    ("create", PODS, "portforward"),
    *((verb, REVISIONS, "") for verb in ("list", "delete")),
    *((verb, STATEFUL_SETS, "") for verb in ("get", "list", "patch")),
    *((verb, DEPLOYMENTS, "") for verb in ("get", "list", "patch")),
]
"""What the backend does in its namespace."""

AT_ONCE = 8
"""Questions; each is a request."""
FURNISHING: list[Right] = [
    (verb, what, "")
    for what in (STATEFUL_SETS, DEPLOYMENTS, SERVICES, CLAIMS)
    for verb in ("get", "list", "create", "patch", "delete")
]
"""What `cluster adopt` and `cluster delete` do in it, before and after."""


async def check(connection: Connection) -> None:
    """See that Knative is there, and that we may do in the namespace what we are going to.

    Raises:
        StartError: something is missing.
        ClusterError: the cluster does not say.
    """
    place = connection.place
    if not await connection.served(KSERVICES):
        raise StartError(
            f"There is no Knative Serving in the cluster of context {place.context}.",
            f"The cluster does not serve {KSERVICES.version}: Knative is not installed, or is another version.",
            "python -m playground cluster create    (or adopt a cluster that has it)",
        )
    lacking = await missing(connection.may, NEEDED)
    if lacking:
        raise StartError(
            f"The namespace {place.namespace} cannot be used: some rights are missing in it.",
            f"The user of context {place.context} may not: {', '.join(lacking)}.",
            "Ask who runs the cluster; `python -m playground cluster adopt` gives a learner these rights.",
        )


async def missing(may: Callable[[str, str, str, str], Awaitable[bool]], rights: Iterable[Right]) -> list[str]:
    """Those that we do not have, in words, e.g. "get pods/log".

    Args:
        may: asks for one: verb, group, resource, subresource.
        rights: all that are needed.
    """
    few = asyncio.Semaphore(AT_ONCE)

    async def ask(verb: str, what: Resource, sub: str) -> bool:
        async with few:
            return await may(verb, what.group, what.plural, sub)

    wanted = list(dict.fromkeys(rights))
    # All of them, even if one fails: none may be under way any more when the connection is closed.
    answers = await asyncio.gather(*(ask(*right) for right in wanted), return_exceptions=True)
    lacking = []
    for (verb, what, sub), allowed in zip(wanted, answers, strict=True):
        if isinstance(allowed, BaseException):
            raise allowed
        if not allowed:
            lacking.append(f"{verb} {'/'.join(filter(None, (what.plural, sub)))}")
    return lacking
