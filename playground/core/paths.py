"""Where things are: the package and its checkout, the user's data and cache, and data directories."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
"""The folder of this package, wherever it was imported from."""
CHECKOUT = PACKAGE.parent
"""The checkout that contains it, if there is one, with notebooks, requirements.txt and kind-config.yaml."""
DIRECTORY_PREFIX = "durable-playground-"
"""The names of data directories begin with this, if a playground was not given one."""
PID_FILE = "keeper.pid"
"""The file in a data directory that names its owner: first the process that opens the playground, then the keeper."""


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
