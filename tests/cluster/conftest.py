"""Fixtures for tests against a real cluster. Without one they are skipped, or fail where there should be one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from playground import Playground
from playground.backends.knative import config
from playground.errors import StartError
from tests.contract import deploy_all


@pytest.fixture(scope="session")
def where() -> config.ClusterConfig:
    """The cluster that `cluster create` or `cluster adopt` left for these tests."""
    try:
        return config.load()
    except StartError as error:
        if os.environ.get("CI") and os.environ.get("PLAYGROUND_BACKEND") == "knative":
            pytest.fail(f"this run is to have a cluster: {error}")  # a skip would pass for a success
        pytest.skip(f"no cluster: {error.fix}")


@pytest.fixture(scope="module")
def pg(where: config.ClusterConfig) -> Iterator[Playground]:
    """A playground on the cluster."""
    with Playground.open("knative") as playground:
        deploy_all(playground)
        yield playground
