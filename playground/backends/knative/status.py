"""`cluster status`: what a playground's cluster is made of, whether it is ready, and where it is reached."""

from __future__ import annotations

from contextlib import aclosing

from playground.backends.knative import adopt, manifests
from playground.backends.knative.api import Kubernetes
from playground.backends.knative.config import ClusterConfig
from playground.backends.knative.kind import CommandFailed, Kind, find_engine
from playground.backends.knative.namespace import Installation
from playground.backends.knative.objects import DEPLOYMENTS, KSERVICES, PODS, Object
from playground.backends.knative.readiness import explain, is_going, is_ready, workloads
from playground.core.check import Check
from playground.errors import ClusterError, PlaygroundError

COMPONENTS = {
    "Knative Serving": ("knative-serving", True),
    "Kourier": ("kourier-system", False),
    "Knative Eventing": ("knative-eventing", False),
}
"""The namespaces of Knative's parts, and whether a playground does not run without them."""


def half_made() -> Check | None:
    """What there is of a kind cluster that `cluster create` has not finished; None if there is nothing."""
    try:
        kind = Kind(find_engine())
        containers = kind.containers()
    except (PlaygroundError, CommandFailed):
        return None
    if not containers:
        return None
    found = f"{', '.join(containers)} is there, and `cluster create` has not ended"
    return Check("node", False, found, "python -m playground cluster create    # goes on where it was interrupted")


async def look(where: ClusterConfig) -> list[Check]:
    """Look at a cluster.

    Raises:
        ClusterError: it cannot be reached.
    """
    try:
        kubernetes = await Kubernetes.connect(where.kubeconfig, where.context, where.namespace)
    except ClusterError as error:
        if not where.is_kind:
            raise
        fix = "python -m playground cluster create    # starts the node if it is stopped, and loses nothing"
        raise ClusterError(error.what, error.why, fix) from error
    async with aclosing(kubernetes):
        found = f"{kubernetes.version}, context {where.context} of {where.kubeconfig}"
        checks = [Check("Kubernetes", True, found), Check("namespace", True, where.namespace)]
        for title, (name, needed) in COMPONENTS.items():
            checks.append(await _component(kubernetes.within(name), title, needed=needed))
        for workload in workloads(Installation(pod_image=where.image).objects(where.namespace)):
            checks.append(await _workload(kubernetes, workload))
        checks.append(await _services(kubernetes))
    return [*checks, _access(where), *_kourier(where)]


async def _component(kubernetes: Kubernetes, title: str, *, needed: bool) -> Check:
    try:
        deployments = await kubernetes.find(DEPLOYMENTS)
    except ClusterError:
        served = not needed or await kubernetes.serves(KSERVICES)
        return Check(title, served, "cannot be looked at with these rights")
    if not deployments:
        fix = "python -m playground cluster create" if needed else "Nothing to do, if no lesson needs it."
        return Check(title, False if needed else None, "not installed", fix)
    unready = [one["metadata"]["name"] for one in deployments if not is_ready(one)]
    version = next(iter(_versions(deployments)), adopt.UNKNOWN)
    if unready:
        fix = f"kubectl --context {kubernetes.context} -n {kubernetes.namespace} get pods"
        return Check(title, False, f"{version}; not ready: {', '.join(unready)}", fix)
    if needed and (warning := adopt.warning_of_version(version)):
        return Check(title, None, f"{version}, ready. {warning}", "Nothing to do, as long as it works.")
    return Check(title, True, f"{version}, all {len(deployments)} deployments ready")


def _versions(deployments: list[Object]) -> list[str]:
    labels = [one["metadata"].get("labels", {}).get("app.kubernetes.io/version") for one in deployments]
    return [str(label) for label in labels if label]


async def _workload(kubernetes: Kubernetes, workload: Object) -> Check:
    name, there = workload["metadata"]["name"], await kubernetes.reread(workload)
    if there is None:
        return Check(name, False, "is not there", "Run `cluster create` or `cluster adopt` again.")
    if is_ready(there):
        images = [container["image"] for container in there["spec"]["template"]["spec"]["containers"]]
        return Check(name, True, f"ready, {', '.join(images)}")
    reasons = await explain(kubernetes, workload)
    fix = next((reason.fix for reason in reasons if reason.fix), "Wait; then look again.")
    return Check(name, False, "not ready: " + "; ".join(reason.why for reason in reasons), fix)


async def _services(kubernetes: Kubernetes) -> Check:
    services = await kubernetes.find(KSERVICES)
    pods = await kubernetes.find(PODS, "serving.knative.dev/service")
    return Check("services", True, f"{len(services)}, with {sum(not is_going(pod) for pod in pods)} pods")


def _access(where: ClusterConfig) -> Check:
    if where.ingress_url is None:
        return Check("access", True, "by port-forward, while a playground is open")
    urls = f"ingress {where.ingress_url}, admin {where.admin_url} (UI: {where.admin_url}/ui), ledger {where.ledger_url}"
    return Check("access", True, urls)


def _kourier(where: ClusterConfig) -> list[Check]:
    """Knative's own ingress is mapped on kind; no playground needs it, but a learner may want to."""
    if not where.is_kind:
        return []
    try:
        port = Kind(find_engine()).ports().get(manifests.NODE_PORTS["kourier"])
    except (PlaygroundError, CommandFailed):
        return []
    return (
        [Check("Kourier's port", True, f"http://127.0.0.1:{port}, with the service's host name as Host")]
        if port
        else []
    )
