"""What a playground asks to be allowed, and a learner is given. Each test with a stand-in holds its requests to it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from playground.backends.knative.api import ApiError
from playground.backends.knative.rights import RIGHTS, role
from tests.unit.knative.apiserver import NAMESPACE, stand_in
from tests.unit.knative.rbac import allows, permits

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


def test_a_learner_has_all_that_is_asked_for() -> None:
    for right in RIGHTS:
        for verb in f"{right.running} {right.installing}".split():
            assert permits(role(), verb, right.resource.group, str(right)), f"{verb} {right}"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", PODS, True),
        ("DELETE", f"{PODS}/a", True),
        ("GET", f"{PODS}/a/log", True),
        ("GET", f"{PODS}/a/exec", True),
        ("POST", f"{PODS}/a/eviction", False),
        ("GET", "/api/v1/namespaces/another/pods", False),
        ("GET", "/api/v1/pods", False),
        ("GET", "/api/v1/nodes", False),
        ("GET", f"/api/v1/namespaces/{NAMESPACE}/secrets", False),
        ("PATCH", f"/apis/serving.knative.dev/v1/namespaces/{NAMESPACE}/services/a", True),
        ("PATCH", f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/ingresses/a", False),
    ],
)
def test_a_learner_may_do_this_and_not_that(method: str, path: str, allowed: bool) -> None:
    assert allows(role(), NAMESPACE, method, path, {}) is allowed


def test_what_goes_by_websocket_is_asked_for_too(tmp_path: Path) -> None:
    """The stand-in speaks none, and refuses; what was asked for is what counts."""
    ready = [{"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"}]
    pod = {"metadata": {"name": "a", "namespace": NAMESPACE}, "spec": {}, "status": {"conditions": ready}}

    async def run() -> list[str]:
        async with stand_in(tmp_path) as (server, kubernetes):
            with pytest.raises(ApiError, match="run a command in pod a"):
                await kubernetes.run(pod, "user", ["true"])  # it has gone meanwhile
            server.answers(f"{PODS}/a", json.dumps(pod).encode())
            with pytest.raises(ApiError, match="run a command in pod a"):
                await kubernetes.run(pod, "user", ["true"])
            with pytest.raises(ApiError, match="open a way to pod a"):
                async with kubernetes.tunnel("a", 8080):
                    pass
            return [each.path for each in server.asked]

    assert asyncio.run(run()) == [*[f"{PODS}/a"] * 2, f"{PODS}/a/exec", f"{PODS}/a/portforward"]
