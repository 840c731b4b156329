"""A page of its own: the lens with one recorded run in it, in a single file that needs nothing else.

The script and the style sheet are named by their hashes in the page's content security policy, so nothing
else can run in it, whatever the recording says: not a script smuggled in by a value, not a request to
anywhere. The recording itself is a block of JSON, which a browser does not execute, with every `<`
written as an escape.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from os import PathLike
from pathlib import Path
from typing import TypedDict

from playground.core.text import clean
from playground.errors import RecordingError
from playground.recording import Recording
from playground.views import model, text
from playground.views.assets import css, esm
from playground.views.details import Details, all_details
from playground.views.model import LensPicture

_PAGE_STYLE = "body { margin: 0; padding: 16px; background: Canvas; color: CanvasText; color-scheme: light dark; }"


class Recorded(TypedDict):
    """What is in a page of its own: the picture, and the details of every entry by its id."""

    picture: LensPicture
    details: dict[str, Details]


def export(recording: Recording, invocation: str, path: str | PathLike[str]) -> Path:
    """Write a page with the lens of one invocation; returns the path.

    Raises:
        RecordingError: the recording does not hold the invocation, or the file cannot be written.
    """
    content = page(recording, invocation)
    target = Path(path)
    try:
        target.write_text(content, "utf-8")
    except OSError as error:
        raise RecordingError(
            f"The page could not be written to {target}.",
            f"{error.strerror}.",
            "Name a file in a folder that is yours.",
        ) from error
    return target


def page(recording: Recording, invocation: str) -> str:
    """The page's HTML.

    Raises:
        RecordingError: the recording does not hold the invocation.
    """
    with recording.lock:
        trace = recording.invocation(invocation)
        timeline = recording.timeline
        recorded: Recorded = {
            "picture": model.picture(timeline, invocation),
            "details": all_details(recording, timeline.family(invocation)),
        }
        table = text.invocation_table(trace, timeline)
        title = clean(trace.target)
    script, style = esm("lens-page.js"), f"{_PAGE_STYLE}\n{css('live.css', 'lens.css')}"
    data = json.dumps(recorded, separators=(",", ":")).replace("<", "\\u003c")
    policy = f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}: replay lens</title>
<style>{style}</style>
</head>
<body>
<main><section id="lens"><pre>{html.escape(table)}</pre></section></main>
<script type="application/json" id="recording">{data}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def _hash(content: str) -> str:
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"sha256-{digest}"
