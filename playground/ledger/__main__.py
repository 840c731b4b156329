"""`python -m playground.ledger FILE`: the outside world as a process of its own, on either backend.

Like handlers, it learns its address from LEDGER_URL. The path in it is a secret, and requests without that get no
answer (see `app`). Without LEDGER_URL it answers nobody.

It reports what happens in the same way as pods do (see `playground.pod.emit`).
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hypercorn.asyncio import serve

from playground.ledger.app import Ledger
from playground.ledger.store import Store, unusable
from playground.pod.emit import claim, emit
from playground.pod.serve import address, server_config


def main(arguments: list[str]) -> int:
    """Serve the ledger until SIGTERM.

    Args:
        arguments: the SQLite file.
    """
    claim()
    asyncio.run(_serve(Store(Path(arguments[0]))))
    return 0


async def _serve(store: Store) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    config = server_config(address())
    os.umask(0o077)  # the file is only for its owner, wherever it is
    url = urlsplit(os.environ.pop("LEDGER_URL", ""))
    secret = url.path.strip("/") or secrets.token_urlsafe()
    ledger = Ledger(store, _tell, secret=secret, host=url.hostname or "")
    try:
        ledger.tell_all()
    except sqlite3.Error as error:
        # The next request tries again, and gets the error if that fails.
        print(unusable(error, store.path), file=sys.stderr)
    try:
        await serve(ledger, config, shutdown_trigger=stop.wait, mode="asgi")
    finally:
        store.close()


def _tell(event: dict[str, Any]) -> None:
    emit([{"at": time.time(), **event}])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
