"""`cluster delete`: whatever `create` or `adopt` has made, whole or half-made, goes; nothing else does.

A kind cluster goes with its node. From an adopted cluster only what carries our label goes, and the namespace only
if `adopt` had made it: one that was there, or that an instructor has made for a class, stays.
"""

from __future__ import annotations

from pathlib import Path

from playground.backends.knative import cluster, learners, namespace, place
from playground.backends.knative.api import Kubernetes, run
from playground.backends.knative.kind import CommandFailed, Kind, find_engine
from playground.backends.knative.kubeconfig import choose
from playground.backends.knative.namespace import CLASS, is_ours
from playground.backends.knative.place import Place
from playground.backends.knative.progress import Steps
from playground.errors import ClusterError, SetupError, StartError


def leave(steps: Steps, *, forget: bool = False) -> bool:
    """Remove this playground's cluster, or what is ours in an adopted one; False if there was nothing.

    Args:
        steps: where progress is told.
        forget: remove nothing from an adopted cluster, which may be gone; only forget it.

    Raises:
        SetupError: there is a kind cluster, and no engine to remove it with.
        ClusterError: something cannot be removed; says what.
    """
    try:
        where: Place | None = place.load()
    except StartError:
        where = None
    adopted = where is not None and not where.is_kinds
    if adopted and where is not None and not forget:
        try:
            run(_leave_adopted(steps, where))
        except ClusterError as error:
            fix = f"{error.fix}\n  If that cluster is gone: python -m playground cluster delete --forget"
            raise ClusterError(error.what, error.why, fix) from error
    removed = _remove_kind(steps, expected=where is not None and not adopted)
    there = place.path().exists()
    place.forget()
    return removed or there


def leave_class(steps: Steps, prefix: str, kubeconfig: Path | None, context: str) -> None:
    """Remove the namespaces of a class.

    Raises:
        ClusterError: the cluster cannot be reached, or something cannot be removed.
    """
    file, context, _ = choose(kubeconfig, context, prefix)

    async def remove() -> None:
        kubernetes = await Kubernetes.connect(file, context)
        with steps.step(f"class {prefix}") as step:
            removed = await learners.remove(kubernetes, prefix, step.now)
            step.done = f"{len(removed)} namespaces removed"

    run(remove())


def _remove_kind(steps: Steps, *, expected: bool) -> bool:
    try:
        there = bool(Kind(find_engine()).containers())
    except (SetupError, ClusterError, CommandFailed):
        if expected:
            raise
        return False  # no engine, no node
    return cluster.delete(steps) if there or expected else False


async def _leave_adopted(steps: Steps, where: Place) -> None:
    """Remove what is ours from an adopted place, and the namespace if we had made it.

    Raises:
        ClusterError: the cluster cannot be reached, or something does not go.
    """
    with steps.step(f"cluster of context {where.context}"):
        kubernetes = await Kubernetes.connect(where.kubeconfig, where.context)
    with steps.step(f"namespace {where.namespace}") as step:
        try:
            there = await kubernetes.get("v1", "Namespace", where.namespace)
        except ClusterError:
            there = None
        deleted = await namespace.clear(kubernetes, where.namespace, step.now)
        step.done = f"{len(deleted)} objects removed"
        if there is not None and is_ours(there) and CLASS not in there["metadata"]["labels"]:
            await kubernetes.delete(there)
            await namespace.gone(kubernetes, [there], step.now)
            step.done += ", and the namespace, which was made by `cluster adopt`"
        else:
            step.done += "; the namespace stays"
