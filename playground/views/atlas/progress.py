"""A sweep's progress: a bar in a notebook, a bar on a terminal, nothing where nobody looks.

In a notebook a line of text takes the bar's place when it is over. The same text stands beside the bar from the
beginning: it is what is saved and compared, by tools that see the last form of an output (nbclient) and by
one that sees only the first (nbval).
"""

from __future__ import annotations

import importlib.util
import sys
from types import TracebackType
from typing import Any

from playground.core.text import clean, plural


class Progress:
    """A progress bar for the time of a `with` block.

    Args:
        target: what is being crashed.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._step: Any = None
        self._end: Any = None

    def __enter__(self) -> Progress:
        return self

    def begin(self, total: int) -> None:
        """Show the bar."""
        if "IPython" in sys.modules:
            from IPython.core.getipython import get_ipython

            if getattr(get_ipython(), "kernel", None) is not None:
                if importlib.util.find_spec("ipywidgets") is not None:  # else nobody could show it
                    self._in_notebook(total)
                return
        if sys.stderr.isatty():
            self._on_terminal(total)

    def step(self) -> None:
        """One more run is done."""
        if self._step is not None:
            self._step()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._end is not None:
            self._end()

    def _in_notebook(self, total: int) -> None:
        import ipywidgets
        from IPython.display import display

        line = f"{plural(total, 'run')} of {clean(self._target)}"

        class Bar(ipywidgets.IntProgress):  # type: ignore[misc]
            """A bar whose text form is what takes its place."""

            def __repr__(self) -> str:
                return line

        bar = Bar(max=total, description=f"0 of {total}")
        shown = display(bar, display_id=True)  # type: ignore[no-untyped-call]

        def step() -> None:
            bar.value += 1
            bar.description = f"{bar.value} of {total}"

        def end() -> None:
            shown.update({"text/plain": line}, raw=True)
            bar.close()

        self._step, self._end = step, end

    def _on_terminal(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import Progress as Bar

        bar = Bar(console=Console(stderr=True), transient=True)
        task = bar.add_task(f"crashing {self._target}", total=total)
        bar.start()
        self._step, self._end = lambda: bar.advance(task), bar.stop
