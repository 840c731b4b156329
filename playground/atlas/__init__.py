"""The crash atlas: one invocation, crashed at every possible point, and what came of it each time."""

from playground.atlas.atlas import Atlas
from playground.atlas.outcome import Outcome
from playground.atlas.points import Point

__all__ = ["Atlas", "Outcome", "Point"]
