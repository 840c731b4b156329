"""Where a user's own data is kept: what must outlive a playground, and is no cache."""

from __future__ import annotations

import os
from pathlib import Path


def data_home() -> Path:
    """`durable-playground` in XDG_DATA_HOME, by default in ~/.local/share; it may not be there yet."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "durable-playground"
