"""What playgrounds of this user have left on this machine: data directories, and processes.

A playground without a data directory of its own makes `durable-playground-…` in the system's temporary
directory. While it lives, the file `keeper.pid` in there names its keeper, the one process that is
the parent of all its others (see `keeper`). So a directory whose keeper is gone belongs to nobody, and
a server or pod that its parent has left alone is a stray. There should never be either: the keeper ends
and removes all, whatever happens to the kernel. Only where there is no keeper yet, or where it was killed together
with the kernel, something stays; the next playground that opens takes it away (`sweep`).
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
# Whoever adopts a process whose parent died. Pid 1 alone may also be the kernel itself, in a container.
_ADOPTERS = {"systemd", "init", "launchd", "tini", "docker-init", "catatonit"}


@dataclass(frozen=True)
class DataDir:
    """A temporary data directory.

    Attributes:
        path: the directory.
        size: of the files in it, in bytes.
        alive: whether a playground uses it.
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
    found = []
    for path in _directories():
        try:
            found.append(DataDir(path, tree_size(path), _is_alive(path)))
        except FileNotFoundError:
            continue  # its playground was closed while we looked
    return found


def sweep() -> None:
    """Take away the data directories, and the shortcuts to sockets, of this user's playgrounds that are no more.

    A directory is its opener's from the beginning, and then its keeper's: that process is named in it.
    """
    for path in _directories():
        if not _lives(path):
            shutil.rmtree(path, ignore_errors=True)
    for shortcut in sockets.shortcuts():
        try:
            led_to = (shortcut / sockets.LINK).readlink()
        except OSError:
            continue  # its playground was closed while we looked
        if _keeper_of(led_to) is None and not _is_young(shortcut):
            shutil.rmtree(shortcut, ignore_errors=True)


def _directories() -> list[Path]:
    found = []
    for path in sorted(Path(tempfile.gettempdir()).glob(PREFIX + "*")):
        try:
            if path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.getuid():
                found.append(path)
        except FileNotFoundError:
            continue
    return found


def _lives(directory: Path) -> bool:
    try:
        return _is_alive(directory)
    except FileNotFoundError:
        return True  # whoever is closing it removes it


def tree_size(folder: Path) -> int:
    """The bytes of all files in a folder that may be changing."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except FileNotFoundError:
                continue
    return total


def strays() -> list[Stray]:
    """The processes of this user's playgrounds that have outlived them."""
    keepers = {pid for directory in data_dirs() if (pid := _keeper_of(directory.path)) is not None}
    ours: dict[int, psutil.Process] = {}
    names: dict[int, str] = {}
    for process in psutil.process_iter():
        try:
            if process.uids().real == os.getuid() and (name := _role(process)):
                ours[process.pid], names[process.pid] = process, name
        except psutil.Error:
            continue
    found = []
    for pid, process in sorted(ours.items()):
        try:
            if _is_stray(process, ours, keepers):
                found.append(Stray(pid, names[pid]))
        except psutil.Error:
            continue
    return found


def _role(process: psutil.Process) -> str | None:
    if process.status() == psutil.STATUS_ZOMBIE:
        return None
    if process.name() == _SERVER:
        # A server somebody runs for purposes of their own is none of our business.
        environment = process.environ()
        return _SERVER if any(PREFIX in environment.get(name, "") for name in ("RESTATE_BASE_DIR", "TMPDIR")) else None
    arguments = process.cmdline()[1:5]
    return next((module for module in (_KEEPER, _POD) if module in arguments), None)


def _is_stray(process: psutil.Process, ours: dict[int, psutil.Process], keepers: set[int]) -> bool:
    """Whether the topmost process of ours above this one was left alone by its parent."""
    while (parent := process.ppid()) in ours:
        process = ours[parent]
    # The command line does not tell: a forked pod has its keeper's. A keeper may rightly be a child of pid 1.
    return process.pid not in keepers and (parent == 1 or psutil.Process(parent).name() in _ADOPTERS)


def _is_alive(directory: Path) -> bool:
    if (directory / "keeper.pid").exists():
        return _keeper_of(directory) is not None
    return _is_young(directory)


def _is_young(directory: Path) -> bool:
    """Whether a keeper may still be on its way; a directory that has none after that is nobody's."""
    return time.time() - directory.stat().st_mtime < _STARTING_SECONDS


def _keeper_of(directory: Path) -> int | None:
    """The pid of the directory's living keeper."""
    file = directory / "keeper.pid"
    try:
        pid, written = int(file.read_text().split()[0]), file.stat().st_mtime
        # A process younger than the file has only been given the same number.
        return pid if psutil.Process(pid).create_time() <= written + 1 else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
