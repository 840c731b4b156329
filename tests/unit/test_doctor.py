"""The doctor: each check sees its fault, and names the line that helps."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from playground.backends.local.binary import ENVIRONMENT
from playground.cli import doctor
from playground.core.check import Check
from playground.core.paths import DIRECTORY_PREFIX as PREFIX


def test_every_check_answers_and_what_is_not_ok_has_a_fix() -> None:
    checks = doctor.run_checks()
    assert len({check.name for check in checks}) == len(doctor.CHECKS)
    for check in checks:
        assert "the check itself failed" not in check.found
        assert check.found
        assert bool(check.fix) == (check.ok is not True), check


def test_a_check_that_breaks_is_a_failure_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_luck() -> Check:
        raise ZeroDivisionError("none")

    monkeypatch.setattr(doctor, "CHECKS", (check_luck,))
    assert doctor.run_checks() == [
        Check("luck", False, "the check itself failed: ZeroDivisionError: none", "Please report this.")
    ]


def test_an_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NEEDED_PYTHON", (99, 0))
    check = doctor.check_python()
    assert check.ok is False
    assert "rm -r .venv; make lab" in check.fix


def test_another_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/usr")
    check = doctor.check_environment()
    assert (check.ok, check.found) == (None, "/usr")
    assert "make lab" in check.fix


@pytest.mark.parametrize(("name", "ok"), [("restate-sdk", False), ("pygments", None)])
def test_a_package_of_another_version(monkeypatch: pytest.MonkeyPatch, name: str, ok: bool | None) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda asked: "0.0.1" if asked == name else real(asked))
    check = doctor.check_packages()
    assert check.ok is ok
    assert f"{name} 0.0.1, not " in check.found
    assert check.fix.endswith("-m pip install -r requirements.txt")


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    check = doctor.check_packages()
    assert check.ok is False
    assert "missing, not " in check.found
    assert "more" in check.found


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No server anywhere, and no npm."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.setattr(doctor, "npm_commands", list)
    return tmp_path


def test_no_server_but_an_npm_is_only_a_download_away(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "npm_commands", lambda: [["npm"]])
    check = doctor.check_server()
    assert check.ok is None
    assert "python -m playground server --fetch" in check.fix


def test_no_server_and_no_npm(bare: Path) -> None:
    server, npm = doctor.check_server(), doctor.check_npm()
    assert (server.ok, npm.ok) == (False, False)
    assert "There is no restate-server on PATH." in server.found
    assert "pip install -r requirements.txt" in npm.fix


def test_a_server_named_wrong_fails(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(bare / "nothing"))
    check = doctor.check_server()
    assert check.ok is False
    assert f"{bare / 'nothing'} is not there." in check.found
    assert f"unset {ENVIRONMENT}" in check.fix


def test_no_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(socket, "create_server", refuse)
    check = doctor.check_loopback()
    assert check.ok is False
    assert "Operation not permitted" in check.found
    assert "127.0.0.1" in check.fix


@pytest.mark.parametrize(
    ("exempt", "ok"), [("", None), ("127.0.0.1", None), ("127.0.0.1,localhost", True), ("*", True)]
)
def test_a_proxy(monkeypatch: pytest.MonkeyPatch, exempt: str, ok: bool | None) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", exempt)
    check = doctor.check_proxy()
    assert check.ok is ok
    assert check.found.startswith("HTTPS_PROXY, HTTP_PROXY set")
    assert ok or "export NO_PROXY=" in check.fix


def test_a_container_with_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("1500000000\n")
    (tmp_path / "memory.current").write_text("1000000000\n")
    monkeypatch.setattr(doctor, "_CGROUP", tmp_path)
    check = doctor.check_memory()
    assert (check.ok, check.found) == (False, "0.5 GB free, 1 GB needed")
    assert "memory" in check.fix


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NEEDED_DISK", 10**18)
    check = doctor.check_disk()
    assert check.ok is False
    assert tempfile.gettempdir() in check.found
    assert "export TMPDIR=" in check.fix


def test_a_temporary_directory_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    check = doctor.check_temporary()
    assert check.ok is False
    assert "No such file or directory" in check.found
    assert "export TMPDIR=" in check.fix


def test_a_system_where_pods_are_spawned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert doctor.check_fork().ok is None


def test_leftovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(doctor, "strays", list)
    assert doctor.check_strays().ok is True
    (tmp_path / f"{PREFIX}old").mkdir()
    os.utime(tmp_path / f"{PREFIX}old", (0, 0))
    check = doctor.check_strays()
    assert check.ok is None
    assert "1 data directories of dead playgrounds, 0.0 MB" in check.found
    assert check.fix == "python -m playground clean --keep-server"


def test_jupyterlab_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    check = doctor.check_jupyter()
    assert (check.ok, check.found) == (False, "not installed")
    assert "pip install -r requirements.txt" in check.fix


def test_the_command_prints_the_fix_and_fails(tmp_path: Path) -> None:
    """A shell with few file descriptors, as it happens on macOS."""
    done = subprocess.run(
        ["sh", "-c", f"ulimit -n 256; exec {sys.executable} -m playground doctor"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "FAIL  open files" in done.stdout
    assert "fix: ulimit -n 4096" in done.stdout
    assert "These need a fix: open files" in done.stdout
