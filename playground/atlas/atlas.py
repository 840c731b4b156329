"""An atlas: what became of an invocation at every point at which it was crashed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from playground.atlas.outcome import Outcome
from playground.atlas.points import Point
from playground.errors import AtlasError
from playground.recording import Recording, Trace
from playground.views.text import atlas_table

if TYPE_CHECKING:
    from playground.views.atlas.widget import AtlasWidget
    from playground.views.bundle import Bundle

Effects = Literal["exactly_once", "at_least_once"]


class Atlas:
    """The outcomes of a sweep, in the order of the points.

    Attributes:
        request: the target that was invoked.
        target: what had the accidents: "pod", "server" or "ledger".
        points: all points of the clean run.
        outcomes: one per run.
        recording: what happened in all runs, for the replay lens.
    """

    def __init__(
        self, request: str, target: str, points: list[Point], outcomes: list[Outcome], recording: Recording
    ) -> None:
        self.request, self.target, self.points, self.outcomes = request, target, points, outcomes
        self.recording = recording
        self._widget: AtlasWidget | None = None

    def holds(self, *, effects: Effects | None = None) -> bool:
        """Whether every run ended with the right result and the right state.

        Args:
            effects: also, whether every effect happened exactly as often as in a clean run
                ("exactly_once"), or at least as often ("at_least_once").
        """
        return not self.broken(effects=effects)

    def broken(self, *, effects: Effects | None = None) -> list[Outcome]:
        """The outcomes for which `holds` does not hold; runs that did not reach their point say nothing."""
        return [outcome for outcome in self.outcomes if not _holds(outcome, effects)]

    def outcome(self, place: str) -> Outcome:
        """The outcome at the point whose words contain `place`.

        Raises:
            AtlasError: there is none, or more than one.
        """
        found = [o for o in self.outcomes if any(place in str(point) for point in o.points)]
        if len(found) != 1:
            raise AtlasError(
                f"{len(found)} points of this atlas are called {place!r}.",
                "" if found else "Its points are listed in the atlas's table.",
                f'atlas.outcome("{self.points[0]}")' if self.points else "",
            )
        return found[0]

    def trace(self, outcome: Outcome) -> Trace:
        """The recorded run behind an outcome."""
        return self.recording.invocation(outcome.invocation)

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self.outcomes)

    def __len__(self) -> int:
        return len(self.outcomes)

    def __repr__(self) -> str:
        return atlas_table(self.request, self.target, self.outcomes)

    @property
    def widget(self) -> AtlasWidget:
        """The grid in a page, made when it is first asked for."""
        if self._widget is None:
            from playground.views.atlas.widget import AtlasWidget  # widgets are loaded by those who show them

            self._widget = AtlasWidget(self)
        return self._widget

    def png(self) -> bytes:
        """The grid as a picture."""
        from playground.views.atlas import model, picture

        return picture.png(model.picture(self))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Bundle:
        from playground.views.bundle import mimebundle

        return mimebundle(repr(self), self.png, lambda: self.widget)


def _holds(outcome: Outcome, effects: Effects | None) -> bool:
    if outcome.result == "not reached":
        return True
    if not outcome.right:
        return False
    if effects == "exactly_once":
        return outcome.exactly_once
    return outcome.at_least_once if effects == "at_least_once" else True
