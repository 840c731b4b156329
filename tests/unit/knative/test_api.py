"""What goes wrong between us and a cluster: each says why, in Kubernetes' words if it has any, and what helps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from playground.backends.knative import backend as backend_module
from playground.backends.knative.api import ApiError, Kubernetes
from playground.backends.knative.backend import KnativeBackend
from playground.backends.knative.config import ClusterConfig
from playground.backends.knative.objects import CONFIG_MAPS, PODS
from playground.backends.knative.watch import Watch
from playground.core.settings import Settings
from playground.errors import ClusterError, StartError
from tests.unit.knative.apiserver import NAMESPACE, Answer, ApiServer, Asked, config_of, recorded, stand_in

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
KNATIVE = "/apis/serving.knative.dev/v1/"
DENIED = {
    "kind": "Status",
    "message": 'admission webhook "validation.webhook.serving.knative.dev" denied the request: validation failed:'
    " invalid value: 1s: spec.template.metadata.annotations[autoscaling.knative.dev/window]",
    "code": 400,
}


def asked(
    directory: Path, arrange: Callable[[ApiServer], None], ask: Callable[[Kubernetes], Coroutine[Any, Any, Any]]
) -> tuple[Any, ApiServer]:
    async def run() -> tuple[Any, ApiServer]:
        async with stand_in(directory, by_hand=True) as (server, kubernetes):
            arrange(server)
            return await ask(kubernetes), server

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "body", "why", "fix"),
    [
        (403, recorded("forbidden.json"), 'cannot list resource "pods"', "cluster adopt"),
        (401, recorded("unauthorized.json"), "Unauthorized", "Log in"),
        (400, json.dumps(DENIED).encode(), "invalid value: 1s", "cluster status"),
        (503, b"<html>no healthy upstream</html>", "status 503", "cluster status"),
        (400, b"<html>a proxy's page</html>", "", "cluster status"),
        (200, b"<html>a proxy's page</html>", "broke", "cluster status"),
    ],
)
def test_a_refusal_is_told_in_kubernetes_words(tmp_path: Path, status: int, body: bytes, why: str, fix: str) -> None:
    with pytest.raises(ApiError) as error:
        asked(tmp_path, lambda s: s.answers("list", body, status=status), lambda c: c.listed(PODS, "a=b"))
    assert why in error.value.why
    assert fix in error.value.fix
    assert isinstance(error.value, ClusterError)


def test_what_has_expired_is_got_anew(tmp_path: Path) -> None:
    def arrange(server: ApiServer) -> None:
        server.answers("list", recorded("unauthorized.json"), status=401)
        server.lists([], "7")

    listed, server = asked(tmp_path, arrange, lambda c: c.listed(PODS, "a=b"))
    assert listed == ([], "7")
    assert [each.method for each in server.asked] == ["GET", "GET"]


def test_what_is_not_there_is_none_and_may_be_deleted(tmp_path: Path) -> None:
    assert asked(tmp_path, lambda s: None, lambda c: c.get(CONFIG_MAPS, "x"))[0] is None
    asked(tmp_path, lambda s: None, lambda c: c.delete(CONFIG_MAPS, "x"))


def test_objects_are_applied_and_deleted_as_kubernetes_wants_it(tmp_path: Path) -> None:
    path = f"/apis/serving.knative.dev/v1/namespaces/{NAMESPACE}/services/a%20b"

    def arrange(server: ApiServer) -> None:
        server.answers(path, b"{}")
        server.answers(f"/api/v1/namespaces/{NAMESPACE}/pods/x", b"{}")

    wanted = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "a b"}}

    async def ask(kubernetes: Kubernetes) -> None:
        await kubernetes.apply(wanted, manager="me")
        await kubernetes.delete(PODS, "x", grace=0)

    _, server = asked(tmp_path, arrange, ask)
    applied, deleted = server.asked
    assert (applied.method, applied.path, applied.query) == ("PATCH", path, {"fieldManager": "me", "force": "true"})
    assert json.loads(applied.body) == wanted
    assert json.loads(deleted.body)["gracePeriodSeconds"] == 0


def test_nothing_is_deleted_without_a_label(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="labels"):
        asked(tmp_path, lambda s: None, lambda c: c.delete_all(PODS, ""))


def test_a_cluster_that_is_gone(tmp_path: Path) -> None:
    async def run() -> None:
        async with stand_in(tmp_path) as (_server, kubernetes):
            pass
        with pytest.raises(ApiError, match="did not read Pod x") as error:
            await kubernetes.get(PODS, "x")
        assert "stopped or gone" in error.value.why
        await kubernetes.aclose()

    asyncio.run(run())


def opened(directory: Path, arrange: Callable[[ApiServer], None]) -> tuple[StartError, ApiServer]:
    """How opening a playground fails."""

    async def run() -> tuple[StartError, ApiServer]:
        async with stand_in(directory) as (server, kubernetes):
            arrange(server)
            backend = KnativeBackend(
                directory,
                remove=False,
                settings=Settings(),
                record=lambda *events: None,
                config=ClusterConfig(kubernetes.kubeconfig, kubernetes.context, kubernetes.namespace),
            )
            with pytest.raises(StartError) as error:
                await backend.open()
            await backend.close()
            return error.value, server

    return asyncio.run(run())


def test_a_cluster_without_knative(tmp_path: Path) -> None:
    error, server = opened(tmp_path, lambda server: None)
    assert "no Knative Serving" in error.what
    assert not any(asked.method in ("DELETE", "PATCH") for asked in server.asked if "labelSelector" not in asked.query)


def reviewed(asked: Asked) -> Answer:
    about = json.loads(asked.body)["spec"]["resourceAttributes"]
    refused = (about["verb"], about["resource"], about["subresource"]) == ("create", "pods", "exec")
    return Answer([json.dumps({"status": {"allowed": not refused}}).encode()])


def test_missing_rights_are_named_before_anything_is_touched(tmp_path: Path) -> None:
    def arrange(server: ApiServer) -> None:
        server.answers(KNATIVE, b'{"resources": [{"name": "services"}, {"name": "revisions"}]}')
        server.answers_with(REVIEWS, reviewed)

    error, server = opened(tmp_path, arrange)
    assert "some rights are missing" in error.what
    assert "may not: create pods/exec." in error.why
    assert "cluster adopt" in error.fix
    first = json.loads(next(asked.body for asked in server.asked if asked.path == REVIEWS))
    assert first["spec"]["resourceAttributes"]["namespace"] == NAMESPACE


def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    other = replace(config_of("http://127.0.0.1:9", tmp_path), context="another")

    async def run() -> None:
        backend = KnativeBackend(tmp_path, remove=False, settings=Settings(), record=lambda *events: None, config=other)
        with pytest.raises(StartError, match="There is no context another"):
            await backend.open()

    asyncio.run(run())


def test_the_timings_in_force_are_those_that_knative_allows(tmp_path: Path) -> None:
    made = KnativeBackend(tmp_path, remove=False, settings=Settings(), record=lambda *events: None)
    assert (made.settings.idle_window, made.settings.inactivity_timeout) == (6, 5)
    at_every_wait = Settings(inactivity_timeout=0)
    made = KnativeBackend(tmp_path, remove=False, settings=at_every_wait, record=lambda *events: None)
    assert made.settings.inactivity_timeout == 0
    asked_for = Settings(idle_window=20, inactivity_timeout=30)
    longer = KnativeBackend(tmp_path, remove=False, settings=asked_for, record=lambda *events: None)
    assert longer.settings == asked_for


def test_a_cluster_that_goes_in_the_middle_of_a_lesson_is_told_with_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend_module, "CLUSTER_PATIENCE", 0.2)

    async def run() -> None:
        backend = KnativeBackend(tmp_path, remove=False, settings=Settings(), record=lambda *events: None)
        kubernetes = Kubernetes(None, tmp_path, "mine", NAMESPACE, "")  # type: ignore[arg-type]
        backend._kubernetes = kubernetes
        backend._watch = Watch(kubernetes, PODS, "a=b", lambda what, pod: None)
        backend._watch.error = ApiError(0, "No.", "Nobody answers: the cluster is stopped or gone.", "cluster status")
        with pytest.raises(StartError, match="not there any more") as error:
            await backend.ready()
        assert "stopped or gone" in error.value.why
        assert "cluster status" in error.value.fix

    asyncio.run(run())
