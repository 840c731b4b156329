"""`cluster create` and `cluster load`: a kind cluster with Knative, Restate and the ledger in it.

Each step brings one thing to what it should be, from whatever it is now: a command that was interrupted,
or has failed, is simply run again. Nothing is remembered between steps but what the cluster itself shows.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from playground.backends.knative import config, images, manifests, namespace, release, versions
from playground.backends.knative.adopt import remember
from playground.backends.knative.api import PASSING_SECONDS, Kubernetes
from playground.backends.knative.config import ClusterConfig
from playground.backends.knative.kind import Kind, find_engine, require_kind
from playground.backends.knative.namespace import Installation
from playground.backends.knative.objects import Object
from playground.backends.knative.readiness import PATIENCE, wait_ready, workloads
from playground.backends.knative.steps import Step, Steps
from playground.errors import ClusterError, StartError

NAMESPACE = "playground"
NODE_SECONDS = 120.0
"""How long a node that has just been made, or started, may take to be ready."""


def create(
    steps: Steps, *, manifest_dir: Path | None = None, image_dir: Path | None = None, eventing: bool = True
) -> ClusterConfig:
    """Make the cluster, or bring it to what it should be.

    Args:
        steps: where progress is told.
        manifest_dir: has Knative's release files; None downloads them.
        image_dir: has archives of images for the node; None lets the node pull them, and builds the pod image here.
        eventing: whether Knative Eventing, which one lesson needs, is installed too.

    Returns:
        What leads to it, which is saved, too.

    Raises:
        SetupError: there is no kind, or no container engine.
        ClusterError: a step failed; run again, it goes on from there.
    """
    if note := require_kind():
        steps.tell(f"note: {note}")
    engine = find_engine()
    kind = Kind(engine)
    archives = images.archives(image_dir) if image_dir else []
    groups = {"Knative Serving": versions.SERVING, "Kourier": versions.KOURIER}
    if eventing:
        groups["Knative Eventing"] = versions.EVENTING
    with steps.step(f"release files of Knative {versions.KNATIVE_VERSION}") as step:
        wanted = [manifest for group in groups.values() for manifest in group]
        files = release.collect(wanted, manifest_dir, step.now)
        step.done = f"{len(files)} files, checksums as pinned"
    with steps.step(f"node {kind.node} ({engine.name})") as step:
        if kind.is_whole():
            kind.start()
            step.done = "is there"
        else:
            if kind.delete():
                step.tell("A node was there, half-made: it is made anew.")
            kind.create(step.now)
    _load_images(steps, kind, archives)
    objects = {
        title: release.objects((files[manifest] for manifest in group), node_ports=True)
        for title, group in groups.items()
    }
    ports = kind.ports()
    made = ClusterConfig(
        kind.kubeconfig,
        kind.context,
        NAMESPACE,
        ingress_url=_mapped(ports, "ingress"),
        admin_url=_mapped(ports, "admin"),
        ledger_url=_mapped(ports, "ledger"),
    )
    # Before it is whole: should this be interrupted, `cluster status` can say what is missing.
    remember(steps, made)
    asyncio.run(_install(steps, made, objects))
    with steps.step("Restate answers on this machine"):
        _answers(made)
    return made


def load(steps: Steps, archives: list[Path]) -> None:
    """Bring images into the node: those in archives, or, if none is named, the pod image, built anew.

    Raises:
        SetupError: there is no kind, or no container engine.
        ClusterError: there is no cluster of kind's, or an image cannot be had.
    """
    require_kind()
    kind = Kind(find_engine())
    if not kind.is_whole():
        raise ClusterError(
            f"There is no kind cluster {kind.name}.",
            "Images can only be loaded into one that `cluster create` has made.",
            "python -m playground cluster create    (an adopted cluster pulls: push the image, and adopt with --image)",
        )
    for archive in archives:
        with steps.step(f"images of {archive.name}") as step:
            step.done = ", ".join(images.names_in(archive))
            kind.load(archive)
    if archives:
        return
    _load_images(steps, kind, [])
    try:
        where = config.load()
    except StartError:
        return
    if where.context == kind.context:
        asyncio.run(_restart_ledger(steps, where))


def _load_images(steps: Steps, kind: Kind, archives: list[Path]) -> None:
    brought = set()
    for archive in archives:
        with steps.step(f"images of {archive.name}") as step:
            names = images.names_in(archive)
            kind.load(archive)
            brought |= set(names)
            step.done = f"{len(names)} images"
    if versions.POD_IMAGE in brought:
        return
    with steps.step(f"pod image {versions.POD_IMAGE}") as step:
        images.build(kind.engine, versions.POD_IMAGE, step.now)
        step.now("into the node")
        images.load(kind, versions.POD_IMAGE)


async def _install(steps: Steps, made: ClusterConfig, groups: dict[str, list[Object]]) -> None:
    with steps.step("Kubernetes") as step:
        kubernetes = await _first_answer(made, step)
        step.done = kubernetes.version
    async with aclosing(kubernetes):
        for title, objects in groups.items():
            with steps.step(f"{title} {versions.KNATIVE_VERSION}") as step:
                for number, one in enumerate(objects):
                    step.now(f"{number} of {len(objects)} objects")
                    await kubernetes.apply(one, patience=PASSING_SECONDS)
                await wait_ready(kubernetes, workloads(objects), now=step.now, tell=step.tell)
        with steps.step("Restate and the ledger") as step:
            await kubernetes.apply(manifests.namespace(made.namespace), patience=PASSING_SECONDS)
            await namespace.install(kubernetes, Installation(node_ports=True), now=step.now, tell=step.tell)


async def _first_answer(made: ClusterConfig, step: Step) -> Kubernetes:
    """The API server of a node that was started a moment ago refuses connections for a while."""
    began, told = time.monotonic(), False
    while True:
        try:
            return await Kubernetes.connect(made.kubeconfig, made.context, made.namespace)
        except ClusterError as error:
            waited = time.monotonic() - began
            step.now(error.why)
            if waited > PATIENCE and not told:
                step.tell(f"after {waited:.0f} s:\n{error.why}")
                told = True
            if waited > NODE_SECONDS:
                fix = "python -m playground cluster delete    # then: python -m playground cluster create"
                raise ClusterError(error.what, error.why, fix) from error
            await asyncio.sleep(1)


async def _restart_ledger(steps: Steps, where: ClusterConfig) -> None:
    """The ledger runs the pod image, too: its pod is replaced by one of the image just loaded."""
    ledger = manifests.ledger(where.namespace, where.image, node_ports=True)
    [deployment] = workloads(ledger)
    deployment["spec"]["template"]["metadata"]["annotations"] = {"durable-playground/loaded-at": str(int(time.time()))}
    with steps.step("the ledger, with that image") as step:
        async with aclosing(await Kubernetes.connect(where.kubeconfig, where.context)) as kubernetes:
            await kubernetes.apply(deployment, patience=PASSING_SECONDS)
            await wait_ready(kubernetes, [deployment], now=step.now, tell=step.tell)


def _mapped(ports: dict[int, int], name: str) -> str | None:
    port = ports.get(manifests.NODE_PORTS[name])
    return None if port is None else f"http://127.0.0.1:{port}"


def _answers(made: ClusterConfig) -> None:
    if made.ingress_url is None:
        return  # kind-config.yaml maps no port for it: the backend forwards one
    url, deadline = f"{made.ingress_url}/restate/health", time.monotonic() + 30
    while True:
        try:
            # No proxy: one named in the environment cannot reach our loopback.
            with httpx.Client(trust_env=False, timeout=5) as client:
                client.get(url).raise_for_status()
                return
        except httpx.HTTPError as error:
            if time.monotonic() > deadline:
                port = urlsplit(url).port
                raise ClusterError(
                    f"Restate is ready in the cluster and does not answer on port {port} of 127.0.0.1.",
                    f"{url}: {error or type(error).__name__}.",
                    f"See who has the port, and what the engine maps: {find_engine().name} ps",
                ) from error
        time.sleep(0.5)
