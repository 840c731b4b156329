"""A playground's namespace: what we put into it, what we see in it, and how it is emptied again.

Everything of ours carries one label. What carries it may be changed and deleted; what does not belongs to
somebody else and is left alone, even if it is in the way. A namespace that carries the label is one we have
made, and goes with its contents; any other stays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from playground.backends.knative import manifests
from playground.backends.knative.api import PASSING_SECONDS, Kubernetes
from playground.backends.knative.objects import (
    CLAIMS,
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    JOBS,
    KSERVICES,
    PART_OF,
    PODS,
    SERVICES,
    STATEFUL_SETS,
    Object,
    in_words,
    is_ours,
    selector,
)
from playground.backends.knative.readiness import wait_ready, workloads
from playground.backends.knative.versions import POD_IMAGE, RESTATE_IMAGE
from playground.errors import ClusterError

CLASS = "durable-playground/class"
"""The label that says which class a learner's namespace belongs to: the instructor made it, and removes it."""

LOOKED_FOR = (PODS, SERVICES, CLAIMS, DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, JOBS, CRON_JOBS, KSERVICES)
"""What a namespace is not empty of. Every namespace has ConfigMaps and accounts of Kubernetes' own."""
GONE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Installation:
    """What goes into a namespace.

    Attributes:
        pod_image: of the ledger, and of the learner's pods later.
        restate_image: of the server.
        storage_class: of the volumes; None takes the cluster's default.
        node_ports: whether ports are open on the nodes (kind).
    """

    pod_image: str = POD_IMAGE
    restate_image: str = RESTATE_IMAGE
    storage_class: str | None = None
    node_ports: bool = False

    def objects(self, namespace: str) -> list[Object]:
        """Restate and the ledger, as they are applied."""
        storage, open_ = self.storage_class, self.node_ports
        return [
            *manifests.restate(namespace, self.restate_image, storage_class=storage, node_ports=open_),
            *manifests.ledger(namespace, self.pod_image, storage_class=storage, node_ports=open_),
        ]


async def install(
    kubernetes: Kubernetes, installation: Installation, *, now: Callable[[str], None], tell: Callable[[str], None]
) -> None:
    """Put Restate and the ledger into the namespace, and wait until they are ready.

    Raises:
        ClusterError: the cluster does not take them, they do not get ready, or somebody else's are in the way.
    """
    objects = installation.objects(kubernetes.namespace)
    for one in objects:
        there = await kubernetes.reread(one)
        if there is not None and not is_ours(there):
            raise ClusterError(
                f"There is a {in_words(one)} in namespace {kubernetes.namespace} already.",
                f"It is not this playground's: it lacks the label {selector(PART_OF)}.",
                "Choose another namespace with --namespace.",
            )
    for one in objects:
        now(in_words(one))
        await kubernetes.apply(one, patience=PASSING_SECONDS)
    await wait_ready(kubernetes, workloads(objects), now=now, tell=tell)


async def foreign(kubernetes: Kubernetes) -> list[str]:
    """What is in the namespace and is not ours, each as "Kind name"; kinds we may not list are left out."""
    found = []
    for resource in LOOKED_FOR:
        with suppress(ClusterError):
            there = await kubernetes.find(resource)
            found += [in_words(one) for one in there if not is_ours(one) and not one["metadata"].get("ownerReferences")]
    return found


async def clear(kubernetes: Kubernetes, now: Callable[[str], None]) -> list[Object]:
    """Delete what is ours in the namespace, and wait until it is gone.

    Returns:
        What was deleted. What we may not list or delete is left.

    Raises:
        ClusterError: something deleted does not go.
    """
    deleted: list[Object] = []
    for resource in await kubernetes.deletable():
        if resource.kind == "Endpoints":
            continue  # has its Service's label, and goes with it
        with suppress(ClusterError):
            for one in await kubernetes.find(resource, selector(PART_OF)):
                if is_ours(one) and not one["metadata"].get("ownerReferences"):
                    now(in_words(one))
                    await kubernetes.delete(resource, one["metadata"]["name"])
                    deleted.append(one)
    await gone(kubernetes, deleted, now)
    return deleted


async def gone(kubernetes: Kubernetes, doomed: list[Object], now: Callable[[str], None]) -> None:
    """Wait until deleted objects are gone.

    Raises:
        ClusterError: one does not go.
    """
    deadline = time.monotonic() + GONE_SECONDS
    for one in doomed:
        while await kubernetes.reread(one) is not None:
            now(f"{in_words(one)} goes")
            if time.monotonic() > deadline:
                kind, meta = one["kind"].lower(), one["metadata"]
                where = f" -n {meta['namespace']}" if "namespace" in meta else ""
                raise ClusterError(
                    f"{in_words(one)} was deleted and does not go.",
                    "Something still holds it (a finalizer, or a pod that does not stop).",
                    f"kubectl --context {kubernetes.context}{where} get {kind} {meta['name']} --output yaml",
                )
            await asyncio.sleep(1)
