"""Our manifests against Kubernetes' own schemas, and kind's; and what they must have in common.

The schemas say that the objects are well formed, not that they work: the cluster tests do.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from playground.backends.knative import learners, manifests
from playground.backends.knative.namespace import Installation
from playground.backends.knative.versions import POD_IMAGE, RESTATE_IMAGE
from playground.core.settings import Settings
from playground.restate.settings import environment

ROOT = Path(__file__).parents[3]
SCHEMAS = json.loads((Path(__file__).parent / "kubernetes-1.36.json").read_text())
REPLICATED = list(yaml.safe_load_all((ROOT / "docs" / "restate-replicated.yaml").read_text()))
OURS = [
    manifests.namespace("a"),
    *Installation().objects("a"),
    *Installation(storage_class="fast", node_ports=True).objects("a"),
    *learners.account("a"),
]


def workload(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(one for one in objects if one["kind"] == kind)


def title(one: dict[str, Any]) -> str:
    return f"{one['kind']}-{one['metadata']['name']}"


@pytest.mark.parametrize("one", [*OURS, *REPLICATED], ids=title)
def test_against_kubernetes_schemas(one: dict[str, Any]) -> None:
    schema = {"$ref": f"#/definitions/{one['kind']}", **SCHEMAS}
    assert [error.message for error in Draft202012Validator(schema).iter_errors(one)] == []


def test_the_schemas_refuse_what_kubernetes_would() -> None:
    service = workload(Installation().objects("a"), "Service")
    service["spec"]["prots"] = []
    schema = {"$ref": "#/definitions/Service", **SCHEMAS}
    [error] = Draft202012Validator(schema).iter_errors(service)
    assert "'prots' was unexpected" in error.message


@pytest.mark.parametrize("one", OURS, ids=title)
def test_everything_is_labelled(one: dict[str, Any]) -> None:
    label = {"app.kubernetes.io/part-of": "durable-playground"}
    assert label.items() <= one["metadata"]["labels"].items()
    for template in [one["spec"]["template"]] if "template" in one.get("spec", {}) else []:
        assert label.items() <= template["metadata"]["labels"].items()
    for claim in one.get("spec", {}).get("volumeClaimTemplates", []):
        assert label.items() <= claim["metadata"]["labels"].items()


@pytest.mark.parametrize(
    "one", [one for one in [*OURS, *REPLICATED] if one["kind"] in ("StatefulSet", "Deployment")], ids=title
)
def test_nothing_is_privileged_or_without_bounds(one: dict[str, Any]) -> None:
    pod = one["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    [container] = pod["containers"]
    security = container["securityContext"]
    assert (security["readOnlyRootFilesystem"], security["allowPrivilegeEscalation"]) == (True, False)
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]
    assert "readinessProbe" in container
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    claims = one["spec"].get("volumeClaimTemplates", [])
    assert mounted == {volume["name"] for volume in pod["volumes"]} | {claim["metadata"]["name"] for claim in claims}


def test_restate_as_it_is_applied() -> None:
    """The whole of it, so that a change of any part is a change that somebody has looked at."""
    service, restate = manifests.restate("ada", "example/restate:1", node_ports=True)
    assert service["spec"] == {
        "type": "NodePort",
        "selector": {"app.kubernetes.io/name": "restate"},
        "ports": [
            {"name": "ingress", "port": 8080, "targetPort": 8080, "nodePort": 30080},
            {"name": "admin", "port": 9070, "targetPort": 9070, "nodePort": 30070},
        ],
    }
    [container] = restate["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one["value"] for one in container.pop("env")}
    assert told == {
        **environment(Settings()),
        "RESTATE_ADVERTISED_ADDRESS": "http://127.0.0.1:5122",
        "RESTATE_BASE_DIR": "/restate-data",
        "RESTATE_BIND_IP": "0.0.0.0",
        "RESTATE_NODE_NAME": "restate-0",
    }
    assert told["RESTATE_DEFAULT_NUM_PARTITIONS"] == "1"
    assert told["RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT"] == "1500ms"
    assert container == {
        "name": "restate",
        "image": "example/restate:1",
        "ports": [{"name": "ingress", "containerPort": 8080}, {"name": "admin", "containerPort": 9070}],
        "startupProbe": {
            "httpGet": {"path": "/restate/health", "port": "ingress"},
            "periodSeconds": 1,
            "failureThreshold": 120,
        },
        "readinessProbe": {
            "httpGet": {"path": "/restate/health", "port": "ingress"},
            "periodSeconds": 2,
            "failureThreshold": 2,
        },
        "livenessProbe": {
            "httpGet": {"path": "/health", "port": "admin"},
            "periodSeconds": 10,
            "failureThreshold": 6,
            "timeoutSeconds": 5,
        },
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "768Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "data", "mountPath": "/restate-data"}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    assert restate["spec"]["volumeClaimTemplates"][0]["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    }


def test_the_ledger_never_runs_twice_on_one_file() -> None:
    ledger = workload(manifests.ledger("ada", POD_IMAGE), "Deployment")
    assert ledger["spec"]["strategy"] == {"type": "Recreate"}
    [container] = ledger["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", "playground.ledger", "/data/ledger.sqlite"]
    assert container["env"] == [{"name": "PORT", "value": "8080"}]


def test_a_learners_quota_has_room_for_a_lab_beside_the_playground() -> None:
    playground = Installation().objects("a")
    claims = [one["spec"] for one in playground if one["kind"] == "PersistentVolumeClaim"]
    claims += [one["spec"] for each in playground for one in each.get("spec", {}).get("volumeClaimTemplates", [])]
    asked = [mebibytes(claim["resources"]["requests"]["storage"]) for claim in claims]
    assert len(asked) == 2
    assert 2 * len(asked) <= int(learners.QUOTA["persistentvolumeclaims"])
    assert 2 * sum(asked) <= mebibytes(learners.QUOTA["requests.storage"])


def mebibytes(size: str) -> int:
    return int(size[:-2]) * {"Mi": 1, "Gi": 1024}[size[-2:]]


def test_a_learner_may_not_reach_beyond_the_namespace() -> None:
    account = learners.account("class-01")
    kinds = {one["kind"] for one in account}
    assert not any(kind.startswith("Cluster") for kind in kinds)
    allowed = [
        (group, name)
        for rule in workload(account, "Role")["rules"]
        for group in rule["apiGroups"]
        for name in rule["resources"]
    ]
    assert not {"secrets", "serviceaccounts", "roles", "rolebindings", "resourcequotas"} & {name for _, name in allowed}
    assert {group for group, name in allowed if name == "*"} == {"serving.knative.dev", "eventing.knative.dev"}
    own = [rule for rule in workload(account, "Role")["rules"] if rule["resources"] == ["namespaces"]]
    assert own == [{"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["class-01"], "verbs": ["get"]}]


def test_one_version_of_restate() -> None:
    from playground.restate.version import SERVER_VERSION

    assert RESTATE_IMAGE.endswith(f":{SERVER_VERSION}")


CONFIG = yaml.safe_load((ROOT / "kind-config.yaml").read_text())
FIELDS = {  # of kind's v1alpha4 configuration: pkg/apis/config/v1alpha4/types.go in kubernetes-sigs/kind v0.32.0
    "cluster": {
        "kind",
        "apiVersion",
        "name",
        "nodes",
        "networking",
        "featureGates",
        "runtimeConfig",
        "kubeadmConfigPatches",
        "kubeadmConfigPatchesJSON6902",
        "containerdConfigPatches",
        "containerdConfigPatchesJSON6902",
    },
    "node": {
        "role",
        "image",
        "labels",
        "extraMounts",
        "extraPortMappings",
        "kubeadmConfigPatches",
        "kubeadmConfigPatchesJSON6902",
    },
    "networking": {
        "ipFamily",
        "apiServerPort",
        "apiServerAddress",
        "podSubnet",
        "serviceSubnet",
        "disableDefaultCNI",
        "kubeProxyMode",
        "dnsSearch",
    },
    "mapping": {"containerPort", "hostPort", "listenAddress", "protocol"},
}


def test_kind_config_has_only_fields_that_kind_has() -> None:
    assert (CONFIG["kind"], CONFIG["apiVersion"]) == ("Cluster", "kind.x-k8s.io/v1alpha4")
    assert set(CONFIG) <= FIELDS["cluster"]
    assert set(CONFIG["networking"]) <= FIELDS["networking"]
    for node in CONFIG["nodes"]:
        assert set(node) <= FIELDS["node"]
        for mapping in node["extraPortMappings"]:
            assert set(mapping) <= FIELDS["mapping"]


def test_kind_config_is_for_this_machine_only() -> None:
    [node] = CONFIG["nodes"]
    assert CONFIG["networking"]["apiServerAddress"] == "127.0.0.1"
    assert {mapping["listenAddress"] for mapping in node["extraPortMappings"]} == {"127.0.0.1"}
    assert not any("hostPort" in mapping for mapping in node["extraPortMappings"])
    assert "extraMounts" not in node
    assert re.fullmatch(r"kindest/node:v\d+\.\d+\.\d+@sha256:[0-9a-f]{64}", node["image"])


def test_kind_config_maps_the_node_ports() -> None:
    mapped = {mapping["containerPort"] for mapping in CONFIG["nodes"][0]["extraPortMappings"]}
    assert mapped == set(manifests.NODE_PORTS.values())
