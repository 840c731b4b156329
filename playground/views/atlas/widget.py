"""The grid in a page. It holds no run: the replay of the one that is looked at is fetched when it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, TypedDict

from playground.errors import AtlasError
from playground.recording import Timeline
from playground.recording.changes import Change
from playground.views import model as lens
from playground.views.asked import answers
from playground.views.assets import css, esm
from playground.views.atlas import model
from playground.views.atlas.model import AtlasPicture, AtlasTables, AtlasValues
from playground.views.details import Details, details
from playground.views.lens import OfEntry
from playground.views.live import LiveWidget
from playground.views.messages import Delta
from playground.views.model import LensPicture, LensPod

if TYPE_CHECKING:
    from playground.atlas import Atlas


class OfRun(TypedDict):
    """Which run, by its row."""

    row: str


class Replay(TypedDict):
    """A run's replay, and the ids of the calls that are shown open."""

    picture: LensPicture
    expanded: list[str]


class AtlasWidget(LiveWidget[AtlasValues, AtlasTables, AtlasTables]):
    """An atlas in a page.

    Args:
        atlas: what is shown; it does not change any more.
    """

    _esm = esm("atlas-widget.js")
    _css = css("live.css", "lens.css", "atlas.css")

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas
        super().__init__(atlas.recording)

    def picture(self, timeline: Timeline) -> AtlasPicture:
        """Every run, without its replay."""
        return model.picture(self._atlas)

    def delta(self, timeline: Timeline, changes: Collection[Change]) -> Delta[AtlasValues, AtlasTables] | None:
        """Nothing: the sweep is over."""
        return None

    @answers("entry")
    def entry(self, asked: OfEntry) -> Details:
        """Give the details of an entry of a run's replay.

        Raises:
            AtlasError: there is no such entry.
        """
        invocation, _, entry = asked["entry"].partition("/")
        if found := details(self.recording, invocation, entry):
            return found
        raise _nothing("entry")

    @answers("run")
    def run(self, asked: OfRun) -> Replay:
        """Give the replay of a run.

        Raises:
            PlaygroundError: there is no such run, or nothing is recorded of it.
        """
        if not asked["row"].isdecimal():
            raise _nothing("run")
        row = int(asked["row"])
        if row >= len(self._atlas):
            raise AtlasError(f"There is no run {row + 1}.", f"The atlas has {len(self._atlas)}.", "Run the cell again.")
        outcome = self._atlas.outcomes[row]
        with self.recording.lock:
            timeline = self.recording.timeline
            self.recording.invocation(outcome.invocation)
            picture = _alone(lens.picture(timeline, outcome.invocation))
            # The calls that lead to the invocation that crashed are shown open.
            calls = {call for point in outcome.points for call in _calls(timeline, outcome.invocation, point.role)}
        return {"picture": picture, "expanded": sorted(calls)}


def _nothing(name: str) -> AtlasError:
    return AtlasError(f"There is no {name} to show here.", "The atlas holds no such thing.", "Run the cell again.")


def _alone(picture: LensPicture) -> LensPicture:
    """A run's picture as if there were no other runs: with its own pods only, numbered from one.

    In the lab a pod serves one attempt at a time, of one run and then of another, which may have its accident
    there. So what became of a pod after the last attempt of this run is left out.
    """
    tables = picture["tables"]
    pods: dict[str, LensPod] = {}
    counts: Counter[str] = Counter()
    for attempt in sorted(tables["attempts"].values(), key=lambda attempt: attempt["at"]):
        name = attempt["pod"]
        if name not in tables["pods"]:
            continue
        was = tables["pods"][name]
        if name not in pods:
            service = was["service"]
            counts[service] += 1
            pods[name] = {**was, "n": counts[service], "label": f"{service} pod {counts[service]}"}
        pod = pods[name]
        pod.pop("gone", None)
        if attempt["outcome"] in ("killed", "crashed"):
            pod["phase"] = was["phase"]
            if "gone" in was:
                pod["gone"] = was["gone"]
        else:
            pod["phase"] = "ready"
    return {**picture, "tables": {**tables, "pods": pods}}


def _calls(timeline: Timeline, root: str, role: str) -> list[str]:
    """The entries, as the lens names them, by which a root came to call the invocation of a role: "0.1.3"."""
    found = []
    trace = timeline.invocations.get(root)
    for command in role.split(".")[1:]:
        entry = trace.rows.get(("entry", int(command))) if trace else None
        if trace is None or entry is None:
            break
        found.append(lens.entry_id(trace, entry))
        trace = timeline.invocations.get(entry.callee)
    return found
