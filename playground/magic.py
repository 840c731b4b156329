"""`%%service NAME`: the source of the cell becomes a service, and is deployed at once.

The cell does not run in the notebook's kernel. A pod loads it unchanged, so it also works unchanged as a file.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol

from playground.errors import DeployError
from playground.handles import Service


class Deploy(Protocol):
    """`Playground.deploy`, or something that first finds the playground."""

    def __call__(self, *, name: str, source: str, breaking: bool) -> Service:
        """Deploy a source under a name."""


def register(shell: Any, deploy: Deploy) -> None:
    """Register the magic in an IPython shell: `%%service NAME [--breaking]`."""

    def service(line: str, cell: str) -> Service:
        """Deploy the cell as a service: `%%service NAME [--breaking]`."""
        words = line.split()
        names = [word for word in words if word != "--breaking"]
        if len(names) != 1:
            raise DeployError("%%service needs one name.", f"It got {line.strip()!r}.", "%%service signup")
        return deploy(name=names[0], source=cell, breaking="--breaking" in words)

    shell.register_magic_function(service, magic_kind="cell", magic_name="service")


def notebooks_shell() -> Any:
    """The IPython shell that this code runs in, or None. IPython being imported does not mean there is one."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    return get_ipython()
