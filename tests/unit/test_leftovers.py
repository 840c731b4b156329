"""What a dead playground leaves: told from what a living one uses, with real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from playground.backends.local.leftovers import data_dirs, strays
from playground.core.paths import DIRECTORY_PREFIX as PREFIX

# Starts the server in a session of its own, says its pid, and stays until its stdin closes.
PARENT = """
import os, subprocess, sys
server = subprocess.Popen([sys.argv[1], "60"], env={"RESTATE_BASE_DIR": sys.argv[2]}, start_new_session=True)
print(server.pid, flush=True)
sys.stdin.read()
os._exit(0)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def playground(temporary: Path, name: str, keeper: int | None, age: float = 0) -> Path:
    directory = temporary / f"{PREFIX}{name}"
    directory.mkdir()
    (directory / "journal").write_bytes(b"x" * 1000)
    if keeper is not None:
        (directory / "keeper.pid").write_text(str(keeper))
    os.utime(directory, (time.time() - age,) * 2)
    return directory


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_directory_lives_as_long_as_its_keeper(temporary: Path) -> None:
    playground(temporary, "a-living", os.getpid())
    playground(temporary, "b-dead", dead_pid())
    playground(temporary, "c-starting", None)
    playground(temporary, "d-never-kept", None, age=3600)
    (temporary / f"{PREFIX}e-file").write_text("no directory")
    (temporary / "somebody-elses").mkdir()
    found = {directory.path.name.removeprefix(PREFIX): directory for directory in data_dirs()}
    assert {name: directory.alive for name, directory in found.items()} == {
        "a-living": True,
        "b-dead": False,
        "c-starting": True,
        "d-never-kept": False,
    }
    assert found["d-never-kept"].size == 1000


def test_a_pid_given_to_somebody_else_keeps_nothing(temporary: Path) -> None:
    file = playground(temporary, "reused", os.getpid()) / "keeper.pid"
    before_this_process = psutil.Process().create_time() - 3600
    os.utime(file, (before_this_process,) * 2)
    assert [directory.alive for directory in data_dirs()] == [False]


@pytest.fixture
def server(temporary: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process called restate-server on a playground's data, and its parent."""
    program = temporary / "restate-server"
    shutil.copy("/bin/sleep", program)
    directory = playground(temporary, "served", None)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(program), str(directory / "restate")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    yield parent, pid
    parent.stdin.close()
    parent.wait()
    parent.stdout.close()
    psutil.Process(pid).kill()


def test_a_server_whose_parent_is_gone_is_a_stray(server: tuple[subprocess.Popen[str], int]) -> None:
    parent, pid = server
    assert pid not in [stray.pid for stray in strays()]
    parent.kill()
    parent.wait()
    assert [stray.name for stray in strays() if stray.pid == pid] == ["restate-server"]


def test_a_server_of_somebody_elses_is_none_of_ours(temporary: Path) -> None:
    program = temporary / "restate-server"
    shutil.copy("/bin/sleep", program)
    script = f"import subprocess as s; print(s.Popen(['{program}', '60'], stdout=s.DEVNULL, stderr=s.DEVNULL).pid)"
    pid = int(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
    try:
        assert psutil.Process(pid).name() == "restate-server"
        assert pid not in [stray.pid for stray in strays()]
    finally:
        psutil.Process(pid).kill()
