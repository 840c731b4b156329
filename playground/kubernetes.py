"""For notebooks that look behind the playground: what it has applied to the cluster, and a way in of their own.

from playground.kubernetes import apply, kubernetes, manifest

manifest(pg, "signup")                    # the Knative Service behind %%service signup, as YAML
kubernetes(pg).get("pods")                # kr8s, in the playground's namespace
apply(pg, {"kind": "Broker", ...})        # what `kubectl apply` does, and a wait until it is ready
"""

from __future__ import annotations

import asyncio
import copy
import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from playground.backends.knative.api import Kubernetes
from playground.backends.knative.backend import KnativeBackend
from playground.backends.knative.objects import Object, in_words
from playground.backends.knative.readiness import condition, is_observed
from playground.backends.knative.revision import RUN
from playground.errors import ClusterError, StartError
from playground.pod.emit import EVENTS

if TYPE_CHECKING:
    import kr8s

    from playground.session import Playground

MANAGER = "durable-playground-notebook"
"""Owner of the fields that a notebook applies; those of the playground stay its own."""
READY_TIMEOUT = 90.0


class Manifest(dict[str, Any]):
    """An object as it is applied: a dict, shown as YAML.

    What is different on every cluster is shown as NAMESPACE, IMAGE and SECRET, and the label of one opening of a
    playground is not shown, nor the key that signs what a pod says. The dict itself has it all.

    Attributes:
        namespace: the one that is shown as NAMESPACE.
    """

    def __init__(self, thing: Mapping[str, Any], namespace: str) -> None:
        super().__init__(copy.deepcopy(dict(thing)))
        self.namespace = namespace

    def __repr__(self) -> str:
        text = yaml.safe_dump(_without(dict(self), RUN), sort_keys=False, width=120)
        text = re.sub(rf"\.{re.escape(self.namespace)}\.svc\b", ".NAMESPACE.svc", text)
        text = re.sub(r"(\.svc\.cluster\.local:\d+)/[\w-]+", r"\1/SECRET", text)  # the ledger's
        return re.sub(r"\bimage: \S+", "image: IMAGE", text).rstrip()


def manifest(pg: Playground, service: str) -> Manifest:
    """The Knative Service behind a deployed service, as the playground applied it last.

    Args:
        service: its name, as given to `%%service` or `pg.deploy`.

    Raises:
        StartError: the playground is not on Kubernetes.
        KeyError: there is no such service.
    """
    backend = _backend(pg)
    return Manifest(backend.applied(service), backend.kubernetes.namespace)


def kubernetes(pg: Playground) -> kr8s.Api:
    """Kubernetes' API in the playground's namespace, by kr8s (https://docs.kr8s.org).

    Raises:
        StartError: the playground is not on Kubernetes.
    """
    import kr8s

    ours = _backend(pg).kubernetes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it warns of every Kubernetes newer than itself
        api = kr8s.api(kubeconfig=str(ours.kubeconfig), context=ours.context)
    api.namespace = ours.namespace
    return api


class Applied(dict[str, Any]):
    """An object as the cluster has it, shown as one line."""

    def __repr__(self) -> str:
        return f"{in_words(self)} is ready"


def apply(pg: Playground, thing: Mapping[str, Any], *, patience: float = READY_TIMEOUT) -> Applied:
    """Make an object in the playground's namespace, or change the fields that are given, and wait until it is ready.

    Args:
        thing: the object, or the part of it that is to be as given.
        patience: seconds.

    Returns:
        The object as the cluster has it now.

    Raises:
        ClusterError: Kubernetes does not take it, or it does not get ready.
    """
    backend = _backend(pg)
    wanted = copy.deepcopy(dict(thing))
    labels = wanted["metadata"].setdefault("labels", {})
    labels |= backend.marks  # so that the playground takes it away with its own
    return Applied(pg.runtime.run(_apply(backend.kubernetes, wanted, patience)))


async def _apply(kubernetes: Kubernetes, wanted: Object, patience: float) -> Object:
    there = await kubernetes.apply(wanted, manager=MANAGER)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while why := _unready(there):
        if loop.time() > deadline:
            raise ClusterError(
                f"{in_words(wanted)} did not get ready within {patience:.0f} s.",
                f"{why}.",
                f"kubectl --namespace {kubernetes.namespace} describe {wanted['kind']} {wanted['metadata']['name']}",
            )
        await asyncio.sleep(0.2)
        there = await kubernetes.reread(wanted) or there
    return there


def _unready(thing: Object) -> str:
    """What an object still lacks; nothing for a kind that Knative does not look after."""
    if ".knative.dev/" not in thing["apiVersion"]:
        return ""
    if not is_observed(thing):
        return "Knative has not looked at it"
    ready = condition(thing, "Ready")
    if ready.get("status") == "True":
        return ""
    return f"It says: {ready.get('reason', 'nothing')}: {ready.get('message', '')}".rstrip(": .")


def _backend(pg: Playground) -> KnativeBackend:
    if not isinstance(pg.runtime.backend, KnativeBackend):
        raise StartError(
            f"This needs a playground on Kubernetes; this one is on the {pg.runtime.backend.name} backend.",
            "There is no cluster behind it.",
            'pg = Playground.open(backend="knative")',
        )
    return pg.runtime.backend


def _without(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _without(each, name) for key, each in value.items() if key != name}
    if isinstance(value, list):
        return [_without(each, name) for each in value if not (isinstance(each, dict) and each.get("name") == EVENTS)]
    return value
