"""`cluster adopt` and `cluster delete` on a stand-in for a cluster that is there already."""

from __future__ import annotations

import json
import shlex
import stat
from pathlib import Path

import pytest
import yaml

from playground.backends.knative.learners import names
from tests.unit.knative_setup.conftest import SERVING, Command
from tests.unit.knative_setup.standin import Cluster, write_kubeconfig

OURS = {"app.kubernetes.io/part-of": "durable-playground"}


@pytest.fixture
def kubeconfig(command: Command, cluster: Cluster) -> Path:
    """A user's kubeconfig, which KUBECONFIG names."""
    for one in SERVING:
        cluster.put(one | {"status": {"readyReplicas": 1}})
    file = write_kubeconfig(command.directory.parent / "kubeconfig", cluster.kubeconfig())
    command.environment["KUBECONFIG"] = str(file)
    return file


def saved(command: Command) -> dict[str, str]:
    told: dict[str, str] = json.loads((command.data / "cluster.json").read_text())
    return told


def test_adopt_and_delete(command: Command, cluster: Cluster, kubeconfig: Path) -> None:
    before = kubeconfig.read_text()
    status, out, err = command("adopt", "--context", "test", "--namespace", "ada")
    assert (status, err) == (0, "")
    assert "namespace ada (made, " in out
    assert cluster.names("StatefulSet") == ["ada/restate"]
    told = saved(command)
    assert (told["kubeconfig"], told["context"], told["namespace"]) == (str(kubeconfig), "test", "ada")
    assert told["ingress_url"] is None
    assert cluster.objects["v1", "services", "ada", "restate"]["spec"]["type"] == "ClusterIP"
    assert command("status")[0] == 0
    status, out, _ = command("delete")
    assert status == 0
    assert "and the namespace, which was made by `cluster adopt`" in out
    assert [key for key in cluster.objects if "ada" in key] == []
    assert not (command.data / "cluster.json").exists()
    # Neither kind nor the engine was needed, and the kubeconfig is as it was.
    assert kubeconfig.read_text() == before
    assert command.machine.lines("kind") == []


def test_no_context_was_named(command: Command, kubeconfig: Path) -> None:
    status, _, err = command("adopt")
    assert status == 1
    assert err.startswith("Which cluster? No context was named.\nWhy: ")
    assert "has: test." in err


@pytest.mark.parametrize("arguments", [["--context", "other"], ["--kubeconfig", "{file}", "--context", "other"]])
def test_no_such_context(command: Command, kubeconfig: Path, arguments: list[str]) -> None:
    status, _, err = command("adopt", *(one.format(file=kubeconfig) for one in arguments))
    assert status == 1
    assert "There is no context other." in err
    assert "has: test." in err


@pytest.mark.parametrize("text", ["[1, 2", "- 1", "contexts: [{}]", "contexts: 3"])
def test_no_kubeconfig(command: Command, kubeconfig: Path, text: str) -> None:
    kubeconfig.write_text(text)
    status, _, err = command("adopt", "--kubeconfig", str(kubeconfig), "--context", "test")
    assert status == 1
    assert f"{kubeconfig} is no kubeconfig." in err


def test_nobody_answers(command: Command, cluster: Cluster, kubeconfig: Path) -> None:
    told = cluster.kubeconfig()
    told["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:1"
    write_kubeconfig(kubeconfig, told)
    status, _, err = command("adopt", "--context", "test")
    assert status == 1
    assert "The cluster of context test cannot be reached." in err
    assert "http://127.0.0.1:1: " in err


def test_a_proxy_does_not_come_between(command: Command, kubeconfig: Path) -> None:
    command.environment |= {"HTTP_PROXY": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1"}
    for name in ("NO_PROXY", "no_proxy"):
        command.environment.pop(name, None)
    assert command("adopt", "--context", "test", "--namespace", "ada")[0] == 0


def test_a_named_file_brings_its_context_and_namespace(command: Command, cluster: Cluster) -> None:
    for one in SERVING:
        cluster.put(one)
    file = write_kubeconfig(command.directory.parent / "mine", cluster.kubeconfig("mine", "class-07"))
    assert command("adopt", "--kubeconfig", str(file))[0] == 0
    assert saved(command)["namespace"] == "class-07"


@pytest.mark.parametrize("name", ["Ada", "a b", "../x", "-a", "a" * 64, "a;b", "a\nb"])
def test_no_name_for_a_namespace(command: Command, cluster: Cluster, kubeconfig: Path, name: str) -> None:
    status, _, err = command("adopt", "--context", "test", f"--namespace={name}")
    assert status == 1
    assert "cannot be the name of a namespace" in err
    assert cluster.asked == []


def test_no_knative(command: Command, cluster: Cluster, kubeconfig: Path) -> None:
    del cluster.kinds["serving.knative.dev/v1"]
    status, _, err = command("adopt", "--context", "test")
    assert status == 1
    assert "has no Knative Serving" in err


@pytest.mark.parametrize(("version", "known"), [("1.23.4", True), ("1.2.3", False), ("1.30.0", False)])
def test_another_version_of_knative_is_a_note(
    command: Command, cluster: Cluster, kubeconfig: Path, version: str, known: bool
) -> None:
    controller = cluster.objects["apps/v1", "deployments", "knative-serving", "controller"]
    meta = {**controller["metadata"], "labels": {"app.kubernetes.io/version": version}}
    cluster.put({**controller, "metadata": meta})
    status, out, _ = command("adopt", "--context", "test")
    assert status == 0
    assert (f"Version {version}: the lessons were run on 1.23." in out) is not known


def test_rights_are_missing(command: Command, cluster: Cluster, kubeconfig: Path) -> None:
    cluster.forbidden = {"namespaces", "statefulsets", "pods/log"}
    status, _, err = command("adopt", "--context", "test", "--namespace", "ada")
    assert status == 1
    assert "You lack rights in namespace ada." in err
    statefulsets = ", ".join(f"{verb} statefulsets" for verb in ("get", "list", "patch", "create", "delete"))
    assert f"You may not: get pods/log, {statefulsets}." in err
    assert "kubectl create rolebinding" in err
    assert cluster.names("Deployment") == ["knative-serving/controller"]


def test_somebody_elses_namespace(command: Command, cluster: Cluster, kubeconfig: Path) -> None:
    cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "theirs"}})
    cluster.put({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "theirs"}})
    arguments = ("adopt", "--context", "test", "--namespace", "theirs")
    status, _, err = command(*arguments)
    assert status == 1
    assert "It has objects that are not this playground's: Deployment web." in err
    assert command(*arguments, "--force")[0] == 0
    status, out, _ = command("delete")
    assert status == 0
    assert "the namespace stays" in out
    assert cluster.names("Deployment") == ["knative-serving/controller", "theirs/web"]
    assert cluster.names("StatefulSet") == []
    assert "theirs" in cluster.names("Namespace")


def test_theirs_is_in_the_way(command: Command, cluster: Cluster, kubeconfig: Path) -> None:
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "restate", "namespace": "theirs"}}
    cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "theirs"}})
    cluster.put(theirs)
    status, _, err = command("adopt", "--context", "test", "--namespace", "theirs", "--force")
    assert status == 1
    assert "There is a Service restate in namespace theirs already." in err
    assert cluster.objects["v1", "services", "theirs", "restate"] is theirs


def test_interrupted_and_deleted(command: Command, cluster: Cluster, kubeconfig: Path) -> None:
    cluster.refuse["PATCH", "statefulsets/restate"] = (403, "statefulsets is forbidden")
    status, _, err = command("adopt", "--context", "test", "--namespace", "ada")
    assert status == 1
    assert "You may not apply StatefulSet restate in namespace ada." in err
    assert cluster.names("Service") == ["ada/restate"]
    assert command("delete")[0] == 0
    assert cluster.names("Service") == []


def test_a_quota_that_is_used_up_is_not_called_a_lack_of_rights(
    command: Command, cluster: Cluster, kubeconfig: Path
) -> None:
    message = 'statefulsets.apps "restate" is forbidden: exceeded quota: theirs, requested: count/statefulsets.apps=1'
    cluster.refuse["PATCH", "statefulsets/restate"] = (403, message)
    status, _, err = command("adopt", "--context", "test", "--namespace", "ada")
    assert status == 1
    assert "Kubernetes did not apply StatefulSet restate in namespace ada." in err
    assert "ask who runs the cluster for a larger quota" in err


def test_what_cannot_be_changed(command: Command, cluster: Cluster, kubeconfig: Path) -> None:
    message = "StatefulSet is invalid: spec: Forbidden: updates to statefulset spec for fields other than …"
    cluster.refuse["PATCH", "statefulsets/restate"] = (422, message)
    status, _, err = command("adopt", "--context", "test", "--namespace", "ada")
    assert status == 1
    assert "Fix: python -m playground cluster delete" in err


def test_a_cluster_that_is_gone_can_be_forgotten(command: Command, cluster: Cluster, kubeconfig: Path) -> None:
    command("adopt", "--context", "test", "--namespace", "ada")
    kubeconfig.unlink()
    status, _, err = command("delete")
    assert status == 1
    assert "python -m playground cluster delete --forget" in err
    assert command("delete", "--forget")[0] == 0
    assert not (command.data / "cluster.json").exists()
    assert cluster.names("StatefulSet") == ["ada/restate"]


def test_the_cluster_before_is_told(command: Command, kubeconfig: Path) -> None:
    command("adopt", "--context", "test", "--namespace", "ada")
    _, out, _ = command("adopt", "--context", "test", "--namespace", "bob")
    assert "the playground in namespace ada of context test is left as it is" in out


def test_images_are_kept_unless_chosen(command: Command, cluster: Cluster, kubeconfig: Path) -> None:
    def image() -> str:
        ledger = cluster.objects["apps/v1", "deployments", "ada", "ledger"]
        return str(ledger["spec"]["template"]["spec"]["containers"][0]["image"])

    ada = ("adopt", "--context", "test", "--namespace", "ada")
    chosen = ["--image", "example.org/pod:1", "--restate-image", "example.org/restate:1", "--storage-class", "fast"]
    command(*ada, *chosen)
    assert image() == "example.org/pod:1"
    assert command(*ada)[0] == 0
    assert (image(), saved(command)["image"]) == ("example.org/pod:1", "example.org/pod:1")
    restate = cluster.objects["apps/v1", "statefulsets", "ada", "restate"]["spec"]
    assert restate["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast"
    assert restate["template"]["spec"]["containers"][0]["image"] == "example.org/restate:1"


def test_a_class(command: Command, cluster: Cluster, kubeconfig: Path, tmp_path: Path) -> None:
    arguments = ("adopt", "--context", "test", "--namespace", "class", "--output", str(tmp_path / "out"))
    status, out, err = command(*arguments, "--learners", "3")
    assert (status, err) == (0, "")
    assert "class-03" in out
    assert cluster.names("StatefulSet") == [f"class-0{number}/restate" for number in (1, 2, 3)]
    for kind in ("ResourceQuota", "LimitRange", "ServiceAccount", "Role", "RoleBinding"):
        assert len(cluster.names(kind)) == 3
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == [f"class-0{number}.kubeconfig" for number in (1, 2, 3)]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    told = yaml.safe_load(files[1].read_text())
    assert told["users"][0]["user"] == {"token": "token-of-class-02"}
    assert told["contexts"][0]["context"]["namespace"] == "class-02"
    assert told["clusters"][0]["cluster"]["server"] == cluster.url
    # The instructor's own cluster is none of the learners'.
    assert not (command.data / "cluster.json").exists()

    # A learner adopts, works, and leaves; what the instructor made stays.
    assert command("adopt", "--kubeconfig", str(files[1]))[0] == 0
    assert command("status")[0] == 0
    assert command("delete")[0] == 0
    assert cluster.names("StatefulSet") == ["class-01/restate", "class-03/restate"]
    assert "class-02" in cluster.names("Namespace")
    assert len(cluster.names("Role")) == 3, "a learner may not touch what the instructor made"

    cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "class-99", "labels": OURS}})
    status, out, _ = command("delete", "--learners", "class", "--context", "test")
    assert status == 0
    assert "3 namespaces removed" in out
    assert [name for name in cluster.names("Namespace") if name.startswith("class")] == ["class-99"]


def test_a_class_is_removed_by_the_command_that_was_told(
    command: Command, cluster: Cluster, kubeconfig: Path, tmp_path: Path
) -> None:
    elsewhere = kubeconfig.rename(tmp_path / "a class.yaml")
    del command.environment["KUBECONFIG"]
    arguments = ("--kubeconfig", str(elsewhere), "--context", "test", "--namespace", "class")
    _, out, _ = command("adopt", *arguments, "--learners", "1", "--output", str(tmp_path / "out"))
    told = next(line for line in out.splitlines() if line.startswith("To remove the class: "))
    assert command(*shlex.split(told.partition(" cluster ")[2]))[0] == 0
    assert cluster.names("StatefulSet") == []


def test_a_class_goes_into_no_other_namespace(
    command: Command, cluster: Cluster, kubeconfig: Path, tmp_path: Path
) -> None:
    cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "class-02"}})
    arguments = ("--context", "test", "--namespace", "class", "--output", str(tmp_path / "out"))
    status, _, err = command("adopt", *arguments, "--learners", "2")
    assert status == 1
    assert "1 of 2 could not be prepared: class-02." in err
    assert "is there already, and not of this class" in err
    assert cluster.names("StatefulSet") == ["class-01/restate"]


def test_names_of_a_class() -> None:
    assert names("c", 2) == ["c-01", "c-02"]
    assert names("c", 120)[-1] == "c-120"
