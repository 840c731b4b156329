"""`%%service NAME`: the cell's source becomes a service and is deployed at once.

The cell does not run in the notebook's kernel. It is what a pod loads, as it stands: what is written
there works unchanged in a file of its own.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol

from playground.errors import DeployError
from playground.handles import Service


class Deploy(Protocol):
    """`Playground.deploy`, or what finds the playground first."""

    def __call__(self, *, name: str, source: str, breaking: bool) -> Service:
        """Deploy a source under a name."""


def register(shell: Any, deploy: Deploy) -> None:
    """Make the magic known to an IPython shell: `%%service NAME [--breaking]`."""

    def service(line: str, cell: str) -> Service:
        """Deploy the cell as a service: `%%service NAME [--breaking]`."""
        words = line.split()
        names = [word for word in words if word != "--breaking"]
        if len(names) != 1:
            raise DeployError("%%service needs one name.", f"It got {line.strip()!r}.", "%%service signup")
        return deploy(name=names[0], source=cell, breaking="--breaking" in words)

    shell.register_magic_function(service, magic_kind="cell", magic_name="service")


def notebooks_shell() -> Any:
    """The IPython shell that this code runs in, or None: that IPython is imported says nothing."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    return get_ipython()
