"""What a service is in the cluster: a Knative Service with a revision and a tag for each deployment.

A deployment is one change of the Knative Service: its template gets the revision's name, its traffic goes to
that, and every revision keeps a *traffic tag*, which is an address of its own. Restate knows a revision
by that address, so an invocation that began on an older one finds it for as long as the playground lives.
(https://knative.dev/docs/serving/traffic-management/)

The source is in a ConfigMap, mounted into the pod; the image is the same for every service.

The port's name, `h2c`, makes Knative speak HTTP/2 to the pod, so that Restate can stream both ways.
"""

from __future__ import annotations

from typing import Any

from playground.backends.knative.objects import CONFIG_MAPS, KSERVICES, PART_OF, Object
from playground.backends.knative.readiness import is_observed
from playground.core.settings import Settings
from playground.pod.emit import EVENTS

CONTAINER = "user"
"""Name of the container that serves, in every pod."""
RUN, LAB = "durable-playground/run", "durable-playground/lab"
"""Labels: which opening of a playground an object belongs to; whether that is an atlas's lab."""
SERVICE, REVISION = "durable-playground/service", "durable-playground/revision"
"""Labels: what the playground calls them (in a lab, the cluster's names have a suffix)."""

PORT = 9080
MIN_WINDOW = 6.0
"""Seconds; Knative takes no shorter stable window (https://knative.dev/docs/serving/autoscaling/kpa-specific/)."""
STREAM_SECONDS = 300
"""The longest a stream may live, and so one step and the wait after it. Knative's own default."""
PROGRESS_DEADLINE = "45s"
MOUNT = "/service"


class Names:
    """The names of one service's objects in the cluster.

    Args:
        service: as the playground calls it, e.g. "signup".
        suffix: empty, or what tells a lab's objects from the playground's.
    """

    def __init__(self, service: str, suffix: str, namespace: str) -> None:
        self.service = f"{service}{suffix}"
        self._plain, self._namespace = service, namespace

    def revision(self, revision: str) -> str:
        """A revision's: Knative wants the service's in front. "signup-00001" stays as it is."""
        return self.service + revision.removeprefix(self._plain)

    def source(self, revision: str) -> str:
        """Its ConfigMap's."""
        return f"{self.revision(revision)}-source"

    def tag(self, revision: str) -> str:
        """Its traffic tag's."""
        return f"r{revision.rpartition('-')[2]}"

    def address(self, revision: str) -> str:
        """The URL at which Restate reaches a revision, and only it."""
        return f"http://{self.tag(revision)}-{self.service}.{self._namespace}.svc.cluster.local"


def labels(run: str, lab: bool, **more: str) -> dict[str, str]:
    """The labels of everything that a playground makes."""
    return {**PART_OF, RUN: run, **({LAB: "true"} if lab else {}), **more}


def source_map(names: Names, service: str, revision: str, source: str, marks: dict[str, str]) -> Object:
    """The ConfigMap that holds a revision's source."""
    return {
        "apiVersion": CONFIG_MAPS.api_version,
        "kind": CONFIG_MAPS.kind,
        "metadata": {"name": names.source(revision), "labels": marks},
        "data": {f"{service}.py": source},
    }


def template(
    names: Names,
    service: str,
    revision: str,
    *,
    image: str,
    env: dict[str, str],
    settings: Settings,
    marks: dict[str, str],
) -> Object:
    """A revision's template: what Knative makes its pods from.

    Args:
        env: of its pods.
        settings: idle window; a gated pod takes one request at a time.
        marks: labels of its pods.
    """
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": image,
        "args": [f"{MOUNT}/{service}.py"],
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "ports": [{"name": "h2c", "containerPort": PORT}],
        "resources": {"requests": {"cpu": "25m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "source", "mountPath": MOUNT, "readOnly": True},
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108  (the pod's own)
        ],
    }
    spec: dict[str, Any] = {
        "containers": [container],
        "volumes": [
            {"name": "source", "configMap": {"name": names.source(revision)}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
        "timeoutSeconds": STREAM_SECONDS,
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
    }
    if settings.gated:
        spec["containerConcurrency"] = 1
    return {
        "metadata": {
            "name": names.revision(revision),
            "labels": {**marks, SERVICE: service, REVISION: revision},
            "annotations": {
                "autoscaling.knative.dev/window": f"{settings.idle_window:g}s",
                "serving.knative.dev/progress-deadline": PROGRESS_DEADLINE,
            },
        },
        "spec": spec,
    }


def key_of(pod: Object, container: str) -> str:
    """The key that signs what a pod says: it is in the environment of the container, for its first process."""
    for each in pod["spec"]["containers"]:
        for variable in each.get("env", []) if each["name"] == container else []:
            if variable["name"] == EVENTS:
                return str(variable.get("value", "")).removeprefix("key:")
    return ""


def kservice(names: Names, latest: Object, revisions: list[str], marks: dict[str, str]) -> Object:
    """The Knative Service.

    Args:
        latest: the template of the revision that new requests go to.
        revisions: all that keep an address, oldest first, that one last.
    """
    traffic = [
        {"revisionName": names.revision(each), "tag": names.tag(each), "percent": 100 if each == revisions[-1] else 0}
        for each in revisions
    ]
    # cluster-local: nobody but Restate has any business at a service's endpoint.
    return {
        "apiVersion": KSERVICES.api_version,
        "kind": KSERVICES.kind,
        "metadata": {
            "name": names.service,
            "labels": {**marks, "networking.knative.dev/visibility": "cluster-local"},
        },
        "spec": {"template": latest, "traffic": traffic},
    }


def latest_of(kservice: Object | None) -> str:
    """The latest revision that Knative has made of a Knative Service as it is now; empty until it has."""
    if kservice is None or not is_observed(kservice):
        return ""
    return str(kservice.get("status", {}).get("latestCreatedRevisionName", ""))
