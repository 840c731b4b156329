"""What this user's playgrounds have left behind on this machine: data directories and processes.

A playground that is not given a data directory makes one, `durable-playground-…`, in the system's temporary directory.
While it lives, the file `keeper.pid` in there names its keeper, the parent of all its processes (see `keeper`). So a
directory whose keeper is gone belongs to nobody, and a server or pod without its parent is a stray. Neither should
ever exist, because the keeper ends and removes everything, whatever happens to the kernel. Something remains only if
there was no keeper yet, or if it was killed together with the kernel. The next playground removes that (`sweep`).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from playground.backends.local import sockets
from playground.core.paths import DIRECTORY_PREFIX as PREFIX

_STARTING_SECONDS = 60.0
_KEEPER, _POD, _SERVER = "playground.backends.local.keeper", "playground.pod", "restate-server"
# The processes that adopt one whose parent died. Pid 1 alone is not enough: in a container it may be the kernel.
_ADOPTERS = {"systemd", "init", "launchd", "tini", "docker-init", "catatonit"}


@dataclass(frozen=True)
class DataDir:
    """A temporary data directory.

    Attributes:
        path: the directory.
        size: of its files, in bytes.
        alive: whether a playground is using it.
    """

    path: Path
    size: int
    alive: bool


@dataclass(frozen=True)
class Stray:
    """A process of a dead playground."""

    pid: int
    name: str


def data_dirs() -> list[DataDir]:
    """All temporary data directories of this user, by name."""
    directories = []
    for path in _directories():
        try:
            directories.append(DataDir(path, tree_size(path), _is_alive(path)))
        except FileNotFoundError:
            continue  # its playground was closed while we looked
    return directories


def sweep() -> None:
    """Remove what dead playgrounds of this user have left: data directories and shortcuts to sockets.

    A directory belongs to the process that its file names: first whoever opens the playground, then the keeper.
    """
    for path in _directories():
        if not _lives(path):
            shutil.rmtree(path, ignore_errors=True)
    for shortcut in sockets.shortcuts():
        try:
            target = (shortcut / sockets.LINK).readlink()
        except OSError:
            continue  # its playground was closed while we looked
        if _keeper_of(target) is None and not _is_young(shortcut):
            shutil.rmtree(shortcut, ignore_errors=True)


def _directories() -> list[Path]:
    directories = []
    for path in sorted(Path(tempfile.gettempdir()).glob(PREFIX + "*")):
        try:
            if path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.getuid():
                directories.append(path)
        except FileNotFoundError:
            continue
    return directories


def _lives(directory: Path) -> bool:
    try:
        return _is_alive(directory)
    except FileNotFoundError:
        return True  # it is being closed, which removes it


def tree_size(folder: Path) -> int:
    """The total size of the files in a folder, which may be changing."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except FileNotFoundError:
                continue
    return total


def strays() -> list[Stray]:
    """Processes of this user's playgrounds that have outlived them."""
    keepers = {pid for directory in data_dirs() if (pid := _keeper_of(directory.path)) is not None}
    ours: dict[int, psutil.Process] = {}
    names: dict[int, str] = {}
    for process in psutil.process_iter():
        try:
            if process.uids().real == os.getuid() and (name := _role(process)):
                ours[process.pid], names[process.pid] = process, name
        except psutil.Error:
            continue
    alone = []
    for pid, process in sorted(ours.items()):
        try:
            if _is_stray(process, ours, keepers):
                alone.append(Stray(pid, names[pid]))
        except psutil.Error:
            continue
    return alone


def _role(process: psutil.Process) -> str | None:
    if process.status() == psutil.STATUS_ZOMBIE:
        return None
    if process.name() == _SERVER:
        # A server that somebody runs for other purposes is none of our business.
        environment = process.environ()
        return _SERVER if any(PREFIX in environment.get(name, "") for name in ("RESTATE_BASE_DIR", "TMPDIR")) else None
    arguments = process.cmdline()[1:5]
    return next((module for module in (_KEEPER, _POD) if module in arguments), None)


def _is_stray(process: psutil.Process, ours: dict[int, psutil.Process], keepers: set[int]) -> bool:
    """Whether the topmost of our processes above this one has lost its parent."""
    while (parent := process.ppid()) in ours:
        process = ours[parent]
    # The command line does not show it: a forked pod has its keeper's. A keeper may rightly be a child of pid 1.
    return process.pid not in keepers and (parent == 1 or psutil.Process(parent).name() in _ADOPTERS)


def _is_alive(directory: Path) -> bool:
    if (directory / "keeper.pid").exists():
        return _keeper_of(directory) is not None
    return _is_young(directory)


def _is_young(directory: Path) -> bool:
    """Whether its keeper may still be starting. A directory without one after that belongs to nobody."""
    return time.time() - directory.stat().st_mtime < _STARTING_SECONDS


def _keeper_of(directory: Path) -> int | None:
    """The pid of the directory's keeper, if that is alive."""
    file = directory / "keeper.pid"
    try:
        pid, written = int(file.read_text().split()[0]), file.stat().st_mtime
        # A process younger than the file is another one that was given the same pid.
        return pid if psutil.Process(pid).create_time() <= written + 1 else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
