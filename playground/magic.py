"""`%%service NAME`: the cell's source becomes a service and is deployed at once.

The cell does not run in the notebook's kernel. It is what a pod loads, as it stands: what is written
there works unchanged in a file of its own.
"""

from __future__ import annotations

from typing import Any

from playground.current import current
from playground.errors import DeployError
from playground.handles import Service


def service(line: str, cell: str) -> Service:
    """The magic's function: `%%service NAME [--breaking]`.

    Raises:
        DeployError: the name or the source cannot be used.
    """
    words = line.split()
    breaking = "--breaking" in words
    names = [word for word in words if word != "--breaking"]
    if len(names) != 1:
        raise DeployError("%%service needs one name.", f"It got {line.strip()!r}.", "%%service signup")
    return current().deploy(name=names[0], source=cell, breaking=breaking)


def register(shell: Any) -> None:
    """Make the magic known to an IPython shell."""
    shell.register_magic_function(service, magic_kind="cell", magic_name="service")
