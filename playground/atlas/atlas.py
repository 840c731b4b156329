"""An atlas: what became of an invocation at every point at which it was crashed. How it looks is up to the views."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from playground.atlas.outcome import THROUGH_INGRESS, Outcome
from playground.atlas.points import Point
from playground.core.text import plural
from playground.errors import AtlasError, NothingObserved
from playground.recording import Recording, Trace

Effects = Literal["exactly_once", "at_least_once"]
Steps = Literal["exactly_once"]


@dataclass(frozen=True, slots=True)
class Basis:
    """What the verdicts of an atlas rest on, besides its runs.

    Attributes:
        clean: how many runs without a crash there were to compare with.
        legal: how many different outcomes they had.
        varies: what is not compared, because it differs in every run.
        accepted: whether `accept=` decides which results are right.
        counted: the kinds of effects that `effects=` counted.
        untried: what happens outside of the runs, where no crash was tried, in words.
        mismatches: invocations that did not fit their journal although nothing was crashed.
    """

    clean: int = 0
    legal: int = 1
    varies: tuple[str, ...] = ()
    accepted: bool = False
    counted: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()
    mismatches: tuple[str, ...] = ()


class Atlas:
    """The outcomes of a sweep, in the order of the points.

    Attributes:
        request: the target that was invoked.
        target: where the accidents happened: "pod", "server" or "ledger".
        points: all points of the clean run.
        outcomes: one per run.
        recording: what happened in all runs, for the replay lens.
        basis: what it was compared with.
    """

    def __init__(
        self,
        request: str,
        target: str,
        points: list[Point],
        outcomes: list[Outcome],
        recording: Recording,
        basis: Basis | None = None,
    ) -> None:
        self.request, self.target, self.points, self.outcomes = request, target, points, outcomes
        self.recording = recording
        self.basis = basis or Basis()

    def holds(self, *, effects: Effects | None = None, steps: Steps | None = None) -> bool:
        """Whether every run ended with the right result and the right state, and fitted its journal.

        A run that did not reach its point does not count; `coverage` says how many of those there are.

        Args:
            effects: also require that every effect happened exactly as often as without a crash ("exactly_once"),
                or at least as often ("at_least_once").
            steps: also require that the function of every step ran once ("exactly_once"). In a sweep over pods, no
                handler with a step meets that: a crash can always come right after the function.

        Raises:
            NothingObserved: no run reached its point, or there was no effect or step to judge.
        """
        return not self.broken(effects=effects, steps=steps) and not self.basis.mismatches

    def broken(self, *, effects: Effects | None = None, steps: Steps | None = None) -> list[Outcome]:
        """The outcomes for which `holds` does not hold. A run that did not reach its point is never among them.

        Raises:
            NothingObserved: as for `holds`.
        """
        if not any(outcome.reached for outcome in self.outcomes):
            raise NothingObserved(
                f"Nothing can be said about {self.request}: no run reached its point.",
                f"Tried: {self.coverage}.",
                'For a handler without effects in the ledger: pg.atlas(...) without target="ledger"'
                if self.target == "ledger"
                else "print(atlas) shows every run; pg.atlas(..., most=...) tries more points",
            )
        if effects is not None and not self.observed_effects:
            raise NothingObserved(
                f"Nothing can be said about the effects of {self.request}: none was observed.",
                "The atlas sees HTTP calls to the ledger (LEDGER_URL in a pod's environment), but no files, databases"
                " or other services."
                + (" It did see the steps: " + self.steps_in_words() + "." if self.observed_steps else ""),
                'atlas.holds(steps="exactly_once"), or have the handler call the ledger, or count the effects yourself:'
                ' pg.atlas(..., effects=lambda run: {"line": file.read_text().count(run.fresh("ada"))})',
            )
        if steps is not None and not self.observed_steps:
            raise NothingObserved(
                f"Nothing can be said about the steps of {self.request}: none was observed.",
                "A step is a ctx.run, and it has none.",
                "Use atlas.holds(), which compares result and state.",
            )
        return [outcome for outcome in self.outcomes if not _holds(outcome, effects, steps)]

    @property
    def observed_effects(self) -> bool:
        """Whether any effect was observed, in a clean run or another."""
        return any(count for o in self.outcomes for counts in (o.effects, o.expected) for count in counts.values())

    @property
    def observed_steps(self) -> bool:
        """Whether any step was observed."""
        return any(outcome.steps for outcome in self.outcomes)

    @property
    def coverage(self) -> str:
        """How many of the points were tried, and how many were missed: "39 of 39 points; 2 not reached"."""
        depth = max((len(outcome.points) for outcome in self.outcomes), default=1)
        possible = math.comb(len(self.points), depth)
        what = plural(possible, "point") if depth == 1 else f"{plural(possible, 'pair')} of points"
        missed = sum(not outcome.reached for outcome in self.outcomes)
        return f"{len(self.outcomes)} of {what}" + (f"; {missed} not reached" if missed else "")

    def steps_in_words(self) -> str:
        """How often steps ran: "each ran once", or at how many points one ran twice or may have."""
        twice = sum(bool(outcome.ran_twice) for outcome in self.outcomes)
        perhaps = sum(bool(outcome.perhaps_twice) for outcome in self.outcomes)
        parts = [f"one ran twice at {plural(twice, 'point')}"] if twice else []
        parts += [f"one may have run twice at {plural(perhaps, 'point')}"] if perhaps else []
        return ", ".join(parts) or "each ran once"

    @property
    def rests_on(self) -> list[str]:
        """What the verdicts rest on, and what they do not cover, one line each."""
        basis = self.basis
        lines = [f"Tried: {self.coverage}"]
        if basis.legal > 1:
            lines.append(f"Right: any of {basis.legal} outcomes of {basis.clean} clean runs and of controls")
        kinds = {kind for outcome in self.outcomes for kind in (*outcome.effects, *outcome.expected)}
        ingress = sorted(kind for kind in kinds if kind.endswith(THROUGH_INGRESS))
        sources = ["HTTP to the ledger"] if kinds - set(ingress) - set(basis.counted) else []
        sources += ["calls through the ingress"] if ingress else []
        sources += ["effects="] if basis.counted else []
        lines.append(f"Effects: {', '.join(sources)}" if self.observed_effects else "Effects: none was observed")
        if self.observed_steps:
            lines.append(f"Steps: {self.steps_in_words()}, as recorded at the pods")
        if basis.accepted:
            lines.append("Result: right if accept= accepts it")
        if basis.varies:
            lines.append(f"Not compared, because it differs in every run: {', '.join(basis.varies)}")
        lines += [f"Not tried: {each}" for each in basis.untried]
        for target in (kind.removesuffix(THROUGH_INGRESS) for kind in ingress):
            lines.append(f"Called through the ingress: {target}; a retry calls it again, and no crash was tried in it")
        lines += [
            f"Even without a crash, an attempt of {each} did not fit its journal (570)" for each in basis.mismatches
        ]
        return lines

    def outcome(self, place: str) -> Outcome:
        """The outcome at the point whose name contains `place`.

        Raises:
            AtlasError: there is none, or more than one.
        """
        named = [o for o in self.outcomes if any(place in str(point) for point in o.points)]
        if len(named) != 1:
            raise AtlasError(
                f"{len(named)} points of this atlas are called {place!r}.",
                "" if named else "The atlas's table lists its points.",
                f'atlas.outcome("{self.points[0]}")' if self.points else "",
            )
        return named[0]

    def deviates(self, outcome: Outcome) -> bool:
        """Whether an outcome is not right, or has other effects than a run without a crash.

        Where no effect was observed, a step that ran twice counts as well: its effect may have happened twice.
        """
        once = outcome.exactly_once if self.observed_effects else outcome.steps_once
        return outcome.reached and not (outcome.right and once)

    def trace(self, outcome: Outcome) -> Trace:
        """The recorded run behind an outcome."""
        return self.recording.invocation(outcome.invocation)

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self.outcomes)

    def __len__(self) -> int:
        return len(self.outcomes)


def _holds(outcome: Outcome, effects: Effects | None, steps: Steps | None) -> bool:
    if not outcome.reached:
        return True
    if not outcome.right or (steps is not None and not outcome.steps_once):
        return False
    if effects == "exactly_once":
        return outcome.exactly_once
    return outcome.at_least_once if effects == "at_least_once" else True
