"""The grid in a page. It holds no run: the replay of the one that is looked at is fetched when it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from playground.errors import AtlasError
from playground.recording import Timeline
from playground.views import model as lens
from playground.views.assets import css, esm
from playground.views.atlas import model
from playground.views.details import details
from playground.views.live import Change, LiveWidget, Picture

if TYPE_CHECKING:
    from playground.atlas import Atlas


class AtlasWidget(LiveWidget):
    """An atlas in a page.

    Args:
        atlas: what is shown; it does not change any more.
    """

    _esm = esm("atlas-widget.js")
    _css = css("live.css", "lens.css", "atlas.css")

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas
        super().__init__(atlas.recording)

    def picture(self, timeline: Timeline) -> Picture:
        """Every run, without its replay."""
        return model.picture(self._atlas)

    def delta(self, timeline: Timeline, changes: Collection[Change]) -> Picture | None:
        """Nothing: the sweep is over."""
        return None

    def act(self, name: str, data: dict[str, Any]) -> Any:
        """Give the replay of a run (`run`), or the details of one of its entries (`entry`).

        Raises:
            AtlasError: there is no such run or entry.
        """
        if name == "run" and isinstance(row := data.get("row"), str) and row.isdecimal():
            return self._run(int(row))
        invocation, _, entry = str(data.get("entry", "")).partition("/")
        if name == "entry" and (found := details(self.recording, invocation, entry)):
            return found
        raise AtlasError(f"There is no {name} to show here.", "The atlas holds no such thing.", "Run the cell again.")

    def _run(self, row: int) -> dict[str, Any]:
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


def _alone(picture: Picture) -> Picture:
    """A run's picture as if there were no other runs: with its own pods only, numbered from one.

    In the lab a pod serves one attempt at a time, of one run and then of another, which may have its accident
    there. So what became of a pod after the last attempt of this run is left out.
    """
    tables = picture["tables"]
    pods: dict[str, dict[str, Any]] = {}
    counts: Counter[str] = Counter()
    for attempt in sorted(tables["attempts"].values(), key=lambda attempt: float(attempt["at"])):
        name = attempt["pod"]
        if name not in tables["pods"]:
            continue
        if name not in pods:
            service = tables["pods"][name]["service"]
            counts[service] += 1
            pods[name] = {**tables["pods"][name], "n": counts[service], "label": f"{service} pod {counts[service]}"}
        if attempt["outcome"] in ("killed", "crashed"):
            pods[name] |= {key: tables["pods"][name][key] for key in ("phase", "gone") if key in tables["pods"][name]}
        else:
            pods[name]["phase"] = "ready"
            pods[name].pop("gone", None)
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
