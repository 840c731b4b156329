"""What has to be there, and allowed, before a playground touches anything in a cluster."""

from __future__ import annotations

import asyncio

from playground.errors import StartError
from playground.knative.connection import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    KSERVICES,
    PODS,
    REVISIONS,
    STATEFUL_SETS,
    Connection,
    Resource,
)

NEEDED: list[tuple[str, Resource, str]] = [
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
"""What the backend does in its namespace: verb, kind of object, subresource."""


async def check(connection: Connection) -> None:
    """See that Knative is there, and that we may do in the namespace what we are going to.

    Raises:
        StartError: something is missing.
        ApiError: the cluster does not say.
    """
    place = connection.place
    if not await connection.served(KSERVICES):
        raise StartError(
            f"There is no Knative Serving in the cluster of context {place.context}.",
            f"The cluster does not serve {KSERVICES.version}: Knative is not installed, or is another version.",
            "python -m playground cluster create    (or adopt a cluster that has it)",
        )
    # All of them, even if one fails: none may be under way any more when the connection is closed.
    answers = await asyncio.gather(
        *(connection.may(verb, what, sub) for verb, what, sub in NEEDED), return_exceptions=True
    )
    missing = []
    for (verb, what, sub), allowed in zip(NEEDED, answers, strict=True):
        if isinstance(allowed, BaseException):
            raise allowed
        if not allowed:
            missing.append(f"{verb} {'/'.join(filter(None, (what.plural, sub)))}")
    if missing:
        raise StartError(
            f"The namespace {place.namespace} cannot be used: some rights are missing in it.",
            f"The user of context {place.context} may not: {', '.join(missing)}.",
            "Ask who runs the cluster; `python -m playground cluster adopt` gives a learner these rights.",
        )
