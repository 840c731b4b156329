"""What the JavaScript tests start from: models of real recordings, and what Python draws from them.

`python -m tests.unit.lens_models` writes them anew, after a change of the model or of the layout.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playground.shown import Recording
from playground.views import layout, model, text
from playground.views.outside import outside

RECORDINGS = Path(__file__).parents[1] / "recordings"
MODELS = Path(__file__).parents[1] / "js" / "models"
NAMES = ("signup", "shop")


def recorded(name: str) -> tuple[Recording, str]:
    """A real recording, and the id of the invocation it is about."""
    recording = Recording.load(RECORDINGS / f"{name}.jsonl")
    return recording, next(trace.id for trace in recording.invocations if trace.sent_at is not None)


def made(name: str) -> dict[str, Any]:
    """The model of a recording, and what follows from it."""
    recording, root = recorded(name)
    timeline = recording.timeline
    picture = model.picture(timeline, root)
    axis = layout.axis(picture, [root])
    pods = sorted(picture["tables"]["pods"].items(), key=lambda pod: float(pod[1]["at"]))
    summary = text.summary(timeline.invocations[root], timeline).replace(", ", " · ")
    return {
        "picture": picture,
        "summary": " · ".join([summary, *outside(picture)]),
        "span": layout.span(picture),
        "axis": [[time, round(axis.at(time), 9)] for time in axis.times],
        "lanes": layout.lanes(pods),
        "counts": layout.pod_counts((pod for _, pod in pods), *layout.span(picture)),
    }


if __name__ == "__main__":
    MODELS.mkdir(exist_ok=True)
    for name in NAMES:
        (MODELS / f"{name}.json").write_text(json.dumps(made(name), indent=1) + "\n")
