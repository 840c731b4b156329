"""`doctor --cluster`: each check sees its fault, and names the line that helps."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest

from playground.cli import cluster_checks as checks
from playground.cli import doctor
from tests.unit.knative_setup.standin import Machine


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("KIND_EXPERIMENTAL_PROVIDER", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    made = Machine(tmp_path / "bin")
    made.rule("{{.MemTotal}}", out="8000000000")
    made.rule("{{.DockerRootDir}}", out=str(tmp_path))
    return made


def test_they_are_asked_for(machine: Machine) -> None:
    plain = {check.name for check in doctor.run_checks()}
    more = {check.name for check in doctor.run_checks(cluster=True)}
    assert more - plain == {
        "container engine",
        "kind",
        "kubectl",
        "inotify",
        "memory for a cluster",
        "disk for a cluster",
        "proxy for a cluster",
        "cluster",
    }


def test_what_is_not_ok_has_a_fix(machine: Machine) -> None:
    for check in checks.CLUSTER_CHECKS:
        found = check()
        assert bool(found.fix) == (found.ok is not True), found


def test_engine(machine: Machine) -> None:
    assert checks.check_engine().found == "docker 99.0"
    machine.forget()
    machine.rule("docker info", exit=1, err="permission denied while trying to connect")
    check = checks.check_engine()
    assert check.ok is False
    assert "permission denied" in check.found


def test_kind(machine: Machine) -> None:
    assert checks.check_kind().ok is True
    machine.rule("kind version", out="kind v0.9.0 go1.16 linux/amd64")
    check = checks.check_kind()
    assert (check.ok, check.found) == (None, "0.9.0; the node image is made for 0.32.0 and newer")
    (machine.home / "kind").unlink()
    assert checks.check_kind().ok is False


def test_kubectl_is_not_needed(machine: Machine) -> None:
    assert checks.check_kubectl().ok is None
    machine.install("kubectl")
    machine.rule("kubectl version", out="Client Version: v1.36.1")
    assert checks.check_kubectl().found == "v1.36.1"


@pytest.mark.parametrize(("watches", "instances", "ok"), [(524288, 512, True), (8192, 512, None), (8192, 128, None)])
def test_inotify(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watches: int, instances: int, ok: bool | None
) -> None:
    monkeypatch.setattr(checks, "_INOTIFY_DIRECTORY", tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    (tmp_path / "max_user_watches").write_text(f"{watches}\n")
    (tmp_path / "max_user_instances").write_text(f"{instances}\n")
    check = checks.check_inotify()
    assert check.ok is ok
    assert ("sudo sysctl fs.inotify.max_user_watches=524288" in check.fix) is (ok is None)
    assert ("max_user_instances=512" in check.fix) is (instances < 512)


def test_memory(machine: Machine) -> None:
    assert checks.check_cluster_memory().found == "8.0 GB"
    machine.forget()
    machine.rule("{{.MemTotal}}", out="2000000000")
    check = checks.check_cluster_memory()
    assert (check.ok, check.found) == (False, "2.0 GB, 4 GB needed")


def test_disk(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage(0, 0, 20e9))
    assert checks.check_cluster_disk().ok is True
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage(0, 0, 2e9))
    check = checks.check_cluster_disk()
    assert check.ok is False
    assert "docker system prune" in check.fix
    monkeypatch.undo()


def test_a_disk_that_is_the_engines_own(machine: Machine) -> None:
    machine.forget()
    machine.rule("{{.DockerRootDir}}", out="/var/lib/nowhere/at/all")
    assert checks.check_cluster_disk().ok is None


def test_a_proxy_that_a_node_cannot_reach(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://localhost:3128")
    check = checks.check_cluster_proxy()
    assert check.ok is False
    assert "loopback" in check.found


def test_a_proxy_that_would_get_the_clusters_names(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    check = checks.check_cluster_proxy()
    assert check.ok is None
    assert 'export NO_PROXY=".svc,.cluster.local' in check.fix
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost,.svc,.cluster.local")
    assert checks.check_cluster_proxy().ok is True


def test_cluster(machine: Machine, tmp_path: Path) -> None:
    assert checks.check_cluster().fix == "python -m playground cluster create"
