"""What a playground in a cluster survives, leaves behind, and leaves alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

import pytest

from playground import Playground
from playground.backends.knative.api import Kubernetes
from playground.backends.knative.config import ClusterConfig
from playground.backends.knative.objects import CONFIG_MAPS, KSERVICES, PODS, REVISIONS
from playground.backends.knative.revision import RUN
from playground.errors import DeployError
from tests.contract import SHOP, SIGNUP, eventually

pytestmark = pytest.mark.cluster
T = TypeVar("T")


def ask(where: ClusterConfig, what: Callable[[Kubernetes], Awaitable[T]]) -> T:
    """Ask the cluster something, by a connection of its own."""

    async def run() -> T:
        async with aclosing(await Kubernetes.connect(where.kubeconfig, where.context, where.namespace)) as kubernetes:
            return await what(kubernetes)

    return asyncio.run(run())


def test_nothing_is_left_and_what_is_somebody_elses_is_left_alone(where: ClusterConfig) -> None:
    meta = {"name": "somebody-elses", "labels": {"app": "signup"}}
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {}}
    ask(where, lambda cluster: cluster.apply(theirs))
    with Playground.open("knative") as pg:
        pg.deploy(name="signup", source=SIGNUP)
        assert ask(where, lambda cluster: cluster.find(KSERVICES, RUN))
    for resource in (KSERVICES, CONFIG_MAPS, REVISIONS):
        eventually(lambda resource=resource: not ask(where, lambda cluster: cluster.find(resource, RUN)))  # type: ignore[misc]
    assert ask(where, lambda cluster: cluster.get(CONFIG_MAPS, "somebody-elses")) is not None
    ask(where, lambda cluster: cluster.delete(CONFIG_MAPS, "somebody-elses"))


def test_a_revision_that_was_not_deployed_does_not_come_back(where: ClusterConfig) -> None:
    with Playground.open("knative") as pg:
        pg.deploy(name="signup", source=SIGNUP)
        for _ in range(4):
            with pytest.raises(DeployError):
                pg.deploy(name="signup", source="import restate\ndef broken(:\n")
        pg.wait_for(pods=0, timeout=60)
        ours = f"{RUN}={pg.runtime.backend._run}"  # type: ignore[attr-defined]
        revisions = ask(where, lambda cluster: cluster.find(REVISIONS, ours))
        assert [each["metadata"]["name"] for each in revisions] == ["signup-00001"]


def test_a_playground_begins_with_nothing_of_the_one_before(where: ClusterConfig) -> None:
    with Playground.open("knative") as before:
        before.deploy(name="signup", source=SIGNUP)
        before.deploy(name="shop", source=SHOP)
        before.send("Signup/signup", {"username": "ada"}).wait_for(status="suspended")
        before.call("Shop/buy", "ada")
        assert before.ledger.count() == 1
    with Playground.open("knative") as after:
        service = after.deploy(name="signup", source=SIGNUP)
        assert service.revision == "signup-00001"
        assert after.invocations == []
        assert after.state("User", "ada") == {}
        assert after.ledger.count() == 0


def test_a_ledger_that_is_killed_comes_back_with_what_it_knew(pg: Playground, where: ClusterConfig) -> None:
    pg.deploy(name="shop", source=SHOP)
    pg.call("Shop/buy", "ada")
    run = pg.runtime.backend._run  # type: ignore[attr-defined]
    selector = f"{RUN}={run},app.kubernetes.io/name=ledger"
    (ledger,) = ask(where, lambda cluster: cluster.find(PODS, selector))
    ask(where, lambda cluster: cluster.delete(PODS, ledger["metadata"]["name"], grace=0))
    pg.call("Shop/buy", "eve", timeout=60)
    assert [entry.body for entry in pg.ledger.entries("payment")] == ['{"who":"ada"}', '{"who":"eve"}']
