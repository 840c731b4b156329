"""What a kernel and its page say to each other: Python's types, those of the page's modules, what is really sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, NotRequired, TypedDict, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from hypothesis import HealthCheck, given, settings

from playground.recording import Event, Recording
from playground.views import model
from playground.views.assets import STATIC
from playground.views.atlas.model import AtlasPicture
from playground.views.atlas.model import picture as atlas_picture
from playground.views.details import Details, all_details
from playground.views.model import LensChanged, LensPicture
from tests.unit.any_events import events as any_events
from tests.unit.atlases import hostile, mixed
from tests.unit.lens_models import NAMES, recorded
from tests.unit.message_types import DECLARATIONS, Declarations, written
from tests.unit.stories import long_day
from tests.unit.test_panels_items import ALL


def unlike(value: object, kind: Any, at: str = "") -> list[str]:
    """Where a value is not what a type says."""
    origin, inner = get_origin(kind), get_args(kind)
    wrong = [f"{at}: {value!r} is no {kind}"]
    if is_typeddict(kind) or is_typeddict(origin):
        return _unlike_dict(
            value, origin or kind, dict(zip(getattr(origin, "__parameters__", ()), inner, strict=True)), at
        )
    if origin in (Union, UnionType):
        return [] if any(not unlike(value, each, at) for each in inner) else wrong
    if origin is Literal:
        return [] if value in inner else wrong
    if origin is list:
        return (
            [each for item in value for each in unlike(item, inner[0], f"{at}[]")] if isinstance(value, list) else wrong
        )
    if origin is tuple:
        if not isinstance(value, tuple) or len(value) != len(inner):
            return wrong
        return [each for item, one in zip(value, inner, strict=True) for each in unlike(item, one, f"{at}()")]
    if origin is dict:
        if not isinstance(value, Mapping):
            return wrong
        return [each for key, item in value.items() for each in unlike(item, inner[1], f"{at}.{key}")]
    if kind is float:
        return [] if type(value) in (int, float) else wrong
    return [] if type(value) is kind else wrong


def _unlike_dict(value: object, kind: Any, parameters: dict[Any, Any], at: str) -> list[str]:
    if not isinstance(value, Mapping):
        return [f"{at}: {value!r}"]
    hints = get_type_hints(kind, include_extras=True)
    found = [f"{at}.{name} is not known" for name in value.keys() - hints.keys()]
    for name, told in hints.items():
        optional = get_origin(told) is NotRequired
        field = get_args(told)[0] if optional else told
        if name in value:
            found += unlike(value[name], parameters.get(field, field), f"{at}.{name}")
        elif not optional and name not in kind.__optional_keys__:
            found.append(f"{at}.{name} is missing")
    return found


# -- the two sides ----------------------------------------------------------------------------------


def test_the_page_knows_the_types_of_today() -> None:
    assert DECLARATIONS.read_text("utf-8") == written(), "python -m tests.unit.message_types"


class Part(TypedDict):
    """A part."""

    name: str


class Thing(Part, total=False):
    """A thing.

    It has parts.
    """

    how: Literal["new", "old"]
    parts: list[Part | None]
    sizes: tuple[int, float] | tuple[int, float, str]
    by: dict[str, bool]


def test_how_types_are_declared() -> None:
    made = Declarations()
    made.declare(Thing)
    assert made.declared["Thing"] == (
        "/**\n * A thing.\n *\n * It has parts.\n */\n"
        "export type Thing = {\n"
        "  name: string;\n"
        '  how?: "new" | "old";\n'
        "  parts?: (Part | null)[];\n"
        "  sizes?: [number, number, (string)?];\n"
        "  by?: Record<string, boolean>;\n"
        "};"
    )
    assert made.declared["Part"] == "/** A part. */\nexport type Part = {\n  name: string;\n};"


def test_two_types_of_one_name_and_a_type_without_a_form_are_refused() -> None:
    made = Declarations()
    made.declare(Part)
    with pytest.raises(TypeError, match="two types called Part"):
        made.declare(type("Part", (), {}))
    with pytest.raises(TypeError, match="no form"):
        made.text(set[str])


def test_no_module_steps_around_the_checker() -> None:
    found = {path.name: path.read_text("utf-8") for path in STATIC.glob("*.js")}
    assert [name for name, source in found.items() if "@ts-" in source] == []
    loose = {name: len(re.findall(r"[:{<|(]\s*any\b", source)) for name, source in found.items()}
    assert {name: count for name, count in loose.items() if count} == {"live.js": 1}, "an answer, as it comes in"


# -- what is really sent ----------------------------------------------------------------------------


def test_a_value_unlike_its_type_is_found() -> None:
    good = {"name": "a", "parts": [{"name": "b"}, None], "sizes": (1, 2, "x"), "by": {"c": True}}
    assert unlike(good, Thing) == []
    for bad in (
        {},
        {"name": 1},
        {"name": None},
        {"name": "a", "how": "broken"},
        {"name": "a", "parts": [{}]},
        {"name": "a", "sizes": (1,)},
        {"name": "a", "sizes": (True, 1)},
        {"name": "a", "by": {"c": 1}},
        {"name": "a", "colour": "red"},
    ):
        assert unlike(bad, Thing), bad


def check(recording: Recording) -> None:
    timeline = recording.timeline
    for trace in recording.invocations:
        assert unlike(model.picture(timeline, trace.id), LensPicture) == []
        delta = model.delta(timeline, trace.id, dict.fromkeys(timeline.changes).keys())
        assert delta is not None
        assert unlike(delta["tables"], LensChanged) == []
    for found in all_details(recording, recording.invocations).values():
        assert unlike(found, Details) == []
    for panel in ALL:
        (kind,) = get_args(type(panel).__orig_bases__[0])  # type: ignore[attr-defined]
        changed = panel.changed(timeline, dict.fromkeys(timeline.changes).keys())
        items = [*panel.items(timeline).values(), *(item for item in changed.values() if item is not None)]
        assert [wrong for item in items for wrong in unlike(item, kind)] == []


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(any_events())
def test_whatever_is_recorded_is_sent_as_the_types_say(said: list[Event]) -> None:
    check(Recording(said))


def test_real_recordings_are_sent_as_the_types_say() -> None:
    for name in NAMES:
        check(recorded(name)[0])
    check(Recording(long_day().events))
    for atlas in (mixed(), hostile()):
        assert unlike(atlas_picture(atlas), AtlasPicture) == []
