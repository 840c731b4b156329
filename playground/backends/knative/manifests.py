"""Our own objects: Restate, the ledger, and the namespace they are in, as dicts.

Restate is a StatefulSet with a volume of its own: its pod may be killed at any time and goes on where
its log ends. The ledger is the outside world, so it must not forget either. Both run as an unprivileged
user on a read-only file system. Both have one Service; on kind it is a NodePort, which kind-config.yaml maps
to loopback, and elsewhere it is for the cluster only.
"""

from __future__ import annotations

from typing import Any

from playground.backends.knative.objects import PART_OF, Object
from playground.core.settings import Settings
from playground.restate.settings import environment

RESTATE, LEDGER = "restate", "ledger"
"""The names of the workloads, of their Services and so of their hosts."""

INGRESS_PORT, ADMIN_PORT, LEDGER_PORT = 8080, 9070, 8080
NODE_PORTS = {"ingress": 30080, "admin": 30070, "ledger": 30090, "kourier": 30081}
"""Ports on every node of a kind cluster; kind-config.yaml maps the same ones."""

USER = 1000
"""The user and group of all processes. Any number but 0 will do: neither image has a user of its own in need."""


def namespace(name: str, labels: dict[str, str] | None = None) -> Object:
    """A namespace of ours: with our label, so it may be deleted whole."""
    # Pods that share the host's network, files or processes are refused; learners' code needs none of that.
    enforced = {"pod-security.kubernetes.io/enforce": "baseline"}
    return _object("v1", "Namespace", name, labels={**enforced, **(labels or {})})


def restate(
    namespace: str,
    image: str,
    *,
    storage_class: str | None = None,
    node_ports: bool = False,
    settings: Settings | None = None,
) -> list[Object]:
    """One Restate server on a volume, and its Service.

    Args:
        namespace: where.
        image: of the server.
        storage_class: of the volume; None takes the cluster's default.
        node_ports: whether its ports are open on the nodes (kind).
        settings: timings; by default a playground's.
    """
    variables = {
        **environment(settings or Settings()),
        "RESTATE_BASE_DIR": "/restate-data",
        # The name of a directory and of a member of the cluster: a new pod must be the old one again.
        "RESTATE_NODE_NAME": "restate-0",
        "RESTATE_BIND_IP": "0.0.0.0",  # noqa: S104  (a pod's own network is the boundary)
        "RESTATE_ADVERTISED_ADDRESS": "http://127.0.0.1:5122",  # a cluster of one talks to nobody else
    }
    container = _container(
        "restate",
        image,
        variables,
        ports={"ingress": INGRESS_PORT, "admin": ADMIN_PORT},
        ready=("/restate/health", "ingress"),
        alive=("/health", "admin"),
        requests={"cpu": "100m", "memory": "256Mi"},
        memory="768Mi",
        mounts={"data": "/restate-data", "tmp": "/tmp"},  # noqa: S108
    )
    labels = {"app.kubernetes.io/name": RESTATE}
    workload = _object("apps/v1", "StatefulSet", RESTATE, namespace, labels)
    workload["spec"] = {
        "serviceName": RESTATE,
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": _pod(labels, container, [{"name": "tmp", "emptyDir": {}}]),
        "volumeClaimTemplates": [
            {"metadata": {"name": "data", "labels": PART_OF | labels}, "spec": _claim("1Gi", storage_class)}
        ],
    }
    return [
        _service(RESTATE, namespace, labels, {"ingress": INGRESS_PORT, "admin": ADMIN_PORT}, node_ports),
        workload,
    ]


def ledger(namespace: str, image: str, *, storage_class: str | None = None, node_ports: bool = False) -> list[Object]:
    """The outside world: one process on a volume, and its Service.

    Args:
        namespace: where.
        image: the pod image, which has the ledger, too.
        storage_class: of the volume; None takes the cluster's default.
        node_ports: whether its port is open on the nodes (kind).
    """
    container = _container(
        "ledger",
        image,
        {"PORT": str(LEDGER_PORT)},
        ports={"http": LEDGER_PORT},
        ready=("", "http"),  # it answers only to a secret
        alive=("", "http"),
        requests={"cpu": "20m", "memory": "64Mi"},
        memory="256Mi",
        mounts={"data": "/data", "tmp": "/tmp"},  # noqa: S108
    )
    container["command"] = ["python", "-m", "playground.ledger", "/data/ledger.sqlite"]
    labels = {"app.kubernetes.io/name": LEDGER}
    claim = _object("v1", "PersistentVolumeClaim", LEDGER, namespace, labels)
    claim["spec"] = _claim("128Mi", storage_class)
    volumes = [
        {"name": "data", "persistentVolumeClaim": {"claimName": LEDGER}},
        {"name": "tmp", "emptyDir": {}},
    ]
    workload = _object("apps/v1", "Deployment", LEDGER, namespace, labels)
    workload["spec"] = {
        "replicas": 1,
        # Never two at once on one file.
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": labels},
        "template": _pod(labels, container, volumes),
    }
    return [claim, _service(LEDGER, namespace, labels, {"ledger": LEDGER_PORT}, node_ports), workload]


def _object(
    api_version: str, kind: str, name: str, namespace: str | None = None, labels: dict[str, str] | None = None
) -> Object:
    meta: Object = {"name": name, "labels": PART_OF | (labels or {})}
    if namespace is not None:
        meta["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": meta}


def _service(name: str, namespace: str, labels: dict[str, str], ports: dict[str, int], node_ports: bool) -> Object:
    service = _object("v1", "Service", name, namespace, labels)
    listed: list[dict[str, Any]] = [
        {"name": port, "port": number, "targetPort": number} for port, number in ports.items()
    ]
    if node_ports:
        for port in listed:
            port["nodePort"] = NODE_PORTS[port["name"]]
    service["spec"] = {"type": "NodePort" if node_ports else "ClusterIP", "selector": labels, "ports": listed}
    return service


def _claim(size: str, storage_class: str | None) -> Object:
    spec: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return spec


def _pod(labels: dict[str, str], container: Object, volumes: list[Object]) -> Object:
    return {
        "metadata": {"labels": PART_OF | labels},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,  # else a Service named restate sets RESTATE_PORT, which Restate reads
            "terminationGracePeriodSeconds": 10,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": volumes,
        },
    }


def _container(
    name: str,
    image: str,
    variables: dict[str, str],
    *,
    ports: dict[str, int],
    ready: tuple[str, str],
    alive: tuple[str, str],
    requests: dict[str, str],
    memory: str,
    mounts: dict[str, str],
) -> Object:
    def probe(path: str, port: str, period: int, failures: int) -> Object:
        look = {"httpGet": {"path": path, "port": port}} if path else {"tcpSocket": {"port": port}}
        return {**look, "periodSeconds": period, "failureThreshold": failures}

    return {
        "name": name,
        "image": image,
        "env": [{"name": key, "value": value} for key, value in sorted(variables.items())],
        "ports": [{"name": port, "containerPort": number} for port, number in ports.items()],
        "startupProbe": probe(*ready, period=1, failures=120),
        "readinessProbe": probe(*ready, period=2, failures=2),
        "livenessProbe": {**probe(*alive, period=10, failures=6), "timeoutSeconds": 5},
        # No limit of CPU: it would throttle a start, which takes all there is for a moment.
        "resources": {"requests": requests, "limits": {"memory": memory}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": volume, "mountPath": path} for volume, path in mounts.items()],
    }
