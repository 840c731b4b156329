"""The grid: its model, its picture, the bundle a notebook keeps, and what the page may ask for."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from playground.shown import Atlas, Recording
from playground.views.atlas import model, picture
from playground.views.atlas.model import Gap, RunRow, excerpt
from playground.views.picture import WIDTH
from tests.unit.atlases import BAD, hostile, large, mixed, outcome, point
from tests.unit.pages import ask
from tests.unit.stories import Tale


def rows(atlas: Atlas) -> list[RunRow]:
    return list(model.picture(atlas)["tables"]["rows"].values())


def signs(row: RunRow) -> list[tuple[str, str]]:
    return [(sign, tone) for sign, tone, _ in row["cells"]]


# -- the model --------------------------------------------------------------------------------------


def test_every_state_has_its_own_sign_tone_and_text() -> None:
    clean, twice, state, stuck, wrong, failed, nothing = rows(mixed())
    usual = [("right", "good"), ("right", "good"), ("never", "good"), ("once", "good")]
    assert signs(clean) == usual
    assert [text for _, _, text in clean["cells"]] == ["right", "right", "never", "once"]
    assert twice["cells"][3] == ("twice", "bad", "twice !")
    assert state["cells"][1] == ("differs", "bad", "differs (1)")
    assert stuck["cells"][0] == ("stuck", "stuck", "stuck")
    assert (wrong["cells"][0], wrong["cells"][3]) == (("wrong", "bad", "wrong"), ("never", "bad", "never !"))
    assert (failed["cells"][0], failed["cells"][2]) == (("failed", "bad", "failed"), ("often", "bad", "5 times !"))
    assert nothing["cells"][0] == ("unknown", "quiet", "not reached")


def test_why_is_told() -> None:
    reasons = [row["reasons"] for row in rows(mixed())]
    assert reasons[0] == []
    assert reasons[1] == [("payment", "twice, and once in a clean run"), ("again", "payment in Shop/buy, Run charge")]
    assert reasons[2] == [("state", "Stock/ada: count is 2 instead of 1")]
    assert reasons[3] == [("stuck on", "Shop/buy: journal mismatch, on every retry")]
    assert reasons[4] == [("wrong result", "it returned 1 instead of 2"), ("payment", "never, and once in a clean run")]


def test_what_deviates_is_what_the_atlas_says_is_broken() -> None:
    atlas = mixed()
    broken = atlas.broken(effects="exactly_once")
    assert [row["deviates"] for row in rows(atlas)] == [each in broken for each in atlas]
    assert repr(atlas).endswith("Tried: 7 of 7 points; 1 not reached\nEffects: HTTP to the ledger")


def test_a_callees_points_stand_deeper() -> None:
    assert [(row["group"], row["level"]) for row in rows(mixed())][1:4] == [
        ("Shop/buy", 0),
        ("Stock/ada/add", 1),
        ("Shop/buy", 0),
    ]


def test_the_columns_tell_what_is_usual() -> None:
    columns = model.picture(mixed())["values"]["columns"]
    assert columns == [
        ("crashed", ""),
        ("result", ""),
        ("state", ""),
        ("email", "clean run: never"),
        ("payment", "clean run: once"),
    ]


def test_in_words() -> None:
    atlas = mixed()
    assert model.summary(atlas) == (
        "7 points, a pod killed at each: result right at 3, stuck at 1, wrong at 1, failed at 1, not reached at 1; "
        "state right at 5, differs at 1; email never at 5, 5 times at 1; payment once at 4, twice at 1, never at 1"
    )
    assert model.verdicts(atlas) == [
        ("right result and state: not at 4", False),
        ("every effect at least once: not at 1", False),
        ("every effect exactly once: not at 3", False),
    ]
    good = Atlas("Shop/buy", "server", [point("a")], [outcome(point("a"))], Recording())
    assert model.summary(good).startswith("1 point, the Restate server killed at each: result right at 1; state")
    assert all(holds for _, holds in model.verdicts(good))


def test_pairs_and_samples_in_words() -> None:
    points = [point(f"point {n}") for n in range(10)]
    pairs = [outcome(points[0], point("in the callee", "Stock/ada/add", "0.1")), outcome(points[1], points[2])]
    atlas = Atlas("Shop/buy", "pod", points, pairs, Recording())
    assert model.summary(atlas).startswith("2 of 45 pairs of points, drawn by lot, a pod killed at both: ")
    assert [row["places"] for row in rows(atlas)] == [
        ["point 0", "Stock/ada/add: in the callee"],
        ["point 1", "point 2"],
    ]
    sample = Atlas("Shop/buy", "pod", points, [outcome(points[3])], Recording())
    assert model.summary(sample).startswith("1 of 10 points, drawn by lot, a pod killed at each: ")


def test_an_outside_world_that_misbehaves() -> None:
    refused = outcome(point("payment is refused", act="fail", role=""), payment=0)
    atlas = Atlas("Shop/buy", "ledger", [refused.points[0]], [refused], Recording())
    values = model.picture(atlas)["values"]
    assert values["columns"][0] == ("what goes wrong outside", "")
    assert values["summary"].startswith("1 point, the outside world misbehaving at each: ")


def test_without_effects_nothing_is_said_of_them() -> None:
    quiet = replace(outcome(point("a")), effects={}, expected={})
    atlas = Atlas("Shop/buy", "pod", [point("a")], [quiet], Recording())
    assert model.verdicts(atlas) == [("right result and state", True)]
    assert model.summary(atlas) == "1 point, a pod killed at each: result right at 1; state right at 1"


def test_a_step_that_ran_twice_is_told_and_bad_only_where_nothing_else_is_seen() -> None:
    twice = replace(outcome(point("a")), steps=2, ran_twice=("Shop/buy, Run charge",))
    seen = Atlas("Shop/buy", "pod", [point("a")], [twice], Recording())
    assert rows(seen)[0]["cells"][-1] == ("twice", "quiet", "one ran twice")
    assert rows(seen)[0]["reasons"] == [("ran twice", "Shop/buy, Run charge")]
    assert not rows(seen)[0]["deviates"]
    unseen = replace(twice, effects={}, expected={}, ran_twice=(), perhaps_twice=("Shop/buy, Run charge",))
    atlas = Atlas("Shop/buy", "pod", [point("a")], [unseen], Recording())
    assert rows(atlas)[0]["cells"][-1] == ("twice", "bad", "one may have run twice")
    assert rows(atlas)[0]["deviates"]
    assert model.verdicts(atlas) == [("right result and state", True), ("every step once: not at 1", False)]
    assert model.summary(atlas).endswith("; steps one may have run twice at 1")
    assert model.picture(atlas)["values"]["columns"][-1] == ("steps", "")
    assert model.picture(atlas)["values"]["notes"] == atlas.rests_on
    assert "one may have run twice" in repr(atlas)
    assert picture.png(model.picture(atlas))


def test_a_mismatch_is_told() -> None:
    healed = outcome(point("a"), result="mismatch", detail="an attempt of Shop/buy did not fit the journal (570)")
    atlas = Atlas("Shop/buy", "pod", [point("a")], [healed], Recording())
    assert rows(atlas)[0]["cells"][0] == ("wrong", "bad", "mismatch")
    assert rows(atlas)[0]["reasons"][0][0] == "mismatch"
    assert rows(atlas)[0]["deviates"]


def test_an_atlas_in_which_nothing_was_reached_is_not_green() -> None:
    unreached = outcome(point("a"), result="not reached")
    atlas = Atlas("Shop/buy", "pod", [point("a")], [unreached], Recording())
    assert model.verdicts(atlas) == [("nothing was observed", False)]


def test_an_atlas_of_nothing() -> None:
    atlas = Atlas("Shop/buy", "pod", [], [], Recording())
    assert model.summary(atlas) == "no points: nothing was swept"
    assert picture.png(model.picture(atlas))


def test_what_is_shown_of_many() -> None:
    many = rows(large(40))
    shown = excerpt(many, 10)
    kept = [row for row in shown if isinstance(row, dict)]
    gaps = [gap for gap in shown if isinstance(gap, Gap)]
    assert len(kept) == 10
    assert sum(row["deviates"] for row in kept) == sum(row["deviates"] for row in many) == 6
    assert sum(gap.rows for gap in gaps) == 30
    assert sum(gap.deviating for gap in gaps) == 0
    assert excerpt(many, 40) == many
    few = excerpt(many, 2)
    assert [row["places"] for row in few if isinstance(row, dict)] == [["point 3"], ["point 10"]]
    assert few[-1] == Gap(29, 4)


# -- the picture ------------------------------------------------------------------------------------


def size(atlas: Atlas) -> tuple[int, int]:
    return Image.open(io.BytesIO(picture.png(model.picture(atlas)))).size


def test_the_picture_is_the_same_every_time_and_small() -> None:
    png = mixed().png()
    assert png == mixed().png()
    assert len(png) < 100_000
    image = Image.open(io.BytesIO(png))
    assert image.width == 2 * WIDTH
    assert image.convert("RGB").getpixel((2, 2)) == (255, 255, 255)


def test_a_long_sweep_is_cut() -> None:
    assert size(large(2000))[1] < 5000


def test_many_kinds_of_effects_are_cut() -> None:
    kinds = {f"kind{n}": 1 for n in range(30)}
    each = outcome(point("a"))
    wide = replace(each, effects=kinds, expected=kinds)
    assert size(Atlas("Shop/buy", "pod", [point("a")], [wide], Recording()))[0] == 2 * WIDTH


def test_hostile_texts_are_drawn_and_can_be_sent() -> None:
    atlas = hostile()
    assert atlas.png()
    told = json.dumps(model.picture(atlas), ensure_ascii=False)
    assert told.encode("utf-8")
    assert len(told) < 200_000


# -- the bundle -------------------------------------------------------------------------------------


def test_outside_a_notebook_it_is_text() -> None:
    atlas = mixed()
    assert atlas._repr_mimebundle_() == ({"text/plain": repr(atlas)}, {})


def test_in_a_notebook_it_is_a_widget_a_picture_and_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playground.views.bundle.in_a_notebook", lambda: True)
    atlas = mixed()
    bundle, metadata = atlas._repr_mimebundle_()
    assert bundle.keys() == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}
    assert bundle["text/plain"] == repr(atlas)
    assert Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).width == 2 * metadata["image/png"]["width"]
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == atlas.widget.model_id
    atlas.widget.close()


# -- what the page asks for -------------------------------------------------------------------------


def test_a_runs_replay_is_its_own() -> None:
    atlas = mixed()
    run = ask(atlas.widget, "run", row="2")["value"]
    tables = run["picture"]["tables"]
    assert run["picture"]["values"]["root"] == "inv_2"
    assert run["expanded"] == ["inv_2/e1"]  # it crashed in the callee
    assert [(pod["n"], pod["phase"], "gone" in pod) for pod in tables["pods"].values()] == [
        (1, "killed", True),
        (2, "ready", False),  # it was killed later, in another run
    ]
    assert list(tables["pods"]) == ["shop-2-0", "shop-2-1"]
    assert ask(atlas.widget, "run", row="0")["value"]["expanded"] == []


def test_an_entrys_details() -> None:
    found = ask(mixed().widget, "entry", entry="inv_1/e1")["value"]
    assert [frame["name"] for frame in found["frames"]][:2] == ["→ Call", "← Call invocation id"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("run", {"row": "7"}),
        ("run", {"row": "-1"}),
        ("run", {"row": 1}),
        ("run", {"row": "²"}),
        ("run", {}),
        ("entry", {"entry": "inv_nobody/e0"}),
        ("kill pod", {"pod": "shop-0-0"}),
    ],
)
def test_what_is_not_there(name: str, data: dict[str, Any]) -> None:
    assert "Fix:" in ask(mixed().widget, name, **data)["error"]


def test_a_run_nobody_recorded() -> None:
    atlas = Atlas("Shop/buy", "pod", [point("a")], [outcome(point("a"))], Recording(Tale().events))
    assert "holds no invocation" in ask(atlas.widget, "run", row="0")["error"]


def test_the_page_gets_all_rows_and_no_replay() -> None:
    atlas = large(400)
    snapshot = atlas.widget.get_state()["snapshot"]
    assert len(snapshot["tables"]["rows"]) == 400
    assert len(json.dumps(snapshot)) < 200_000
    assert atlas.widget.delta(atlas.recording.timeline, [("trace", "inv_0")]) is None
    assert BAD not in json.dumps(snapshot)
