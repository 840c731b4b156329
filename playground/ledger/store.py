"""What the outside world remembers, in SQLite, so that it survives the ledger's process.

An *effect* is something that cannot be undone: an email is sent, a card is charged. The ledger records them. It handles
idempotency keys as real providers do (https://docs.stripe.com/api/idempotent_requests): a request with a known key gets
the same answer as the first one, and nothing happens again. The same key with another body is an error, and so is a key
whose first request is still being processed.
"""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

What = Literal["happened", "repeated", "refused"]


@dataclass(frozen=True, slots=True)
class Faults:
    """How one kind of effect misbehaves. `-1` means always.

    Attributes:
        fail: how many requests are refused before anything happens (503).
        lose_answer: for how many requests the effect happens, but the answer is an error (504).
        slow: seconds that each request takes before its effect happens.
        down: whether nobody is there, and a gateway answers instead (502).
    """

    fail: int = 0
    lose_answer: int = 0
    slow: float = 0.0
    down: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in."""

    kind: str
    body: str
    key: str = ""
    pod: str = ""
    attempt: int = 0
    step: int | None = None


class Conflict(Exception):
    """A key that was used with another body, or whose first request is not answered yet."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Unusable(Exception):
    """The file cannot be read or written at the moment.

    Attributes:
        fix: what would help.
    """

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


def unusable(error: sqlite3.Error, path: Path) -> Unusable:
    """An SQLite error in words that help the owner of the file."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    match primary:
        case sqlite3.SQLITE_FULL:
            return Unusable(f"The disk that holds {path} is full.", "Free some space, then run the cell again.")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Unusable(
                f"Another program has {path} open and locked.", "Close that program, then run the cell again."
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return Unusable(f"{path} is damaged.", f"Start again without it: mv '{path}' '{path}.damaged'")
    return Unusable(f"{path} cannot be used: {error}.", "Make sure that you can write to it and to its folder.")


class Store:
    """The ledger's file. It is opened when it is first needed. If that fails, the next call tries again.

    All methods raise `sqlite3.Error` if the file is unusable; `unusable` explains it.

    Args:
        path: the SQLite file, which is created if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: sqlite3.Connection | None = None
        self._working: set[tuple[str, str]] = set()

    @property
    def _db(self) -> sqlite3.Connection:
        if self._opened is None:
            opened = sqlite3.connect(self.path, isolation_level=None)
            try:
                self._prepare(opened)
            except BaseException:
                opened.close()
                raise
            self._opened = opened
        return self._opened

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.row_factory = sqlite3.Row
        db.executescript(
            """
            PRAGMA journal_mode = WAL;
            CREATE TABLE IF NOT EXISTS entries (
                number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL, what TEXT, kind TEXT, body TEXT, key TEXT,
                pod TEXT, attempt INTEGER, step INTEGER);
            CREATE TABLE IF NOT EXISTS faults (kind TEXT PRIMARY KEY, faults TEXT);
            CREATE TABLE IF NOT EXISTS answers (kind TEXT, key TEXT, body TEXT, answer TEXT, PRIMARY KEY (kind, key));
            """
        )

    def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def enter(self, request: Request, what: What) -> dict[str, Any]:
        """Store what became of a request. Returns the entry."""
        at = time.time()
        row = self._db.execute(
            "INSERT INTO entries (at, what, kind, body, key, pod, attempt, step) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (at, what, request.kind, request.body, request.key, request.pod, request.attempt, request.step),
        )
        return {"number": row.lastrowid, "at": at, "what": what, **asdict(request)}

    def answered(self, request: Request) -> dict[str, Any] | None:
        """The answer that was given for its idempotency key before; None if there is none.

        Raises:
            Conflict: the key was used with another body, or its first request is still being processed.
        """
        if not request.key:
            return None
        if (request.kind, request.key) in self._working:
            raise Conflict(409, "a request with this idempotency key is still being processed")
        row = self._db.execute(
            "SELECT body, answer FROM answers WHERE kind = ? AND key = ?", (request.kind, request.key)
        ).fetchone()
        if row is None:
            return None
        if row["body"] != request.body:
            raise Conflict(422, "this idempotency key was used with another body")
        return dict(json.loads(row["answer"]))

    def begin(self, request: Request) -> None:
        """Begin to process a request. Until `end`, another one with the same key is a conflict."""
        if request.key:
            self._working.add((request.kind, request.key))

    def end(self, request: Request) -> None:
        """End the processing of a request, however it went."""
        self._working.discard((request.kind, request.key))

    def happen(self, request: Request) -> tuple[dict[str, Any], dict[str, Any]]:
        """Make the effect happen. Returns (entry, answer). Either both are stored or neither is."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            entry = self.enter(request, "happened")
            answer = {"id": f"{request.kind}-{entry['number']}", "kind": request.kind}
            if request.key:
                self._db.execute(
                    "INSERT INTO answers VALUES (?, ?, ?, ?)",
                    (request.kind, request.key, request.body, json.dumps(answer)),
                )
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # on a full disk, SQLite may have rolled it back itself
                self._db.execute("ROLLBACK")
            raise
        return entry, answer

    def entries(self) -> list[dict[str, Any]]:
        """All entries since the ledger was last cleared."""
        return [dict(row) for row in self._db.execute("SELECT * FROM entries ORDER BY number")]

    def last(self) -> int:
        """The number of the latest entry ever. Clearing does not reset it."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entries'").fetchone()
        return int(row[0]) if row else 0

    def clear(self) -> None:
        """Forget entries and keys. Faults stay."""
        self._db.execute("DELETE FROM entries")
        self._db.execute("DELETE FROM answers")

    def faults(self, kind: str) -> Faults:
        """How a kind misbehaves now."""
        row = self._db.execute("SELECT faults FROM faults WHERE kind = ?", (kind,)).fetchone()
        return Faults(**json.loads(row[0])) if row else Faults()

    def all_faults(self) -> dict[str, dict[str, Any]]:
        """How kinds misbehave, without those that behave."""
        by_kind = {kind: self.faults(kind) for kind in self.kinds()}
        return {kind: asdict(faults) for kind, faults in by_kind.items() if faults != Faults()}

    def kinds(self) -> list[str]:
        """The kinds that misbehave or have misbehaved."""
        return [row["kind"] for row in self._db.execute("SELECT kind FROM faults ORDER BY rowid")]

    def set_faults(self, kind: str, faults: Faults) -> None:
        """Make a kind misbehave, or behave again."""
        self._db.execute("INSERT OR REPLACE INTO faults VALUES (?, ?)", (kind, json.dumps(asdict(faults))))

    def take(self, kind: str, fault: Literal["fail", "lose_answer"]) -> bool:
        """Whether a counted fault applies to this request. Counts it."""
        faults = self.faults(kind)
        left = getattr(faults, fault)
        if left > 0:
            self.set_faults(kind, Faults(**{**asdict(faults), fault: left - 1}))
        return bool(left)
