"""The current playground of a notebook: the one that was opened last.

Magics and exercises use it, because they do not get one as an argument. A notebook has only one at a time: opening
another closes the one before.
"""

from __future__ import annotations

from playground.errors import PlaygroundClosed
from playground.session import Playground


def current() -> Playground:
    """The playground that was opened last.

    Raises:
        PlaygroundClosed: none is open.
    """
    if Playground.latest is None or Playground.latest.closed:
        raise PlaygroundClosed("No playground is open.", "", "pg = Playground.open()")
    return Playground.latest
