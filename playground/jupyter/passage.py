"""How Jupyter's server finds the sockets of the playgrounds that its kernels have open.

The extension (`extension`) tells every kernel, by two variables of the environment, that it is there, and of a
directory. In that directory a playground that is asked for a way through Jupyter leaves a note: a file that only its
owner can read, named by a random id, with the ways to Restate. Jupyter answers `restate/ID/admin/…` and
`restate/ID/ingress/…` by it, to whoever is logged in and knows the id.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from pathlib import Path

from playground.core.door import Door

BASE = "PLAYGROUND_JUPYTER_BASE"
"""In a kernel's environment: the path at which Jupyter's own pages begin, e.g. "/user/ada/"."""
NOTES = "PLAYGROUND_JUPYTER_NOTES"
"""In a kernel's environment: the directory of the notes."""

_ID = re.compile(r"[A-Za-z0-9_-]{20,}")


class Passage:
    """A way through Jupyter, for as long as a playground is open.

    Args:
        base: where Jupyter's pages begin.
        notes: the directory of the notes.
        doors: where the ways lead, by name.
    """

    def __init__(self, base: str, notes: Path, doors: dict[str, Door]) -> None:
        self._id = secrets.token_urlsafe(24)
        self._base, self._note = base, notes / self._id
        told = {name: {"url": door.url, "socket": door.socket and str(door.socket)} for name, door in doors.items()}
        with os.fdopen(os.open(self._note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as note:
            json.dump(told, note)

    def path(self, door: str) -> str:
        """The path at which Jupyter leads to a door."""
        return f"{self._base}restate/{self._id}/{door}"

    def close(self) -> None:
        """The way ends."""
        self._note.unlink(missing_ok=True)


def here() -> tuple[str, Path] | None:
    """Where Jupyter's pages begin, and the directory of notes; None if no Jupyter that leads to Restate is there."""
    base, notes = os.environ.get(BASE), os.environ.get(NOTES)
    return (base, Path(notes)) if base and notes and os.path.isdir(notes) else None


def find(notes: Path, identity: str, name: str) -> Door | None:
    """The door that a playground has told of, or None: it is closed, or never was."""
    if not _ID.fullmatch(identity):
        return None
    try:
        told = json.loads((notes / identity).read_text("utf-8"))[name]
    except (OSError, ValueError, KeyError):
        return None
    return Door(told["url"], Path(told["socket"]) if told["socket"] else None)
