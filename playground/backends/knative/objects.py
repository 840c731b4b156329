"""Kubernetes' objects as dicts, the kinds that a playground has to do with, and the label on all that is ours.

An object is what YAML has between two `---`: it says itself which API version and kind it is of. A `Resource` is a
kind as the server's URLs name it. Those that are used by name are here; others are asked of the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
"""A Kubernetes object: apiVersion, kind, metadata and so on."""

PART_OF = {"app.kubernetes.io/part-of": "durable-playground"}
"""The label on everything of ours; what has it may be deleted, what has not is never touched."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object.

    Attributes:
        api_version: as in an object, e.g. "apps/v1".
        kind: as in an object, e.g. "Deployment".
        plural: as in a URL, e.g. "deployments".
        namespaced: whether its objects live in namespaces.
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """Its API group; empty for the core's."""
        return self.api_version.rpartition("/")[0]


NAMESPACES = Resource("v1", "Namespace", "namespaces", namespaced=False)
SERVICE_ACCOUNTS = Resource("v1", "ServiceAccount", "serviceaccounts")
CONFIG_MAPS = Resource("v1", "ConfigMap", "configmaps")
PODS = Resource("v1", "Pod", "pods")
SERVICES = Resource("v1", "Service", "services")
CLAIMS = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
EVENTS = Resource("v1", "Event", "events")
STATEFUL_SETS = Resource("apps/v1", "StatefulSet", "statefulsets")
DEPLOYMENTS = Resource("apps/v1", "Deployment", "deployments")
DAEMON_SETS = Resource("apps/v1", "DaemonSet", "daemonsets")
REPLICA_SETS = Resource("apps/v1", "ReplicaSet", "replicasets")
JOBS = Resource("batch/v1", "Job", "jobs")
CRON_JOBS = Resource("batch/v1", "CronJob", "cronjobs")
KSERVICES = Resource("serving.knative.dev/v1", "Service", "services")
REVISIONS = Resource("serving.knative.dev/v1", "Revision", "revisions")
NAMED = {(one.api_version, one.kind): one for one in list(globals().values()) if isinstance(one, Resource)}
"""All of these, by API version and kind."""


def is_ours(thing: Object) -> bool:
    """Whether an object carries our label."""
    return PART_OF.items() <= (thing["metadata"].get("labels") or {}).items()


def selector(labels: Mapping[str, str]) -> str:
    """A label selector for objects that carry all of these."""
    return ",".join(f"{name}={value}" for name, value in labels.items())


def in_words(thing: Object) -> str:
    """An object for a person: its kind and its name."""
    return f"{thing['kind']} {thing['metadata']['name']}"
