"""What a playground does in its namespace, and so what it must be allowed to do: one list.

Opening asks whether it may do what it is going to; `cluster adopt` asks for what it does itself, too; and the Role of a
learner in a class is made of the same list. Nothing else is used: the stand-ins for a cluster, in the tests, hold every
request against it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from playground.backends.knative.api import Kubernetes
from playground.backends.knative.objects import (
    CLAIMS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    KSERVICES,
    PODS,
    REPLICA_SETS,
    REVISIONS,
    SERVICES,
    STATEFUL_SETS,
    Resource,
)
from playground.errors import StartError

AT_ONCE = 8
"""Questions; each is a request."""

KNATIVE = ("serving.knative.dev", "eventing.knative.dev")
EVERYTHING = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]


@dataclass(frozen=True, slots=True)
class Right:
    """What may be done with one kind of object.

    Attributes:
        resource, subresource: the kind; for a part of it, e.g. pods and "log".
        running: what an open playground does with it: verbs.
        installing: what `cluster adopt`, `cluster delete` and an atlas's lab do with it: they make and remove servers.
    """

    resource: Resource
    running: str = ""
    installing: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        return f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural


RIGHTS = (
    Right(KSERVICES, "get list create patch delete deletecollection"),
    Right(REVISIONS, "list delete"),
    Right(CONFIG_MAPS, "create patch delete deletecollection"),
    Right(PODS, "get list watch delete"),
    Right(PODS, "get", subresource="log"),
    # By websocket, for which older versions of Kubernetes want the first and newer ones both.
    Right(PODS, "get create", subresource="exec"),
    Right(PODS, "get create", subresource="portforward"),
    Right(STATEFUL_SETS, "get list patch", "create delete"),
    Right(DEPLOYMENTS, "get list patch", "create delete"),
    Right(SERVICES, "list", "get create patch delete"),
    Right(CLAIMS, "list", "get create patch delete"),
    # They say why a pod does not run; without them nobody is worse off.
    Right(EVENTS),
    Right(REPLICA_SETS),
)
"""In the namespace of a playground."""


def role() -> list[dict[str, Any]]:
    """The rules of a learner's Role: all of this, and the same kinds by hand. No secrets, no accounts, no rights."""
    whole = [right.resource for right in RIGHTS if not right.subresource and right.resource.group not in KNATIVE]
    return [
        *(
            {
                "apiGroups": [group],
                "resources": [one.plural for one in whole if one.group == group],
                "verbs": EVERYTHING,
            }
            for group in dict.fromkeys(one.group for one in whole)
        ),
        *(
            {"apiGroups": [one.resource.group], "resources": [str(one)], "verbs": one.running.split()}
            for one in RIGHTS
            if one.subresource
        ),
        {"apiGroups": list(KNATIVE), "resources": ["*"], "verbs": ["*"]},
    ]


async def check(kubernetes: Kubernetes, *, lab: bool) -> None:
    """See that Knative is there, and that we may do in the namespace what we are going to.

    Raises:
        StartError: something is missing.
        ClusterError: the cluster does not say.
    """
    if not await kubernetes.serves(KSERVICES):
        raise StartError(
            f"There is no Knative Serving in the cluster of context {kubernetes.context}.",
            f"The cluster does not serve {KSERVICES.api_version}: Knative is not installed, or is another version.",
            "python -m playground cluster create    (or adopt a cluster that has it)",
        )
    if lacking := await missing(kubernetes, installing=lab):
        raise StartError(
            f"The namespace {kubernetes.namespace} cannot be used: some rights are missing in it.",
            f"The user of context {kubernetes.context} may not: {', '.join(lacking)}.",
            "Ask who runs the cluster; `python -m playground cluster adopt` gives a learner these rights.",
        )


async def missing(kubernetes: Kubernetes, *, installing: bool) -> list[str]:
    """The rights that we do not have, in words, e.g. "get pods/log".

    Args:
        installing: whether those for installing are needed, too.
    """
    few = asyncio.Semaphore(AT_ONCE)

    async def ask(verb: str, right: Right) -> bool:
        async with few:
            return await kubernetes.may(verb, right.resource, right.subresource)

    wanted = [
        (verb, right)
        for right in RIGHTS
        for verb in (*right.running.split(), *(right.installing.split() if installing else ()))
    ]
    # All of them, even if one fails: none may be under way any more when the connection is closed.
    answers = await asyncio.gather(*(ask(*each) for each in wanted), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [f"{verb} {right}" for (verb, right), allowed in zip(wanted, answers, strict=True) if not allowed]
