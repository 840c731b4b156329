"""`cluster adopt`: a Kubernetes that is there already, with Knative Serving in it.

Nothing of the cluster's own is changed: Restate and the ledger go into one namespace, everything labelled, and
are reached by a port-forward. The context is named, never the current one. What could stop it later is looked at
first: whether Knative is there, whether we have the rights, whether the namespace is somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from playground.backends.knative import config, manifests, namespace
from playground.backends.knative.api import PASSING_SECONDS, Kubernetes
from playground.backends.knative.config import ClusterConfig
from playground.backends.knative.namespace import CLASS, Installation
from playground.backends.knative.objects import DEPLOYMENTS, KSERVICES, NAMESPACES, STATEFUL_SETS, Object, is_ours
from playground.backends.knative.rights import missing
from playground.backends.knative.steps import Steps
from playground.backends.knative.versions import KNOWN_KNATIVE
from playground.errors import ClusterError, StartError

UNKNOWN = "of an unknown version"


@dataclass(frozen=True, slots=True)
class Choices:
    """What a user may choose of what goes into a namespace; None takes what is there already, or the default.

    Attributes:
        image: the pod image.
        restate_image: of the server.
        storage_class: of the volumes.
    """

    image: str | None = None
    restate_image: str | None = None
    storage_class: str | None = None


async def adopt(
    steps: Steps, kubeconfig: Path, context: str, name: str, choices: Choices, *, force: bool = False
) -> ClusterConfig:
    """Put Restate and the ledger into a namespace of a cluster, and remember it.

    Args:
        steps: where progress is told.
        kubeconfig, context: how to reach the cluster; the file by its absolute path.
        name: the namespace; it is made if it is not there.
        choices: the images and the storage.
        force: go into a namespace with somebody else's objects, too. They are left alone.

    Raises:
        ClusterError: the cluster cannot be reached, lacks something, or does not let us.
    """
    check_name(name)
    async with connected(steps, kubeconfig, context, name) as kubernetes:
        with steps.step(f"namespace {name}") as step:
            step.done = await prepare(kubernetes, force=force)
        installation = await decide(kubernetes, choices)
        adopted = ClusterConfig(kubeconfig, context, name, image=installation.pod_image)
        # Before anything is in it: should this be interrupted, `cluster delete` knows where to look.
        remember(steps, adopted)
        with steps.step("Restate and the ledger") as step:
            await namespace.install(kubernetes, installation, now=step.now, tell=step.tell)
    return adopted


@asynccontextmanager
async def connected(steps: Steps, kubeconfig: Path, context: str, name: str = "") -> AsyncIterator[Kubernetes]:
    """A cluster that has a Knative Serving, and a version of it that we know, or a warning.

    Raises:
        ClusterError: nobody answers, or it has none.
    """
    with steps.step(f"cluster of context {context}") as step:
        kubernetes = await Kubernetes.connect(kubeconfig, context, name)
        step.done = kubernetes.version
    async with aclosing(kubernetes):
        with steps.step("Knative Serving") as step:
            step.done = await knative_version(kubernetes)
            if warning := warning_of_version(step.done):
                step.tell(warning)
        yield kubernetes


async def decide(kubernetes: Kubernetes, choices: Choices) -> Installation:
    """What goes into the namespace, whether it is empty or has an installation.

    An instructor has chosen the images for a class; learners need not know them.
    """
    restate = await kubernetes.get(STATEFUL_SETS, manifests.RESTATE)
    ledger = await kubernetes.get(DEPLOYMENTS, manifests.LEDGER)
    there = Installation()
    if restate is not None and is_ours(restate):
        storage = restate["spec"]["volumeClaimTemplates"][0]["spec"].get("storageClassName")
        there = replace(there, restate_image=_image_of(restate), storage_class=storage)
    if ledger is not None and is_ours(ledger):
        there = replace(there, pod_image=_image_of(ledger))
    return Installation(
        choices.image or there.pod_image,
        choices.restate_image or there.restate_image,
        choices.storage_class or there.storage_class,
    )


def _image_of(workload: Object) -> str:
    return str(workload["spec"]["template"]["spec"]["containers"][0]["image"])


def remember(steps: Steps, new: ClusterConfig) -> None:
    """Save a configuration; say what becomes of what the one before led to, if that is another."""
    try:
        old = config.load()
    except StartError:
        old = new
    if (old.context, old.namespace) != (new.context, new.namespace):
        steps.tell(f"note: the playground in namespace {old.namespace} of context {old.context} is left as it is.")
    config.save(new)


async def knative_version(kubernetes: Kubernetes) -> str:
    """The version of Knative Serving, as its controller is labelled; UNKNOWN if we may not look.

    Raises:
        ClusterError: there is no Knative Serving.
    """
    if not await kubernetes.serves(KSERVICES):
        raise ClusterError(
            f"The cluster of context {kubernetes.context} has no Knative Serving.",
            f"It serves no {KSERVICES.api_version}.",
            "Install it (https://knative.dev/docs/install/), or make a cluster that has it: "
            "python -m playground cluster create",
        )
    try:
        controller = await kubernetes.within("knative-serving").get(DEPLOYMENTS, "controller")
    except ClusterError:
        controller = None
    labels = controller["metadata"].get("labels", {}) if controller else {}
    return str(labels.get("app.kubernetes.io/version", UNKNOWN))


def warning_of_version(version: str) -> str:
    """What to say of a version of Knative Serving; empty if it is one that is known to work."""
    if any(version == known or version.startswith(f"{known}.") for known in KNOWN_KNATIVE):
        return ""
    which = "Its version may not be looked at" if version == UNKNOWN else f"Version {version}"
    return f"{which}: the lessons were run on {', '.join(KNOWN_KNATIVE)}. Others may work; it goes on."


async def prepare(kubernetes: Kubernetes, *, force: bool) -> str:
    """See that the namespace is there, ours to use, and that we have the rights; returns what it is, in words.

    Raises:
        ClusterError: it is somebody else's, or we lack rights.
    """
    name = kubernetes.namespace
    try:
        there = await kubernetes.get(NAMESPACES, name)
        readable = True
    except ClusterError:
        there, readable = None, False  # a learner may not look at namespaces; the rights below tell
    if readable and there is None:
        await kubernetes.apply(manifests.namespace(name), patience=PASSING_SECONDS)
        found = "made"
    elif there is not None and is_ours(there):
        found = "is there" if CLASS not in there["metadata"]["labels"] else "is there, made for a class"
    else:
        found = "is there, and stays when the playground goes"
    if lacking := await missing(kubernetes, installing=True):
        raise ClusterError(
            f"You lack rights in namespace {name}.",
            f"You may not: {', '.join(lacking)}.",
            f"kubectl create rolebinding playground --clusterrole edit --user NAME --namespace {name}    "
            "# by who runs the cluster; for a class: python -m playground cluster adopt --learners N",
        )
    others = await namespace.foreign(kubernetes)
    if others and not force:
        more = f" and {len(others) - 4} more" if len(others) > 4 else ""
        raise ClusterError(
            f"Namespace {name} is in use.",
            f"It has objects that are not this playground's: {', '.join(others[:4])}{more}.",
            "Choose another with --namespace, or go in beside them with --force. They are not touched.",
        )
    return found


def check_name(name: str) -> None:
    """See that a name can be a namespace's, before it is put anywhere.

    Raises:
        ClusterError: it cannot.
    """
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name):
        raise ClusterError(
            f"{name!r} cannot be the name of a namespace.",
            "It has up to 63 lower-case letters, digits and hyphens, and no hyphen at either end.",
            "Choose another with --namespace.",
        )
