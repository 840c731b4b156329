"""Where things are: the package and its checkout, the user's data and cache, and data directories."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
"""The folder of this very package, wherever it was imported from."""
CHECKOUT = PACKAGE.parent
"""The checkout it is in, if it is in one: notebooks, requirements.txt and kind-config.yaml are there."""
DIRECTORY_PREFIX = "durable-playground-"
"""Data directories of playgrounds that were not given one."""
PID_FILE = "keeper.pid"
"""In a data directory: the process it belongs to. First that is whoever opens the playground, then the keeper."""


def data_home() -> Path:
    """`durable-playground` in XDG_DATA_HOME, by default in ~/.local/share; it may not be there yet.

    What must outlive a playground is kept there.
    """
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "durable-playground"


def cache_dir() -> Path:
    """The directory downloads are kept in: `durable-playground` in the user's cache. It may not exist."""
    if named := os.environ.get("XDG_CACHE_HOME"):
        base = Path(named)
    else:
        base = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return base / "durable-playground"
