"""`cluster delete`: whatever `create` or `adopt` has made, whole or half-made, goes; nothing else does.

A kind cluster goes with its node. From an adopted cluster only what carries our label goes, and the namespace only
if `adopt` had made it: one that was there, or that an instructor has made for a class, stays.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

from playground.backends.knative import config, learners, namespace
from playground.backends.knative.api import Kubernetes
from playground.backends.knative.config import ClusterConfig
from playground.backends.knative.kind import CommandFailed, Kind, find_engine
from playground.backends.knative.kubeconfig import choose
from playground.backends.knative.namespace import CLASS
from playground.backends.knative.objects import NAMESPACES, is_ours
from playground.backends.knative.steps import Steps
from playground.errors import ClusterError, SetupError, StartError


def delete(steps: Steps, *, forget: bool = False) -> bool:
    """Remove this playground's cluster, or what is ours in an adopted one; False if there was nothing.

    Args:
        steps: where progress is told.
        forget: remove nothing from an adopted cluster, which may be gone; only forget it.

    Raises:
        SetupError: there is a kind cluster, and no engine to remove it with.
        ClusterError: something cannot be removed; says what.
    """
    try:
        where: ClusterConfig | None = config.load()
    except StartError:
        where = None
    if where is not None and not where.is_kind and not forget:
        try:
            asyncio.run(_empty(steps, where))
        except ClusterError as error:
            fix = f"{error.fix}\n  If that cluster is gone: python -m playground cluster delete --forget"
            raise ClusterError(error.what, error.why, fix) from error
    removed = _remove_kind(steps, expected=where is not None and where.is_kind)
    there = config.path().exists()
    config.forget()
    return removed or there


def delete_class(steps: Steps, prefix: str, kubeconfig: Path | None, context: str) -> None:
    """Remove the namespaces of a class.

    Raises:
        ClusterError: the cluster cannot be reached, or something cannot be removed.
    """
    file, context, _ = choose(kubeconfig, context, prefix)

    async def remove() -> None:
        async with aclosing(await Kubernetes.connect(file, context)) as kubernetes:
            with steps.step(f"class {prefix}") as step:
                removed = await learners.remove(kubernetes, prefix, step.now)
                step.done = f"{len(removed)} namespaces removed"

    asyncio.run(remove())


def _remove_kind(steps: Steps, *, expected: bool) -> bool:
    try:
        kind = Kind(find_engine())
        there = bool(kind.containers())
    except (SetupError, ClusterError, CommandFailed):
        if expected:
            raise
        return False  # no engine, no node
    if there or expected:
        with steps.step(f"node {kind.node}") as step:
            there = kind.delete()
            step.done = "removed" if there else "was not there"
    return there


async def _empty(steps: Steps, where: ClusterConfig) -> None:
    """Remove what is ours from an adopted cluster, and the namespace if we had made it.

    Raises:
        ClusterError: the cluster cannot be reached, or something does not go.
    """
    with steps.step(f"cluster of context {where.context}"):
        kubernetes = await Kubernetes.connect(where.kubeconfig, where.context, where.namespace)
    async with aclosing(kubernetes):
        with steps.step(f"namespace {where.namespace}") as step:
            try:
                there = await kubernetes.get(NAMESPACES, where.namespace)
            except ClusterError:
                there = None
            step.done = f"{len(await namespace.clear(kubernetes, step.now))} objects removed"
            if there is not None and is_ours(there) and CLASS not in there["metadata"]["labels"]:
                await kubernetes.delete(NAMESPACES, where.namespace)
                await namespace.gone(kubernetes, [there], step.now)
                step.done += ", and the namespace, which was made by `cluster adopt`"
            else:
                step.done += "; the namespace stays"
