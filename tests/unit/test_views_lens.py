"""The lens's other forms: the bundle a notebook keeps, the picture, the page, the details of an entry."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from PIL import Image

from playground.core.text import duration
from playground.errors import RecordingError
from playground.recording import Event
from playground.shown import Recording
from playground.views import picture, text
from playground.views.assets import STATIC, css, esm
from playground.views.details import all_details, details
from playground.views.lens import Lens
from playground.views.page import page
from tests.unit.any_events import events as any_events
from tests.unit.lens_models import MODELS, NAMES, made, recorded
from tests.unit.stories import Tale, long_day
from tests.unit.test_views_model import many_entries

HOSTILE = [
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 1'>",
    "'\"`&amp;{{7*7}}${window.broken = 1}",
    "\u202eright to left\u202c \u2066isolated\u2069 \ud800 half",
    "\u0000\u001b[31m\u2028\u2029",
    "x" * 1_000_000,
]


def hostile() -> Recording:
    """A run all of whose texts are out to get us."""
    tale = Tale().deploy().pod("shop-1").send("inv_s", f"Signup/{HOSTILE[0]}")
    number = tale.start("shop-1", "inv_s", f"Signup/{HOSTILE[0]}")
    for entry, payload in enumerate(HOSTILE, 1):
        step = {"pod": "shop-1", "attempt": number, "entry": entry}
        tale.say("entry.executed", **step, type="Run", name=payload)
        tale.say(
            "effect.happened", number=entry, effect=payload, key=payload, body=payload, pod="shop-1", attempt=number
        )
        tale.say("entry.completed", **step, type="Run completion", value=payload, size=len(payload))
    tale.say("attempt.failed", pod="shop-1", attempt=number, code=500, message=HOSTILE[1], stacktrace=HOSTILE[0])
    return Recording(tale.say("attempt.closed", pod="shop-1", attempt=number).events)


# -- the bundle -------------------------------------------------------------------------------------


def test_outside_a_notebook_it_is_text() -> None:
    recording, root = recorded("signup")
    lens = recording.watch(root)
    assert lens._repr_mimebundle_() == ({"text/plain": repr(lens)}, {})
    assert repr(lens) == text.invocation_table(recording.invocation(root), recording.timeline)


def test_in_a_notebook_it_is_a_widget_a_picture_and_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playground.views.bundle.in_a_notebook", lambda: True)
    recording, root = recorded("signup")
    lens = recording.watch(root)
    bundle, metadata = lens._repr_mimebundle_()
    assert bundle.keys() == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}
    assert bundle["text/plain"] == repr(lens)
    assert Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).width == 2 * metadata["image/png"]["width"]
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == lens.widget.model_id
    assert lens._repr_mimebundle_()[0]["application/vnd.jupyter.widget-view+json"]["model_id"] == lens.widget.model_id
    lens.widget.close()


def test_an_invocation_nobody_recorded() -> None:
    with pytest.raises(RecordingError, match="holds no invocation inv_nobody"):
        Recording().watch("inv_nobody")


def test_the_widget_of_a_loaded_recording_shows_details_and_does_nothing() -> None:
    recording, root = recorded("signup")
    widget = Lens(recording, root).widget
    snapshot = widget.get_state()["snapshot"]
    assert snapshot["values"]["open"] is False
    assert snapshot["tables"] == made("signup")["picture"]["tables"]
    sent: list[Any] = []
    widget.send = sent.append
    for name, data in (("entry", {"entry": f"{root}/e2"}), ("kill pod", {"pod": "x"}), ("entry", {"entry": "x/e9"})):
        widget._receive({"type": "act", "view": "v", "id": "1", "name": name, "data": data}, None)
    assert sent[0]["value"]["frames"]
    assert "nothing to kill pod here" in sent[1]["error"]
    assert "nothing to entry here" in sent[2]["error"]
    widget.close()


# -- the picture ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_picture_is_the_same_every_time_and_small(name: str) -> None:
    recording, root = recorded(name)
    png = picture.png(recording.timeline, root)
    assert png == picture.png(recording.timeline, root)
    assert len(png) < 100_000
    image = Image.open(io.BytesIO(png))
    assert image.width == 2 * picture.WIDTH
    assert image.convert("RGB").getpixel((2, 2)) == (255, 255, 255)


@settings(max_examples=10, deadline=None)
@given(any_events())
def test_anything_that_can_be_folded_can_be_drawn(events: list[Event]) -> None:
    recording = Recording(events)
    for invocation in recording.timeline.invocations:
        assert picture.png(recording.timeline, invocation)
        assert page(recording, invocation)


def test_a_long_journal_is_drawn_from_both_ends() -> None:
    timeline = Recording(many_entries(2000)).timeline
    assert Image.open(io.BytesIO(picture.png(timeline, "inv_b"))).height < 4000


def test_hostile_texts_are_drawn() -> None:
    assert picture.png(hostile().timeline, "inv_s")


def test_durations_are_told_as_in_the_page() -> None:
    told = [duration(s) for s in (0, 0.0032, 0.0104, 0.41, 0.9996, 2.4, 38, 41.23, 125, 7380)]
    assert told == ["0 ms", "3.2 ms", "10 ms", "410 ms", "1 s", "2.4 s", "38 s", "41.2 s", "2 min 5 s", "2 h 3 min"]


@pytest.mark.parametrize("name", NAMES)
def test_the_javascript_tests_start_from_the_model_of_today(name: str) -> None:
    written = json.loads((MODELS / f"{name}.json").read_text())
    assert written == json.loads(json.dumps(made(name))), "python -m tests.unit.lens_models"


# -- the page ---------------------------------------------------------------------------------------


def test_a_page_stands_alone(tmp_path: Path) -> None:
    recording, root = recorded("signup")
    path = recording.export(root, tmp_path / "run.html")
    content = path.read_text("utf-8")
    assert re.findall(r"""(?:src|href)=["']|@import|url\((?!#|['"]?data:|[^)]*hatch)""", content) == []
    assert "default-src 'none'" in content
    assert text.invocation_table(recording.invocation(root), recording.timeline).splitlines()[0] in content


def test_nothing_in_a_recording_can_leave_its_block() -> None:
    content = page(hostile(), "inv_s")
    assert content.count("<script") == 2
    assert content.count("</script>") == 2
    data = json.loads(content.split('id="recording">')[1].split("</script>")[0])
    names = [entry.get("label", "") for entry in data["picture"]["tables"]["entries"].values()]
    assert HOSTILE[0] in names
    assert all(len(name) <= 200 for name in names)


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    recording, root = recorded("signup")
    with pytest.raises(RecordingError, match="could not be written"):
        recording.export(root, tmp_path / "missing" / "run.html")


# -- the details ------------------------------------------------------------------------------------


def test_an_entrys_details() -> None:
    recording, root = recorded("signup")
    step = details(recording, root, "e2")
    assert step is not None
    assert "source" not in step, "this recording is older than pods that tell their lines"
    assert [(frame["attempt"], frame["name"]) for frame in step["frames"]] == [
        (1, "→ Run"),
        (2, "← Run (replayed)"),
        (2, "→ ProposeRunCompletion"),
        (2, "← Run completion"),
        (3, "← Run (replayed)"),
        (3, "← Run completion (replayed)"),
    ]
    awakeable = details(recording, root, "s17")
    assert awakeable is not None
    assert awakeable["awakeable"].startswith("sign_1")
    assert awakeable["out"] == {"text": '"clicked"', "size": 9, "cut": False}
    assert details(recording, root, "e99") is None
    assert details(recording, "inv_nobody", "e0") is None


def test_the_details_of_all_are_those_of_each() -> None:
    recording, _ = recorded("signup")
    for key, found in all_details(recording, recording.invocations).items():
        assert found == details(recording, *key.split("/"))


def test_details_can_be_sent_whatever_is_in_them() -> None:
    recording = hostile()
    for row in range(1, len(HOSTILE) + 1):
        found = details(recording, "inv_s", f"e{row}")
        assert json.dumps(found, ensure_ascii=False).encode("utf-8")


def test_the_details_of_a_long_day() -> None:
    recording = Recording(long_day().events)
    assert all_details(recording, recording.invocations)


# -- the line of source -----------------------------------------------------------------------------


def test_an_entrys_line_is_where_the_latest_attempt_asked() -> None:
    tale = Tale().deploy(source="\n".join(f"line {n}" for n in range(1, 9)))
    tale.pod("shop-1").send("inv_1", "Shop/order")
    for line in (3, 8):
        number = tale.start("shop-1", "inv_1", "Shop/order")
        step = {"pod": "shop-1", "attempt": number, "entry": 1}
        tale.say("entry.asked", **step, file="shop.py", line=line)
        tale.say("entry.executed", **step, type="Run", name="charge")
        tale.say("attempt.closed", pod="shop-1", attempt=number)
    recording = Recording(tale.events)
    found = details(recording, "inv_1", "e1")
    assert found is not None
    assert found["source"] == {
        "revision": "shop-00001",
        "file": "shop.py",
        "line": 8,
        "first": 6,
        "lines": ["line 6", "line 7", "line 8"],
    }
    (entry,) = [each for each in recording.invocation("inv_1").entries if each.type == "Run"]
    assert (entry.file, entry.line) == ("shop.py", 8)
    assert [a.asked_at["entry", 1] for a in recording.invocation("inv_1").attempts] == [("shop.py", 3), ("shop.py", 8)]


# -- the front end's files --------------------------------------------------------------------------


def test_an_entry_modules_text_needs_no_other_file() -> None:
    for name in ("lens-widget.js", "lens-page.js"):
        content = esm(name)
        assert not re.search(r"^(import|export (?!default))\b", content, re.MULTILINE)
        assert content.count("mountLens(root") >= 1


def test_no_module_makes_elements_from_text() -> None:
    for path in STATIC.glob("*.js"):
        source = path.read_text("utf-8")
        for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert forbidden not in source, f"{path.name}: {forbidden}"


def test_style_sheets_ask_for_nothing() -> None:
    assert "http" not in css("live.css", "lens.css")
