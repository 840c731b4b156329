"""A playground's namespace: what we put into it, what we see in it, and how it is emptied again.

Everything of ours carries one label. What carries it may be changed and deleted; what does not belongs to
somebody else and is left alone, even if it is in the way. A namespace that carries the label is one we have
made, and goes with its contents; any other stays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from playground.backends.knative import manifests
from playground.backends.knative.api import PART_OF, Kubernetes, Object
from playground.backends.knative.ready import wait_ready
from playground.backends.knative.versions import POD_IMAGE, RESTATE_IMAGE
from playground.errors import ClusterError

CLASS = "durable-playground/class"
"""The label that says which class a learner's namespace belongs to: the instructor made it, and removes it."""

LOOKED_FOR = (
    ("v1", "Pod"),
    ("v1", "Service"),
    ("v1", "PersistentVolumeClaim"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("serving.knative.dev/v1", "Service"),
)
"""What a namespace is not empty of. Every namespace has ConfigMaps and accounts of Kubernetes' own."""
GONE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Furniture:
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


def workloads(objects: list[Object]) -> list[Object]:
    """Those that have pods."""
    return [one for one in objects if one["kind"] in ("StatefulSet", "Deployment")]


async def furnish(
    kubernetes: Kubernetes,
    namespace: str,
    furniture: Furniture,
    *,
    now: Callable[[str], None],
    tell: Callable[[str], None],
    deadline: float | None = None,
) -> None:
    """Put Restate and the ledger into a namespace, and wait until they are ready.

    Raises:
        ClusterError: the cluster does not take them, they do not get ready, or somebody else's are in the way.
    """
    objects = furniture.objects(namespace)
    for one in objects:
        name = one["metadata"]["name"]
        there = await kubernetes.get(one["apiVersion"], one["kind"], name, namespace)
        if there is not None and not is_ours(there):
            raise ClusterError(
                f"There is a {one['kind']} {name} in namespace {namespace} already.",
                "It is not this playground's: it lacks the label app.kubernetes.io/part-of=durable-playground.",
                "Choose another namespace with --namespace.",
            )
    for one in objects:
        now(f"{one['kind']} {one['metadata']['name']}")
        await kubernetes.apply(one)
    more = {} if deadline is None else {"deadline": deadline}
    await wait_ready(kubernetes, workloads(objects), now=now, tell=tell, **more)


def is_ours(thing: Object) -> bool:
    """Whether an object carries our label."""
    labels = thing["metadata"].get("labels") or {}
    return all(labels.get(name) == value for name, value in PART_OF.items())


async def foreign(kubernetes: Kubernetes, namespace: str) -> list[str]:
    """What is in a namespace and is not ours, each as "Kind name"; kinds we may not list are left out."""
    found = []
    for api_version, kind in LOOKED_FOR:
        try:
            there = await kubernetes.find(api_version, kind, namespace)
        except ClusterError:
            continue
        found += [
            f"{kind} {one['metadata']['name']}"
            for one in there
            if not is_ours(one) and not one["metadata"].get("ownerReferences")
        ]
    return found


async def clear(kubernetes: Kubernetes, namespace: str, now: Callable[[str], None]) -> list[str]:
    """Delete what is ours in a namespace, and wait until it is gone.

    Returns:
        What was deleted, each as "Kind name". What we may not list or delete is left.

    Raises:
        ClusterError: something deleted does not go.
    """
    deleted: list[Object] = []
    for resource in await kubernetes.deletable():
        if resource.kind == "Endpoints":
            continue  # has its Service's label, and goes with it
        try:
            there = await kubernetes.find_all(resource, namespace, PART_OF)
            for one in there:
                if is_ours(one) and not one["metadata"].get("ownerReferences"):
                    now(f"{one['kind']} {one['metadata']['name']}")
                    await kubernetes.delete(one)
                    deleted.append(one)
        except ClusterError:
            continue
    await gone(kubernetes, deleted, now)
    return [f"{one['kind']} {one['metadata']['name']}" for one in deleted]


async def gone(kubernetes: Kubernetes, doomed: list[Object], now: Callable[[str], None]) -> None:
    """Wait until deleted objects are gone.

    Raises:
        ClusterError: one does not go.
    """
    began, left = time.monotonic(), list(doomed)
    while left:
        first = left[0]["metadata"]
        if await kubernetes.get(left[0]["apiVersion"], left[0]["kind"], first["name"], first.get("namespace")) is None:
            left.pop(0)
            continue
        now(f"{left[0]['kind']} {first['name']} goes")
        if time.monotonic() - began > GONE_SECONDS:
            kind, where = left[0]["kind"].lower(), f" -n {first['namespace']}" if first.get("namespace") else ""
            raise ClusterError(
                f"{left[0]['kind']} {first['name']} was deleted and does not go.",
                "Something still holds it (a finalizer, or a pod that does not stop).",
                f"kubectl --context {kubernetes.context}{where} get {kind} {first['name']} --output yaml",
            )
        await asyncio.sleep(1)
