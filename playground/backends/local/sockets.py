"""Where the server's sockets are: in its data directory, reached by a path that is valid for sockets.

The path of a Unix socket has at most 103 bytes, and the server puts its own into a URL, where only plain characters are
safe. The path of a data directory may be longer and contain any character, depending on TMPDIR and the user's home. In
that case we make a shortcut: a private directory in a short place, with a symlink to the data directory, through which
all sockets are reached. The keeper removes it at the end. If the keeper was killed, the next playground removes it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from playground.core.paths import MAX_SOCKET_PATH, fits_socket, short_directory, short_places
from playground.errors import StartError

NODE = "playground"
"""The server's node name, which is also a directory name. The default would be the name of the host."""
PREFIX = "pg-sockets-"
LINK = "data"
LONGEST = "ingress.sock"


class Sockets:
    """The paths of a server's sockets.

    Args:
        directory: the playground's data directory.

    Attributes:
        base: the server's own directory, by a usable path.
        shortcut: the shortcut that was made and has to be removed, or None.

    Raises:
        StartError: a shortcut is needed, and there is no place for it.
    """

    def __init__(self, directory: Path) -> None:
        self.shortcut: Path | None = None
        own = directory / "restate"
        own.mkdir(mode=0o700, exist_ok=True)
        own.chmod(0o700)  # even if others may look into the data directory, the sockets belong to its owner alone
        if not fits_socket(own / NODE / LONGEST):
            self.shortcut = _shortcut(directory)
            own = self.shortcut / LINK / "restate"
        self.base = own

    @property
    def ingress(self) -> Path:
        """The socket of the ingress."""
        return self.base / NODE / "ingress.sock"

    @property
    def admin(self) -> Path:
        """The socket of the admin API."""
        return self.base / NODE / "admin.sock"

    @property
    def fabric(self) -> Path:
        """The socket that the server uses to talk to itself."""
        return self.base / NODE / "fabric.sock"

    def close(self) -> None:
        """Remove the shortcut, but not what it leads to."""
        if self.shortcut is not None:
            shutil.rmtree(self.shortcut, ignore_errors=True)


def shortcuts() -> Iterator[Path]:
    """All shortcuts of this user, in use or not."""
    for place in short_places():
        for path in place.glob(PREFIX + "*"):
            try:
                if (path / LINK).is_symlink() and path.lstat().st_uid == os.getuid():
                    yield path
            except OSError:
                continue  # it was removed while we looked, or belongs to somebody else


def _shortcut(directory: Path) -> Path:
    shortcut = short_directory(PREFIX, f"{LINK}/restate/{NODE}/{LONGEST}")
    if shortcut is None:
        raise StartError(
            f"The path of the data directory {directory} is too long for the server's sockets.",
            f"The path of a socket has at most {MAX_SOCKET_PATH} bytes, and there is no place for a shorter one.",
            "Name a directory with a shorter path: Playground.open(data_dir=...)",
        )
    (shortcut / LINK).symlink_to(directory)
    return shortcut
