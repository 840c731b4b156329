"""Where the server's sockets are: in its data directory, by a path that can be used for one.

A Unix socket's path has 103 bytes at most, and the server puts its own into a URL, where only plain characters are
safe. A data directory's path may be longer and have any characters: TMPDIR can be deep, a home can be anybody's.
Then a private directory in a short place gets a symlink to the data directory, and everything that names a
socket goes by it. The keeper removes it at the end; one whose keeper was killed is removed when the next is made.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playground.errors import StartError

NODE = "playground"
"""The server's name for itself; the default is the host's name. It names a directory."""
MAX_PATH = 103
"""Bytes: macOS takes no more, Linux 107."""
PREFIX = "pg-sockets-"
LINK = "data"

_PLAIN = re.compile(r"[A-Za-z0-9/._+-]+")


class Sockets:
    """The paths of a server's sockets.

    Args:
        directory: the playground's data directory.

    Attributes:
        base: the server's own directory, by a path that can be used.
        shortcut: what was made to get there and has to be removed, or None.

    Raises:
        StartError: there is no place for a shortcut.
    """

    def __init__(self, directory: Path) -> None:
        self.shortcut: Path | None = None
        own = directory / "restate"
        own.mkdir(mode=0o700, exist_ok=True)
        own.chmod(0o700)  # whoever may look into the data directory: the sockets are its owner's alone
        if not _usable(own):
            self.shortcut = _shortcut(directory)
            own = self.shortcut / LINK / "restate"
        self.base = own

    @property
    def ingress(self) -> Path:
        """The ingress's."""
        return self.base / NODE / "ingress.sock"

    @property
    def admin(self) -> Path:
        """The admin API's."""
        return self.base / NODE / "admin.sock"

    @property
    def fabric(self) -> Path:
        """The one the server speaks to itself by."""
        return self.base / NODE / "fabric.sock"

    def close(self) -> None:
        """Remove the shortcut. What it led to stays."""
        if self.shortcut is not None:
            shutil.rmtree(self.shortcut, ignore_errors=True)


def shortcuts() -> Iterator[Path]:
    """All shortcuts of this user, whether they are in use or not."""
    for place in _places():
        for path in place.glob(PREFIX + "*"):
            try:
                if (path / LINK).is_symlink() and path.lstat().st_uid == os.getuid():
                    yield path
            except OSError:
                continue  # it was removed while we looked, or is another's


def _usable(base: Path) -> bool:
    path = str(base / NODE / "ingress.sock")
    return len(os.fsencode(path)) <= MAX_PATH and _PLAIN.fullmatch(path) is not None


def _shortcut(directory: Path) -> Path:
    for place in _places():
        try:
            made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))  # its owner's alone
        except OSError:
            continue
        if _usable(made / LINK / "restate"):
            (made / LINK).symlink_to(directory)
            return made
        made.rmdir()
    raise StartError(
        f"The data directory {directory} has too long a name for the server's sockets.",
        f"A socket's path has {MAX_PATH} bytes at most, and there is no place for a shorter one.",
        "Name a directory with a shorter path: Playground.open(data_dir=...)",
    )


def _places() -> list[Path]:
    """Where a short path can be made, best first; what is there once is not named twice."""
    named = (os.environ.get("XDG_RUNTIME_DIR"), "/tmp", "/var/tmp", tempfile.gettempdir())  # noqa: S108
    return list(dict.fromkeys(Path(name) for name in named if name and os.path.isdir(name)))
