"""How Jupyter's server finds the sockets of the playgrounds in its kernels.

Two environment variables tell every kernel that the extension is running, and name a directory. When a playground needs
a route through Jupyter, it puts a note in that directory: a file with the doors to Restate that only its owner can
read, named by a random id. With it, Jupyter answers `restate/ID/admin/…` and `restate/ID/ingress/…`, for anybody who is
logged in and knows the id.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from pathlib import Path

from playground.core.door import Door

BASE = "PLAYGROUND_JUPYTER_BASE"
"""A variable for kernels: the path at which Jupyter's own pages begin, e.g. "/user/ada/"."""
NOTES = "PLAYGROUND_JUPYTER_NOTES"
"""A variable for kernels: the directory of the notes."""

_ID = re.compile(r"[A-Za-z0-9_-]{20,}")


class Route:
    """A route through Jupyter that lasts as long as a playground is open.

    Args:
        base: the path at which Jupyter's pages begin.
        notes: the directory of the notes.
        doors: where the route leads, by name.
    """

    def __init__(self, base: str, notes: Path, doors: dict[str, Door]) -> None:
        self._id = secrets.token_urlsafe(24)
        self._base, self._note = base, notes / self._id
        content = {name: {"url": door.url, "socket": door.socket and str(door.socket)} for name, door in doors.items()}
        with os.fdopen(os.open(self._note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as note:
            json.dump(content, note)

    def path(self, door: str) -> str:
        """The path in Jupyter that leads to a door."""
        return f"{self._base}restate/{self._id}/{door}"

    def close(self) -> None:
        """Remove the note, and with it the route."""
        self._note.unlink(missing_ok=True)


def here() -> tuple[str, Path] | None:
    """Where Jupyter's pages begin, and the directory of notes; None without a Jupyter that has the extension."""
    base, notes = os.environ.get(BASE), os.environ.get(NOTES)
    return (base, Path(notes)) if base and notes and os.path.isdir(notes) else None


def find(notes: Path, identity: str, name: str) -> Door | None:
    """The door in a playground's note; None if the playground is closed or never existed."""
    if not _ID.fullmatch(identity):
        return None
    try:
        door = json.loads((notes / identity).read_text("utf-8"))[name]
    except (OSError, ValueError, KeyError):
        return None
    return Door(door["url"], Path(door["socket"]) if door["socket"] else None)
