"""The command line, run as a learner runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from playground.backends.local.binary import ENVIRONMENT
from playground.core.paths import DIRECTORY_PREFIX as PREFIX
from playground.restate.version import SERVER_VERSION


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A machine with an empty cache, an empty temporary directory, and nothing on PATH."""
    for name in ("cache", "tmp", "bin"):
        (tmp_path / name).mkdir()
    kept = {name: value for name, value in os.environ.items() if name != ENVIRONMENT}
    places = {name: str(tmp_path / folder) for name, folder in (("PATH", "bin"), ("TMPDIR", "tmp"))}
    return {**kept, **places, "XDG_CACHE_HOME": str(tmp_path / "cache"), "NO_COLOR": "1", "COLUMNS": "200"}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "playground", *arguments], env=environment, capture_output=True, text=True, timeout=60
    )


def get(url: str) -> str:
    """Jupyter prints its address a moment before it listens there."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return str(answer.read().decode())
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError) or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def put_server(tmp_path: Path) -> Path:
    path = tmp_path / "cache" / "durable-playground" / f"restate-server-{SERVER_VERSION}" / "restate-server"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho restate-server {SERVER_VERSION}\n")
    path.chmod(0o755)
    return path


def test_help_lists_the_commands_and_imports_little(environment: dict[str, str]) -> None:
    done = run(environment, "--help")
    assert done.returncode == 0
    for command in ("doctor", "lab", "notebooks", "server", "clean"):
        assert f" {command} " in done.stdout
    heavy = "'jupyterlab', 'restate', 'nbclient', 'httpx', 'psutil', 'playground.session'"
    script = f"import sys, playground.__main__; print([name for name in [{heavy}] if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"


def test_server_says_where_it_is(environment: dict[str, str], tmp_path: Path) -> None:
    path = put_server(tmp_path)
    done = run(environment, "server", "--json")
    assert json.loads(done.stdout) == {
        "path": str(path),
        "version": SERVER_VERSION,
        "source": "an earlier download",
        "notes": [],
    }
    assert str(path) in run(environment, "server").stdout


def test_an_error_has_no_traceback(environment: dict[str, str]) -> None:
    done = run(environment, "server")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"There is no restate-server {SERVER_VERSION} on this machine.\nWhy: ")
    assert "\nFix: " in done.stderr
    assert "Traceback" not in done.stderr


def test_clean_removes_what_nobody_uses(environment: dict[str, str], tmp_path: Path) -> None:
    server = put_server(tmp_path)
    dead, alive = (tmp_path / "tmp" / f"{PREFIX}{name}" for name in ("dead", "alive"))
    for directory in (dead, alive):
        directory.mkdir()
        (directory / "journal").write_bytes(b"x" * 2_000_000)
    os.utime(dead, (0, 0))
    (alive / "keeper.pid").write_text(str(os.getpid()))

    first = run(environment, "clean")
    assert first.returncode == 0
    assert f"removed: {dead} (2.0 MB)" in first.stdout
    assert f"kept, because a playground is using it: {alive}" in first.stdout
    assert (dead.exists(), alive.exists(), server.exists()) == (False, True, True)

    (alive / "keeper.pid").unlink()
    os.utime(alive, (0, 0))
    assert f"removed: {alive}" in run(environment, "clean", "--keep-server").stdout
    assert server.exists()
    assert f"removed: {tmp_path}/cache/durable-playground" in run(environment, "clean").stdout
    assert not server.exists()
    assert run(environment, "clean").stdout == "Nothing to remove.\n"


def test_lab_says_what_it_lacks(environment: dict[str, str]) -> None:
    environment[ENVIRONMENT] = "/nowhere/restate-server"
    done = run(environment, "lab")
    assert done.returncode == 1
    assert "/nowhere/restate-server is not there." in done.stderr
    assert "Fix: " in done.stderr


def test_lab_opens_the_first_notebook_on_loopback(environment: dict[str, str], tmp_path: Path) -> None:
    environment |= {"HOME": str(tmp_path), "PYTHONUNBUFFERED": "1", "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}
    options = ["--no-server", "--", "--no-browser", "--ServerApp.base_url=/given/"]
    process = subprocess.Popen(
        [sys.executable, "-m", "playground", "lab", *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    deadline = threading.Timer(60, process.kill)
    deadline.start()
    try:
        told = ""
        while not (found := re.search(r"(http://127\.0\.0\.1:\d+/given)(/lab/tree/\S*)\?token=(\w+)", told)):
            line = process.stdout.readline()
            assert line, told
            told += line
        origin, notebook, token = found.groups()
        assert notebook == "/lab/tree/notebooks/00-start-here.ipynb"
        assert "JupyterLab" in get(found[0])
        setting = "/lab/api/settings/@jupyterlab/apputils-extension:notification"
        properties = json.loads(get(f"{origin}{setting}?token={token}"))["schema"]["properties"]
        assert properties["fetchNews"]["default"] == "false"
        assert properties["checkForUpdates"]["default"] is False
        # The command has become JupyterLab: one Ctrl-C asks, a second one ends it.
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        process.communicate()
        assert process.returncode in (0, -signal.SIGINT)  # Python may be on its way out already when it comes
    finally:
        deadline.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


def test_notebooks_without_such_a_name(environment: dict[str, str]) -> None:
    done = run(environment, "notebooks", "no-such-lesson")
    assert done.returncode == 1
    assert done.stderr.startswith("There is no notebook 'no-such-lesson'.\nWhy: ")
