"""What a live widget and its page say to each other: the envelope, in which each view sends its own.

A *picture* is all that a view shows: plain values, and tables of items by id. A *delta* is what is new in it. Each view
has its own types for them beside the code that makes them, and what a page may ask a view for is typed as well (see
`asked`). All of it is JSON. `static/messages.d.ts` says the same to the page's modules: it is written from these types,
TypeScript checks the modules with it, and a test holds the two together.
"""

from __future__ import annotations

from typing import Generic, Literal, NotRequired, TypedDict, TypeVar

Values = TypeVar("Values")
Tables = TypeVar("Tables")
Data = TypeVar("Data")


class Picture(TypedDict, Generic[Values, Tables]):
    """All there is to show."""

    values: Values
    tables: Tables


class Delta(TypedDict, Generic[Values, Tables], total=False):
    """What is new in a picture. An item is always whole; null stands for one that is gone."""

    values: Values
    tables: Tables


class Snapshot(Picture[Values, Tables], Generic[Values, Tables]):
    """The picture of the moment in which a widget is displayed.

    `at` is its position in the changes of the timeline, `now` the kernel's clock.
    """

    at: int
    now: float


class Nothing(TypedDict):
    """Nothing more to say."""


class OfPod(TypedDict):
    """Which pod, by its name."""

    pod: str


# -- to the page ------------------------------------------------------------------------------------

_From = TypedDict("_From", {"from": int})


class Update(_From, Generic[Data]):
    """What has changed between two positions; `whole` if it is all there is, so that anything else is gone."""

    type: Literal["delta"]
    to: int
    now: float
    data: Data
    whole: NotRequired[Literal[True]]


class Here(TypedDict):
    """The kernel has heard a view."""

    type: Literal["here"]


class Answer(TypedDict):
    """What an action has given."""

    type: Literal["answer"]
    id: str
    value: object


class Refusal(TypedDict):
    """Why an action was not done, in words."""

    type: Literal["answer"]
    id: str
    error: str


# -- to the kernel ----------------------------------------------------------------------------------


class Have(TypedDict):
    """A view is there, and its picture is at this position."""

    type: Literal["have"]
    view: str
    at: int


class Closed(TypedDict):
    """A view is gone."""

    type: Literal["closed"]
    view: str


class Act(TypedDict):
    """Do something, and answer under this id."""

    type: Literal["act"]
    view: str
    id: str
    name: str
    data: dict[str, object]
