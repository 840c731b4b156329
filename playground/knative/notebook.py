"""For notebooks that look behind the playground: what it has applied to the cluster, and a way in of their own.

    from playground.knative.notebook import kubernetes, manifest

    manifest(pg, "signup")                    # the Knative Service behind %%service signup, as YAML
    pods = kubernetes(pg).get("pods")         # kr8s, in the playground's namespace
"""

from __future__ import annotations

import copy
import re
import warnings
from typing import TYPE_CHECKING

import yaml

from playground.errors import StartError
from playground.knative.api import Object
from playground.knative.backend import KnativeBackend
from playground.knative.revision import RUN

if TYPE_CHECKING:
    import kr8s

    from playground.session import Playground


class Manifest(dict[str, object]):
    """An object as it is applied: a dict, shown as YAML.

    What is different on every cluster is shown as NAMESPACE and IMAGE, and the label of one opening of a
    playground is not shown. The dict itself has it all.
    """

    namespace: str = ""

    def __repr__(self) -> str:
        text = yaml.safe_dump(_without(copy.deepcopy(dict(self)), RUN), sort_keys=False, width=120)
        text = re.sub(rf"\.{re.escape(self.namespace)}\.svc\b", ".NAMESPACE.svc", text)
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
    shown = Manifest({"apiVersion": "serving.knative.dev/v1", **copy.deepcopy(backend.applied(service))})
    shown.namespace = backend.place.namespace
    return shown


def kubernetes(pg: Playground) -> kr8s.Api:
    """Kubernetes' API in the playground's namespace, by kr8s (https://docs.kr8s.org).

    Raises:
        StartError: the playground is not on Kubernetes.
    """
    import kr8s

    place = _backend(pg).place
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it warns of every Kubernetes newer than itself
        return kr8s.api(kubeconfig=str(place.kubeconfig), context=place.context, namespace=place.namespace)


def _backend(pg: Playground) -> KnativeBackend:
    if not isinstance(pg._backend, KnativeBackend):
        raise StartError(
            f"This needs a playground on Kubernetes; this one is on the {pg._backend.name} backend.",
            "There is no cluster behind it.",
            'pg = Playground.open(backend="knative")',
        )
    return pg._backend


def _without(value: object, name: str) -> object:
    if isinstance(value, dict):
        return {key: _without(each, name) for key, each in value.items() if key != name}
    return [_without(each, name) for each in value] if isinstance(value, list) else value
