"""Which playground a cell of a notebook means: the one that was opened last.

Magics and exercises are not handed one. In a notebook there is one at a time: running the cell that opens it once
more ends the one before.
"""

from __future__ import annotations

from playground.errors import PlaygroundClosed
from playground.session import Playground


def current() -> Playground:
    """The playground opened last.

    Raises:
        PlaygroundClosed: none is open.
    """
    if Playground.latest is None or Playground.latest.closed:
        raise PlaygroundClosed("No playground is open.", "", "pg = Playground.open()")
    return Playground.latest
