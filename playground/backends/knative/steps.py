"""One line per step on the terminal, with what is being waited for underneath.

A step's line is printed when it has ended: with how long it took, or as what failed. On a terminal it
turns while it runs. What is told meanwhile, such as why a pod does not get ready, stays on the screen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text


class Step:
    """A step that is under way.

    Attributes:
        done: what its line says more when it has ended, e.g. "3 images".
    """

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._status = console.status(Text(title)) if console.is_terminal else None
        self.done = ""

    def now(self, doing: str) -> None:
        """Say what it is doing; the next such text takes its place."""
        if self._status is not None:
            self._status.update(Text(f"{self._title}: {doing}"))

    def tell(self, text: str) -> None:
        """Say something that stays on the screen."""
        for line in text.splitlines():
            self._console.print(Text(f"       {line}", "yellow"))

    def start(self) -> None:
        """Begin to turn."""
        if self._status is not None:
            self._status.start()

    def stop(self) -> None:
        """Stop turning."""
        if self._status is not None:
            self._status.stop()


class Steps:
    """The steps of one command.

    Args:
        console: where the lines go.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """A step: what is inside of `with`."""
        step, began = Step(self._console, title), time.monotonic()
        step.start()
        try:
            yield step
        except BaseException as error:
            step.stop()
            stopped = isinstance(error, KeyboardInterrupt | asyncio.CancelledError)
            sign, more = ("STOP", ": interrupted; the same command goes on from here") if stopped else ("FAIL", "")
            self._line(sign, "bold red", f"{title}{more}")
            raise
        step.stop()
        took = f"{time.monotonic() - began:.1f} s"
        self._line("ok", "green", f"{title} ({', '.join(filter(None, [step.done, took]))})")

    def tell(self, text: str) -> None:
        """Say something between two steps."""
        self._console.print(Text(text))

    def _line(self, sign: str, style: str, text: str) -> None:
        self._console.print(Text.assemble((f"{sign:<4}", style), "   ", text))
