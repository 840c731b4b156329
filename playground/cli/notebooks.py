"""Execute the lessons and keep what is committed of them quiet and true.

Every notebook is executed from top to bottom in a fresh kernel and written back in place. What differs
between two runs that did the same is left out (timings, widget models, the interpreter's version), and
pictures are the interesting case: a picture of a run shows that run's milliseconds, so its bytes are new
every time. Therefore a cell whose text is what it was keeps its committed outputs, pictures and all. What
counts as text is exactly what nbval compares in `check`. So refreshing without a change is no change in git.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from playground.core.paths import CHECKOUT
from playground.errors import PlaygroundError
from playground.runtime.opening import asked_for

ROOT = CHECKOUT
FOLDER = ROOT / "notebooks"
CELL_TIMEOUT = 300
_SANITISE = ROOT / "tests" / "nbval.cfg"
_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_UNCOMPARED = (_WIDGET_VIEW, "image/png", "image/jpeg")
_DATA_URI = re.compile(r"data:image/[\w.+-]+;base64,[\w+/=]+")
_CLUSTER = 'Playground.open(backend="knative"'
_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


class NotebookError(PlaygroundError):
    """A notebook cannot be found, executed or trusted."""


def find(names: Sequence[str] = (), folder: Path = FOLDER) -> list[Path]:
    """The notebooks of these names, or all that can run here, in the order of the lessons.

    Those that need a cluster are among them only if they are named, or if PLAYGROUND_BACKEND is knative.

    Args:
        names: each the path of a notebook, its name, or the start of its name, such as `03`.
        folder: where they are.

    Raises:
        NotebookError: a name fits none, or there are none at all.
    """
    known = sorted(folder.glob("*.ipynb"))
    found = []
    for name in names:
        stem = Path(name).name.removesuffix(".ipynb")
        fitting = [path for path in known if path.stem == stem] or [p for p in known if p.stem.startswith(stem)]
        if not fitting:
            raise NotebookError(
                f"There is no notebook {name!r}.",
                f"{folder} has: {', '.join(path.stem for path in known) or 'none'}.",
                "Name one of those, or the start of its name.",
            )
        found += fitting
    if not names and not known:
        raise NotebookError("There are no notebooks.", f"{folder} has none.", "git checkout notebooks")
    if names:
        return sorted(set(found))
    return known if asked_for() == "knative" else [p for p in known if not needs_cluster(p)]


def needs_cluster(path: Path) -> bool:
    """Whether a notebook is about Kubernetes itself: it asks for that backend by name."""
    cells = _parse(path.read_text("utf-8"), path).cells
    return any(cell.cell_type == "code" and _CLUSTER in cell.source for cell in cells)


def refresh(path: Path, *, fresh: bool = False, timeout: int = CELL_TIMEOUT) -> bool:
    """Execute a notebook in a fresh kernel and write it back, quiet; returns whether the file changed.

    Args:
        path: the notebook.
        fresh: keep no committed output, not even a picture beside text that is still the same.
        timeout: seconds a cell may take.

    Raises:
        NotebookError: a cell failed or took too long. The file is as it was.
    """
    before = path.read_text("utf-8")
    notebook, committed = (_parse(before, path) for _ in range(2))
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name=_KERNEL["name"],
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
    )
    try:
        with tempfile.TemporaryDirectory() as home:
            client.execute(env=_environment(home))
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise NotebookError(
            f"{path.name} cannot be executed.",
            re.sub(r"\x1b\[[\d;]*m", "", str(error)).strip(),
            f"Open it and run it there: make lab, then notebooks/{path.name}",
        ) from None
    quieten(notebook, None if fresh else committed)
    after = nbformat.writes(notebook) + "\n"
    if after != before:
        path.write_text(after, "utf-8")
    return bool(after != before)


def refresh_glossary(folder: Path = FOLDER) -> None:
    """Write the glossary anew from the terms of the lessons."""
    from playground.lessons import course

    (folder / course.GLOSSARY).write_text(course.glossary(folder), "utf-8")


def quieten(notebook: Any, committed: Any | None) -> None:
    """Take out of an executed notebook what differs between runs that did the same.

    Args:
        notebook: an nbformat 4 notebook; changed in place.
        committed: the same notebook as it is committed, to keep equal outputs from; or None.
    """
    notebook.metadata = nbformat.from_dict({"kernelspec": _KERNEL, "language_info": {"name": "python"}})
    old = {cell.id: cell for cell in committed.cells} if committed else {}
    for cell in notebook.cells:
        for name in ("execution", "ExecuteTime", "trusted"):
            cell.metadata.pop(name, None)
        if cell.cell_type != "code":
            continue
        _drop_widget_views(cell.outputs)
        before = old.get(cell.id)
        if before is None or before.cell_type != "code":
            continue
        _drop_widget_views(before.outputs)
        if compared(before.outputs) == compared(cell.outputs):
            cell.outputs = before.outputs
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = cell.execution_count


def compared(outputs: Iterable[Any]) -> list[Any]:
    """What nbval compares of a cell's outputs: all but pictures, widget views and tracebacks."""
    found: list[Any] = []
    for output in outputs:
        match output.output_type:
            case "stream":
                if found and found[-1][0] == output.name:  # two writes, or one: the same text
                    found[-1] = (output.name, found[-1][1] + output.text)
                else:
                    found.append((output.name, output.text))
            case "error":
                found.append(("error", output.ename, output.evalue))
            case _:
                kept = {mime: value for mime, value in output.data.items() if mime not in _UNCOMPARED}
                pictures = sorted(mime for mime in output.data if mime in _UNCOMPARED)
                found.append((output.output_type, {m: _without_pictures(v) for m, v in kept.items()}, pictures))
    return found


def check(paths: Sequence[Path]) -> int:
    """Compare the committed outputs with those of a run now (nbval); returns pytest's exit status.

    Raises:
        NotebookError: a code cell was never executed. nbval would pass it without a look.
    """
    for path in paths:
        for number, cell in enumerate(_parse(path.read_text("utf-8"), path).cells):
            if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None:
                raise NotebookError(
                    f"Cell {number} of {path.name} has never been executed.",
                    "So it has no committed output that a run could be compared with.",
                    f"python -m playground notebooks {path.stem}",
                )
    argv = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", f"--nbval-cell-timeout={CELL_TIMEOUT}"]
    if _SANITISE.exists():
        argv.append(f"--nbval-sanitize-with={_SANITISE}")
    on_a_cluster = asked_for() == "knative" or any(map(needs_cluster, paths))
    if len(paths) > 1 and not on_a_cluster:  # a namespace has room for one playground
        # Lessons mostly wait: two at a time take little more than half as long.
        argv += ["--numprocesses=2", "--dist=loadscope"]
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run([*argv, *map(str, paths)], cwd=ROOT, env=_environment(home)).returncode


def _environment(home: str) -> dict[str, str]:
    """A learner's who has not begun: outputs must not depend on what somebody has answered here."""
    return {**os.environ, "PLAYGROUND_PROGRESS": str(Path(home) / "progress.json")}


def _parse(text: str, path: Path) -> Any:
    try:
        return nbformat.reads(text, as_version=4)
    except Exception as error:
        raise NotebookError(f"{path.name} is no notebook.", str(error), f"git checkout {path}") from None


def _drop_widget_views(outputs: list[Any]) -> None:
    # Models live in a kernel that is gone: without one, a view hides the picture and the text beside it.
    for output in outputs:
        if "data" in output:
            output.data.pop(_WIDGET_VIEW, None)


def _without_pictures(value: Any) -> Any:
    return _DATA_URI.sub("data:image", value) if isinstance(value, str) else value
