"""What notebooks use to look behind the playground: manifests as YAML, and `apply` that waits until ready."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from playground import kubernetes as notebook
from playground.backends.knative.revision import RUN
from playground.errors import ClusterError, StartError
from tests.unit.knative.apiserver import NAMESPACE, ApiServer, stand_in

EVENTING = "/apis/eventing.knative.dev/v1"
BROKERS = f"{EVENTING}/namespaces/{NAMESPACE}/brokers/default"
BROKER = {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"name": "default"}}
KINDS = {
    "resources": [
        {"name": "brokers", "kind": "Broker", "namespaced": True, "verbs": ["get", "patch"]},
        {"name": "brokers/status", "kind": "Broker", "namespaced": True, "verbs": ["get"]},
    ]
}


def broker(seen: int, ready: str, message: str = "") -> bytes:
    condition = {"type": "Ready", "status": ready, "reason": "Because", "message": message}
    status = {"observedGeneration": seen, "conditions": [condition]}
    return json.dumps({**BROKER, "metadata": {"name": "default", "generation": 2}, "status": status}).encode()


def applied(directory: Path, *answers: bytes, kinds: dict[str, Any] = KINDS) -> tuple[Any, ApiServer]:
    async def run() -> tuple[Any, ApiServer]:
        async with stand_in(directory, by_hand=True) as (server, kubernetes):
            server.answers(f"{EVENTING}/", json.dumps(kinds).encode())
            for answer in answers:
                server.answers(BROKERS, answer)
            return await notebook._apply(kubernetes, BROKER, 0.3), server

    return asyncio.run(run())


def test_a_manifest_is_shown_as_yaml_without_what_differs_between_clusters() -> None:
    thing = {
        "kind": "Service",
        "metadata": {"labels": {RUN: "abc", "mine": "yes"}},
        "spec": {
            "containers": [
                {
                    "image": "r.example/p:1",
                    "env": [
                        {"name": "POD_EVENTS", "value": "key:1"},
                        {"value": "http://ledger.learner.svc.cluster.local:80/s3-cret_"},
                    ],
                }
            ]
        },
    }
    shown = notebook.Manifest(thing, "learner")
    assert repr(shown) == (
        "kind: Service\nmetadata:\n  labels:\n    mine: 'yes'\nspec:\n  containers:\n"
        "  - image: IMAGE\n    env:\n    - value: http://ledger.NAMESPACE.svc.cluster.local:80/SECRET"
    )
    assert dict(shown) == thing, "only what is shown is shortened"


def test_an_object_is_applied_until_it_is_ready(tmp_path: Path) -> None:
    there, server = applied(tmp_path, broker(1, "True"), broker(2, "Unknown"), broker(2, "True"))
    assert repr(notebook.Applied(there)) == "Broker default is ready"
    patch, *looks = [each for each in server.asked if each.path == BROKERS]
    assert (patch.method, patch.query["fieldManager"]) == ("PATCH", notebook.MANAGER)
    assert json.loads(patch.body) == BROKER
    assert [look.method for look in looks] == ["GET", "GET"]


def test_an_object_that_does_not_get_ready_says_why(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="Broker default did not get ready") as error:
        applied(tmp_path, broker(2, "False", "no channel"))
    assert "no channel" in error.value.why


def test_a_cluster_without_the_kind_is_told(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="has no Broker"):
        applied(tmp_path, kinds={"resources": []})


def test_an_embedded_playground_has_no_manifests() -> None:
    embedded: Any = SimpleNamespace(runtime=SimpleNamespace(backend=SimpleNamespace(name="local")))
    with pytest.raises(StartError, match="on the local backend"):
        notebook.manifest(embedded, "signup")
