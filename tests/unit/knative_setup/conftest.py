"""A machine with fakes on PATH, a stand-in for a cluster, and the command line run on both."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml

from playground.backends.knative import create as commands
from playground.backends.knative import versions
from tests.unit.knative_setup import driver
from tests.unit.knative_setup.standin import Cluster, Machine, serve

ROOT = Path(__file__).parents[3]
SERVING = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "knative-serving"}},
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "config-autoscaler", "namespace": "knative-serving"},
        "data": {"_example": "stable-window: 60s"},
    },
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "controller",
            "namespace": "knative-serving",
            "labels": {"app.kubernetes.io/version": "1.23.0"},
        },
        "spec": {
            "selector": {"matchLabels": {"app": "controller"}},
            "template": {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]}},
        },
    },
]
KOURIER = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kourier-system"}},
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kourier", "namespace": "kourier-system"},
        "spec": {"type": "LoadBalancer", "ports": [{"name": "http2", "port": 80}, {"name": "https", "port": 443}]},
    },
]


@pytest.fixture(name="cluster")
def standing_in() -> Iterator[Cluster]:
    with serve() as running:
        yield running


@dataclass
class Command:
    """The command line on this machine and cluster."""

    machine: Machine
    directory: Path
    environment: dict[str, str]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it."""
        return subprocess.Popen(
            [sys.executable, "-m", "tests.unit.knative_setup.driver", str(self.directory), "cluster", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Run it, here: a process of its own would take a second to begin. Returns status, output, complaints."""
        out, err, status = io.StringIO(), io.StringIO(), 0
        with (
            patch.dict(os.environ, self.environment, clear=True),
            patch.multiple(versions, SERVING=(), KOURIER=(), EVENTING=()),
            patch.object(commands, "_answers"),
            patch.object(sys, "argv", sys.argv),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                driver.main(self.directory, ["cluster", *arguments])
            except SystemExit as ended:
                status = int(ended.code or 0)
        return status, out.getvalue(), err.getvalue()

    @property
    def data(self) -> Path:
        """Where it keeps what leads to the cluster."""
        return Path(self.environment["XDG_DATA_HOME"]) / "durable-playground"


@pytest.fixture(name="command")
def on_this_machine(tmp_path: Path, cluster: Cluster) -> Command:
    for name in ("bin", "data", "home", "release"):
        (tmp_path / name).mkdir()
    for name, objects in (("serving", SERVING), ("kourier", KOURIER)):
        (tmp_path / "release" / f"{name}.yaml").write_text(yaml.safe_dump_all(objects))
    machine = Machine(tmp_path / "bin")
    machine.script["kubeconfig"] = cluster.kubeconfig("kind-durable-playground")
    machine.script["ports"] = [[30080, "40080"], [30070, "40070"], [30090, "40090"], [30081, "40081"]]
    machine.write()
    kept = {name: value for name, value in os.environ.items() if name not in ("KUBECONFIG", "PLAYGROUND_BACKEND")}
    changed = {
        "PATH": str(tmp_path / "bin"),
        "HOME": str(tmp_path / "home"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }
    return Command(machine, tmp_path / "release", {**kept, **changed})
