"""`cluster create`, `load` and `delete` with fakes for kind and docker, and a stand-in for the cluster."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
import yaml

from tests.unit.knative_setup.conftest import Command
from tests.unit.knative_setup.standin import Cluster

NODE = "durable-playground-control-plane"


def create(command: Command, *more: str) -> tuple[int, str, str]:
    return command("create", "--manifests", str(command.directory), *more)


def test_create_makes_a_cluster(command: Command, cluster: Cluster) -> None:
    status, out, err = create(command)
    assert (status, err) == (0, "")
    assert [line.split("(")[0].split() for line in out.splitlines() if line.startswith("ok")] == [
        ["ok", "release", "files", "of", "Knative", "1.23.0"],
        ["ok", "node", NODE],
        ["ok", "pod", "image", "kind.local/durable-playground-pod:0.1.0"],
        ["ok", "Kubernetes"],
        ["ok", "Knative", "Serving", "1.23.0"],
        ["ok", "Kourier", "1.23.0"],
        ["ok", "Knative", "Eventing", "1.23.0"],
        ["ok", "Restate", "and", "the", "ledger"],
        ["ok", "Restate", "answers", "on", "this", "machine"],
    ]
    assert json.loads((command.data / "cluster.json").read_text()) == {
        "kubeconfig": str(command.data / "kubeconfig"),
        "context": "kind-durable-playground",
        "namespace": "playground",
        "ingress_url": "http://127.0.0.1:40080",
        "admin_url": "http://127.0.0.1:40070",
        "ledger_url": "http://127.0.0.1:40090",
        "image": "kind.local/durable-playground-pod:0.1.0",
    }
    assert cluster.names("StatefulSet") == ["playground/restate"]
    assert cluster.names("Deployment") == ["knative-serving/controller", "playground/ledger"]
    assert "--kubeconfig" in command.machine.lines("kind create cluster")[0]
    # Neither the user's kubeconfig nor anything else of the home directory was touched.
    assert list(Path(command.environment["HOME"]).iterdir()) == []


def test_knative_is_set_for_teaching(command: Command, cluster: Cluster) -> None:
    create(command)
    settings = cluster.objects["v1", "configmaps", "knative-serving", "config-autoscaler"]["data"]
    assert settings["stable-window"] == "6s"
    assert "_example" in settings
    kourier = cluster.objects["v1", "services", "kourier-system", "kourier"]["spec"]
    assert kourier["type"] == "NodePort"
    assert [port.get("nodePort") for port in kourier["ports"]] == [30081, None]
    controller = cluster.objects["apps/v1", "deployments", "knative-serving", "controller"]
    assert controller["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "10m"


def test_create_again_makes_no_second_node(command: Command) -> None:
    create(command)
    status, out, _ = create(command)
    assert status == 0
    assert "(is there, " in out
    assert len(command.machine.lines("kind create")) == 1
    assert command.machine.lines("docker start") == [f"docker start {NODE}"]


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_create_with_either_engine(command: Command, engine: str) -> None:
    if engine == "podman":
        (command.machine.home / "docker").unlink()
        command.machine.install("podman")
    assert create(command)[0] == 0
    assert command.machine.lines(f"{engine} build --tag kind.local/")
    assert command.machine.lines("kind load image-archive")
    assert {one[0] for one in command.machine.asked} == {"kind", engine}


def test_an_engine_that_is_asked_for_and_not_there(command: Command) -> None:
    command.environment["KIND_EXPERIMENTAL_PROVIDER"] = "podman"
    status, _, err = create(command)
    assert status == 1
    assert "There is no podman on PATH." in err


def test_no_kind(command: Command) -> None:
    (command.machine.home / "kind").unlink()
    status, _, err = create(command)
    assert status == 1
    assert err.startswith("There is no kind on PATH.\nWhy: ")
    assert "Install v0.32.0 or newer" in err


def test_an_old_kind_is_a_note(command: Command) -> None:
    command.machine.rule("kind version", out="kind v0.20.0 go1.20 linux/amd64")
    status, out, _ = create(command)
    assert status == 0
    assert "note: kind 0.20.0 is older than the 0.32.0" in out


def test_the_engine_does_not_run(command: Command) -> None:
    command.machine.rule("docker info", exit=1, err="Cannot connect to the Docker daemon")
    status, _, err = create(command)
    assert status == 1
    assert "docker does not run: Cannot connect to the Docker daemon" in err


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ("Bind for 127.0.0.1:8080 failed: port is already allocated", "Choose another hostPort in kind-config.yaml"),
        ('ERROR: failed to pull image "kindest/node"', "Without a network: docker load"),
        ("ERROR: failed to init node with kubeadm", "python -m playground doctor --cluster"),
    ],
)
def test_kind_fails(command: Command, said: str, fix: str) -> None:
    command.machine.rule("kind create", exit=1, out=said)
    status, out, err = create(command)
    assert status == 1
    assert f"FAIL   node {NODE} (docker)" in out
    assert said in err
    assert fix in err
    command.machine.forget()
    assert create(command)[0] == 0


def test_a_half_made_node_is_made_anew(command: Command) -> None:
    """kind was killed: a container is there, a kubeconfig is not."""
    command.machine.rule("kind create", exit=137, leaves=NODE, once=True)
    assert create(command)[0] == 1
    status, out, _ = command("status")
    assert status == 1
    assert "`cluster create` has not ended" in out
    status, out, _ = create(command)
    assert status == 0
    assert "half-made" in out
    assert len(command.machine.lines("kind delete cluster")) == 1


def test_interrupted_and_again(command: Command, cluster: Cluster) -> None:
    command.machine.rule("docker build", sleep=30, once=True)
    process = command.start("create", "--manifests", str(command.directory))
    deadline = time.monotonic() + 30
    while not command.machine.lines("docker build"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode not in (0, None)
    assert "STOP   pod image" in out
    assert "Traceback" not in err
    command.machine.forget()
    status, out, _ = create(command)
    assert status == 0
    assert len(command.machine.lines("kind create")) == 1
    assert cluster.names("StatefulSet") == ["playground/restate"]


def test_what_passes_by_itself_is_waited_for(command: Command, cluster: Cluster) -> None:
    cluster.refuse["PATCH", "statefulsets/restate"] = (500, "failed calling webhook: connection refused")
    process = command.start("create", "--manifests", str(command.directory))
    deadline = time.monotonic() + 30
    while sum("statefulsets/restate" in asked and "PATCH" in asked for asked in cluster.asked) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    cluster.refuse.clear()
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_what_kubernetes_does_not_take(command: Command, cluster: Cluster) -> None:
    cluster.refuse["PATCH", "configmaps/config-autoscaler"] = (400, "admission webhook denied the request: nonsense")
    status, out, err = create(command)
    assert status == 1
    assert "FAIL   Knative Serving 1.23.0" in out
    assert "Kubernetes says: admission webhook denied the request: nonsense." in err
    cluster.refuse.clear()
    assert create(command)[0] == 0


def test_a_release_file_that_was_changed(command: Command) -> None:
    other = command.directory.parent / "other"
    other.mkdir()
    for file in command.directory.iterdir():
        (other / file.name).write_bytes(file.read_bytes() + b"\n")
    status, _, err = command("create", "--manifests", str(other))
    assert status == 1
    assert "serving.yaml is not the file of Knative 1.23.0." in err
    assert command.machine.lines("kind create") == []


def test_images_from_archives(command: Command, tmp_path: Path) -> None:
    import io
    import tarfile

    images = tmp_path / "images"
    images.mkdir()
    told = json.dumps([{"RepoTags": ["kind.local/durable-playground-pod:0.1.0", "other:1"]}]).encode()
    with tarfile.open(images / "all.tar", "w") as tar:
        member = tarfile.TarInfo("manifest.json")
        member.size = len(told)
        tar.addfile(member, io.BytesIO(told))
    status, out, _ = create(command, "--images", str(images))
    assert status == 0
    assert "images of all.tar (2 images" in out
    assert command.machine.lines("docker build") == []
    assert command.machine.lines("kind load") == [
        f"kind load image-archive {images / 'all.tar'} --name durable-playground"
    ]
    (images / "all.tar").write_text("nonsense")
    status, _, err = command("load", str(images / "all.tar"))
    assert status == 1
    assert "is no archive of images" in err


def test_load_builds_and_restarts_the_ledger(command: Command, cluster: Cluster) -> None:
    status, _, err = command("load")
    assert status == 1
    assert "There is no kind cluster durable-playground." in err
    create(command)
    status, out, _ = command("load")
    assert status == 0
    assert "the ledger, with that image" in out
    ledger = cluster.objects["apps/v1", "deployments", "playground", "ledger"]
    assert "durable-playground/loaded-at" in ledger["spec"]["template"]["metadata"]["annotations"]


def test_status(command: Command, cluster: Cluster) -> None:
    status, _, err = command("status")
    assert status == 1
    assert "There is no cluster for this playground." in err
    create(command)
    status, out, _ = command("status")
    assert status == 0, out
    for line in ("1.23.0, all 1 deployments ready", "admin http://127.0.0.1:40070", "http://127.0.0.1:40081"):
        assert line in out
    del cluster.objects["apps/v1", "statefulsets", "playground", "restate"]
    status, out, _ = command("status")
    assert status == 1
    assert "is not there" in out


def test_status_of_a_node_that_was_stopped(command: Command, cluster: Cluster) -> None:
    create(command)
    told = yaml.safe_load((command.data / "kubeconfig").read_text())
    told["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:1"
    (command.data / "kubeconfig").write_text(yaml.safe_dump(told))
    status, _, err = command("status")
    assert status == 1
    assert "The cluster of context kind-durable-playground cannot be reached." in err
    assert "Fix: python -m playground cluster create" in err


def test_delete_removes_a_whole_cluster(command: Command) -> None:
    create(command)
    status, out, _ = command("delete")
    assert status == 0
    assert f"node {NODE} (removed" in out
    assert not (command.data / "cluster.json").exists()
    assert not (command.data / "kubeconfig").exists()
    [line] = command.machine.lines("kind delete")
    assert line.endswith(f"--kubeconfig {command.data / 'kubeconfig'}")
    assert command("delete")[1] == "Nothing to remove.\n"


def test_delete_removes_a_half_made_one_without_kind(command: Command) -> None:
    command.machine.rule("kind create", exit=137, leaves=NODE)
    create(command)
    (command.machine.home / "kind").unlink()
    assert command("delete")[0] == 0
    assert command.machine.lines("docker rm") == [f"docker rm --force --volumes {NODE}"]


def test_delete_when_kind_fails(command: Command) -> None:
    create(command)
    command.machine.rule("kind delete", exit=1, err="cannot")
    assert command("delete")[0] == 0
    assert command.machine.lines("docker rm")


def test_delete_when_nothing_helps(command: Command) -> None:
    create(command)
    command.machine.rule("kind delete", exit=1, err="cannot")
    command.machine.rule("docker rm", exit=1, err="device or resource busy")
    status, _, err = command("delete")
    assert status == 1
    assert "device or resource busy" in err
    assert f"docker rm --force --volumes {NODE}" in err


def test_nothing_of_ours_is_privileged(command: Command, cluster: Cluster) -> None:
    create(command)
    for key in (("statefulsets", "restate"), ("deployments", "ledger")):
        template = cluster.objects["apps/v1", key[0], "playground", key[1]]["spec"]["template"]
        assert template["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in template["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert yaml.safe_dump(cluster.objects["v1", "namespaces", "", "playground"]).count("baseline") == 1
