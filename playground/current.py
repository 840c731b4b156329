"""Which playground a cell of a notebook means: the one that was opened last.

Magics and exercises are not handed one. In a notebook there is one at a time: running the cell that opens it once
more ends the one before.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from playground.errors import PlaygroundClosed

if TYPE_CHECKING:
    from playground.session import Playground

_current: Playground | None = None


def current() -> Playground:
    """The playground opened last.

    Raises:
        PlaygroundClosed: none is open.
    """
    if _current is None or _current.closed:
        raise PlaygroundClosed("No playground is open.", "", "pg = Playground.open()")
    return _current


def make_current(opened: Playground) -> None:
    """From now on, cells mean this one."""
    global _current
    _current = opened


def close_current() -> None:
    """End the one opened last, if it is open still."""
    if _current is not None:
        _current.close()


def notebooks_shell() -> Any:
    """The IPython shell that this code runs in, or None: that IPython is imported says nothing."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    return get_ipython()
