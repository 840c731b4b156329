"""What a page may ask for, and the answers.

A view's or a panel's method answers one action: `@answers("kill")` names it, its last parameter is a TypedDict of what
the page has to say, and its return type is what the page gets. What comes in is a stranger's, so it is read by that
type before the method sees it: whatever is missing or of another type is refused here, once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Generic, Literal, NotRequired, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from playground.errors import RequestError

Request = TypeVar("Request")
Method = TypeVar("Method", bound=Callable[..., object])

_NAME = "_answers"


@dataclass(frozen=True, slots=True)
class Deed(Generic[Request]):
    """One action that a page may ask for.

    Attributes:
        asked: the TypedDict of what it says.
        answer: the type of what it gets.
    """

    asked: type[Request]
    answer: Any
    method: Callable[..., object]

    def do(self, *on: object, data: Mapping[str, object]) -> object:
        """Do it; returns something JSON can say.

        Args:
            on: what the method is called with before what was asked.
            data: what the page says.

        Raises:
            PlaygroundError: it cannot be done; says why, and what can.
        """
        return self.method(*on, read(self.asked, data))


def answers(name: str) -> Callable[[Method], Method]:
    """Let a method answer the action of this name."""

    def mark(method: Method) -> Method:
        setattr(method, _NAME, name)
        return method

    return mark


def deeds(kind: type) -> dict[str, Deed[Any]]:
    """All actions that a class answers, by name."""
    found: dict[str, Deed[Any]] = {}
    for base in reversed(kind.__mro__):
        for method in vars(base).values():
            if name := getattr(method, _NAME, ""):
                hints = get_type_hints(method)
                answer = hints.pop("return")
                found[name] = Deed(list(hints.values())[-1], answer, method)
    return found


def read(kind: type[Request], said: Mapping[str, object]) -> Request:
    """What a page said, as a TypedDict; what it said besides is left out.

    Raises:
        RequestError: something is missing, or is of another type.
    """
    found: dict[str, object] = {}
    for name, wanted in get_type_hints(kind, include_extras=True).items():
        optional = get_origin(wanted) is NotRequired
        if name in said and _fits(said[name], get_args(wanted)[0] if optional else wanted):
            found[name] = said[name]
        elif name in said or not optional:
            raise RequestError(
                f"The page did not say which {name}.", "It is of another version.", "Run the cell again."
            )
    return cast(Request, found)


def _fits(value: object, wanted: Any) -> bool:
    """Whether a value out of JSON is of a type."""
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin in (Union, UnionType):
        return any(_fits(value, each) for each in inner)
    if origin is Literal:
        return any(value == each and type(value) is type(each) for each in inner)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(each, inner[1]) for each in value.values())
    return wanted is object or type(value) is wanted
