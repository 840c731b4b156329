"""The types of what a kernel and its page say to each other, as the page's modules know them.

`python -m tests.unit.message_types` writes `playground/views/static/messages.d.ts` anew, after a change of the Python
types. TypeScript checks the modules with it (`make types`); the page itself never loads it.
"""

from __future__ import annotations

import inspect
from itertools import pairwise
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from playground.recording.trace import Became, How, Outcome
from playground.views import messages, page
from playground.views.asked import deeds
from playground.views.assets import STATIC
from playground.views.atlas.model import Cell, Sign, Tone
from playground.views.atlas.widget import AtlasWidget
from playground.views.lens import LensWidget
from playground.views.live import LiveWidget
from playground.views.model import Failure, MarkItem
from playground.views.panels.board import Board, BoardValues
from playground.views.panels.invocations import Verb
from playground.views.panels.panel import Panel

DECLARATIONS = STATIC / "messages.d.ts"
ENVELOPE = [each for each in vars(messages).values() if is_typeddict(each) and not each.__name__.startswith("_")]
NAMED = {
    "How": How,
    "Outcome": Outcome,
    "Became": Became,
    "Failure": Failure,
    "Mark": MarkItem,
    "Sign": Sign,
    "Tone": Tone,
    "Cell": Cell,
    "Verb": Verb,
}
"""Types without a name of their own, and what they are called."""
SIMPLE = {str: "string", bool: "boolean", int: "number", float: "number", object: "unknown", NoneType: "null"}


class Declarations:
    """Python's types in TypeScript. What a type refers to is declared with it."""

    def __init__(self) -> None:
        self.declared: dict[str, str] = {}
        self._kinds: dict[str, Any] = {}

    def text(self, kind: Any) -> str:
        """How a type is referred to."""
        name = next((name for name, named in NAMED.items() if named == kind), None)
        if name is None:
            return self._text(kind)
        if name not in self.declared:
            self.declared[name] = ""  # its place: before what refers to it
            self.declared[name] = f"export type {name} = {self._text(kind)};"
        return name

    def _text(self, kind: Any) -> str:
        origin, inner = get_origin(kind), get_args(kind)
        if kind in SIMPLE:
            return SIMPLE[kind]
        if isinstance(kind, TypeVar):
            return kind.__name__
        if is_typeddict(kind):
            self.declare(kind)
            return str(kind.__name__)
        if is_typeddict(origin):
            self.declare(origin)
            return f"{origin.__name__}<{', '.join(map(self.text, inner))}>"
        if origin is Literal:
            return " | ".join("true" if value is True else f'"{value}"' for value in inner)
        if origin in (Union, UnionType):
            return self._tuple(inner) or " | ".join(dict.fromkeys(map(self.text, inner)))
        if origin is tuple:
            return f"[{', '.join(map(self.text, inner))}]"
        if origin is list:
            item = self.text(inner[0])
            return f"({item})[]" if " " in item and not item.startswith("[") else f"{item}[]"
        if origin is dict:
            record = f"Record<{self.text(inner[0])}, {self.text(inner[1])}>"
            return record if inner[0] is str else f"Partial<{record}>"
        raise TypeError(f"{kind} has no form in TypeScript here")

    def _tuple(self, kinds: tuple[Any, ...]) -> str:
        """Tuples of which each goes on where the one before it ends: one whose last members may be missing."""
        members = [get_args(kind) if get_origin(kind) is tuple else () for kind in kinds]
        if not all(one and one == next_one[: len(one)] for one, next_one in pairwise(members)):
            return ""
        least = len(members[0])
        rest = [f"({self.text(kind)})?" for kind in members[-1][least:]]
        return f"[{', '.join([*map(self.text, members[0]), *rest])}]"

    def declare(self, kind: Any) -> None:
        """Declare a TypedDict."""
        name = kind.__name__
        if self._kinds.setdefault(name, kind) is not kind:
            raise TypeError(f"there are two types called {name}")
        if name in self.declared:
            return
        self.declared[name] = ""
        lines = []
        for field, told in get_type_hints(kind, include_extras=True).items():
            maybe = get_origin(told) is NotRequired
            optional = "?" if maybe or field in kind.__optional_keys__ else ""
            lines.append(f"  {field}{optional}: {self.text(get_args(told)[0] if maybe else told)};\n")
        parameters = ", ".join(each.__name__ for each in getattr(kind, "__parameters__", ()))
        head = f"export type {name}{f'<{parameters}>' if parameters else ''} = "
        body = f"{{\n{''.join(lines)}}}" if lines else "Record<string, never>"
        self.declared[name] = f"{comment(kind)}{head}{body};"

    def view(self, name: str, about: str, parts: dict[str, str], answered: dict[str, tuple[Any, Any]]) -> None:
        """Declare what is said by a view's kernel and its page: the parts of its pictures, and its actions."""
        lines = [f"  {part}: {told};\n" for part, told in parts.items()]
        actions = [
            f'    "{action}": {{ asked: {self.text(asked)}; answer: {self.text(answer)} }};\n'
            for action, (asked, answer) in answered.items()
        ]
        body = "".join([*lines, "  actions: {\n", *actions, "  };\n"])
        self.declared[name] = f"/** {about} */\nexport type {name} = {{\n{body}}};"


def comment(kind: type) -> str:
    """A type's docstring."""
    lines = (inspect.getdoc(kind) or "").splitlines()
    if len(lines) == 1:
        return f"/** {lines[0]} */\n"
    return "".join(["/**\n", *(f" * {line}".rstrip() + "\n" for line in lines), " */\n"])


def actions_of(kind: type) -> dict[str, tuple[Any, Any]]:
    """What a class answers: by name, what is asked and the answer."""
    return {name: (deed.asked, deed.answer) for name, deed in deeds(kind).items()}


def written() -> str:
    """The declarations as they have to be."""
    made = Declarations()
    for kind in [*ENVELOPE, page.Recorded]:
        made.declare(kind)
    widgets: dict[str, type[LiveWidget[Any, Any, Any]]] = {"LensView": LensWidget, "AtlasView": AtlasWidget}
    for name, widget in widgets.items():
        (base,) = widget.__orig_bases__
        parts = dict(zip(("values", "tables", "changed"), map(made.text, get_args(base)), strict=True))
        made.view(name, (inspect.getdoc(widget) or "").partition("\n")[0], parts, actions_of(widget))
    tables, changed, actions = "", "", actions_of(Board)
    for panel in Panel.__subclasses__():
        (item,) = get_args(panel.__orig_bases__[0])  # type: ignore[attr-defined]
        tables += f"    {panel.name}?: Record<string, {made.text(item)}>;\n"
        changed += f"    {panel.name}?: Record<string, {made.text(item)} | null>;\n"
        actions |= {f"{panel.name}.{verb}": told for verb, told in actions_of(panel).items()}
    parts = {"values": made.text(BoardValues), "tables": f"{{\n{tables}  }}", "changed": f"{{\n{changed}  }}"}
    made.view("BoardView", "A board: the items of its panels.", parts, actions)
    about = "// What a kernel and its page say to each other. Written by `python -m tests.unit.message_types`."
    return "\n\n".join([about, *made.declared.values()]) + "\n"


if __name__ == "__main__":
    DECLARATIONS.write_text(written(), "utf-8")
