"""Where things are: the package and its checkout, the user's data and cache, and data directories."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
"""The folder of this package, wherever it was imported from."""
CHECKOUT = PACKAGE.parent
"""The checkout that contains it, if there is one, with notebooks, requirements.txt and kind-config.yaml."""
DIRECTORY_PREFIX = "durable-playground-"
"""The names of data directories begin with this, if a playground was not given one."""
PID_FILE = "keeper.pid"
"""The file in a data directory that names its owner: first the process that opens the playground, then the keeper."""

MAX_SOCKET_PATH = 103
"""Bytes of a Unix socket's path that macOS allows. Linux allows 107."""

_PLAIN = re.compile(r"[A-Za-z0-9/._+-]+")


def data_home() -> Path:
    """The directory for what must outlive a playground: `durable-playground` in XDG_DATA_HOME. It may not exist yet.

    By default, XDG_DATA_HOME is ~/.local/share.
    """
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "durable-playground"


def cache_dir() -> Path:
    """The directory for downloads: `durable-playground` in the user's cache. It may not exist yet."""
    if named := os.environ.get("XDG_CACHE_HOME"):
        base = Path(named)
    else:
        base = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return base / "durable-playground"


def fits_socket(path: Path) -> bool:
    """Whether a Unix socket can have this path, and a URL can contain it: only plain characters are safe there."""
    return len(os.fsencode(path)) <= MAX_SOCKET_PATH and _PLAIN.fullmatch(str(path)) is not None


def short_places() -> list[Path]:
    """The directories where a short path can be made, best first, each once."""
    named = (os.environ.get("XDG_RUNTIME_DIR"), "/tmp", "/var/tmp", tempfile.gettempdir())  # noqa: S108
    return list(dict.fromkeys(Path(name) for name in named if name and os.path.isdir(name)))


def short_directory(prefix: str, socket: str) -> Path | None:
    """A new directory that only its owner may enter, with a path short enough for sockets; None if there is no place.

    Args:
        socket: the longest path of a socket in it.
    """
    for place in short_places():
        try:
            directory = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        except OSError:
            continue
        if fits_socket(directory / socket):
            return directory
        directory.rmdir()
    return None
