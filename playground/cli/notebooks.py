"""Executing the lessons and refreshing their committed outputs, without changes that mean nothing.

Every notebook is executed from top to bottom in a fresh kernel and written back in place. What differs between two
equal runs is left out: timings, widget models, the interpreter's version. Pictures are special: a picture of a run
shows that run's milliseconds, so its bytes are new every time. Therefore a cell whose text is unchanged keeps its
committed outputs, pictures included. What counts as text is exactly what nbval compares in `check`. So if nothing has
changed, refreshing changes nothing in git.
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
from traitlets.config import Config

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
    """The notebooks with these names, or all that can run here, in the order of the lessons.

    Without names, those that need a cluster are left out, unless PLAYGROUND_BACKEND is knative.

    Args:
        names: for each notebook its path, its name, or the start of its name, such as `03`.
        folder: where they are.

    Raises:
        NotebookError: a name fits no notebook, or there are none at all.
    """
    known = sorted(folder.glob("*.ipynb"))
    chosen = []
    for name in names:
        stem = Path(name).name.removesuffix(".ipynb")
        fitting = [path for path in known if path.stem == stem] or [p for p in known if p.stem.startswith(stem)]
        if not fitting:
            raise NotebookError(
                f"There is no notebook {name!r}.",
                f"{folder} has: {', '.join(path.stem for path in known) or 'none'}.",
                "Give the name of one of those, or the start of its name.",
            )
        chosen += fitting
    if not names and not known:
        raise NotebookError("There are no notebooks.", f"{folder} has none.", "git checkout notebooks")
    if names:
        return sorted(set(chosen))
    return known if asked_for() == "knative" else [p for p in known if not needs_cluster(p)]


def needs_cluster(path: Path) -> bool:
    """Whether a notebook is about Kubernetes, because it asks for that backend by name."""
    cells = _parse(path.read_text("utf-8"), path).cells
    return any(cell.cell_type == "code" and _CLUSTER in cell.source for cell in cells)


def refresh(path: Path, *, fresh: bool = False, timeout: int = CELL_TIMEOUT) -> bool:
    """Execute a notebook in a fresh kernel and write it back. Returns whether the file changed.

    Args:
        path: the notebook.
        fresh: whether to keep no committed output, not even a picture beside unchanged text.
        timeout: seconds that a cell may take.

    Raises:
        NotebookError: a cell failed or took too long. The file is unchanged.
    """
    before = path.read_text("utf-8")
    notebook, committed = (_parse(before, path) for _ in range(2))
    try:
        with tempfile.TemporaryDirectory() as home:
            client = NotebookClient(
                notebook,
                timeout=timeout,
                kernel_name=_KERNEL["name"],
                config=by_sockets(home),
                resources={"metadata": {"path": str(path.parent)}},
                record_timing=False,
                store_widget_state=False,
                coalesce_streams=True,
            )
            client.execute(env=_environment(home))
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise NotebookError(
            f"{path.name} cannot be executed.",
            re.sub(r"\x1b\[[\d;]*m", "", str(error)).strip(),
            f"Open it and run it to see why: make lab, then notebooks/{path.name}",
        ) from None
    quieten(notebook, None if fresh else committed)
    after = nbformat.writes(notebook) + "\n"
    if after != before:
        path.write_text(after, "utf-8")
    return bool(after != before)


def refresh_glossary(folder: Path = FOLDER) -> None:
    """Rewrite the glossary from the terms of the lessons."""
    from playground.lessons import course

    (folder / course.GLOSSARY).write_text(course.glossary(folder), "utf-8")


def quieten(notebook: Any, committed: Any | None) -> None:
    """Remove from an executed notebook what differs between equal runs.

    Args:
        notebook: an nbformat 4 notebook, which is changed in place.
        committed: the notebook as it is committed, from which equal outputs are kept; or None.
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
    """What nbval compares of a cell's outputs: everything but pictures, widget views and tracebacks."""
    parts: list[Any] = []
    for output in outputs:
        match output.output_type:
            case "stream":
                if parts and parts[-1][0] == output.name:  # it is the same text in two writes as in one
                    parts[-1] = (output.name, parts[-1][1] + output.text)
                else:
                    parts.append((output.name, output.text))
            case "error":
                parts.append(("error", output.ename, output.evalue))
            case _:
                kept = {mime: value for mime, value in output.data.items() if mime not in _UNCOMPARED}
                pictures = sorted(mime for mime in output.data if mime in _UNCOMPARED)
                parts.append((output.output_type, {m: _without_pictures(v) for m, v in kept.items()}, pictures))
    return parts


def check(paths: Sequence[Path]) -> int:
    """Compare the committed outputs with those of a new run (nbval). Returns pytest's exit status.

    Raises:
        NotebookError: a code cell was never executed, which nbval would pass unseen.
    """
    for path in paths:
        for number, cell in enumerate(_parse(path.read_text("utf-8"), path).cells):
            if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None:
                raise NotebookError(
                    f"Cell {number} of {path.name} has never been executed.",
                    "So there is no committed output to compare a run with.",
                    f"python -m playground notebooks {path.stem}",
                )
    argv = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", f"--nbval-cell-timeout={CELL_TIMEOUT}"]
    if _SANITISE.exists():
        argv.append(f"--nbval-sanitize-with={_SANITISE}")
    on_a_cluster = asked_for() == "knative" or any(map(needs_cluster, paths))
    if len(paths) > 1 and not on_a_cluster:  # a namespace has room for one playground
        # Lessons mostly wait, so two at a time take little more than half as long.
        argv += ["--numprocesses=2", "--dist=loadscope"]
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run([*argv, *map(str, paths)], cwd=ROOT, env=_environment(home)).returncode


def by_sockets(folder: str) -> Config:
    """Jupyter's settings for a kernel that is reached by Unix sockets in a folder.

    By default Jupyter looks for free ports and gives them to the kernel by number; of several kernels that start at
    once, two may be given the same, and one dies.
    """
    return Config({"KernelManager": {"transport": "ipc", "ip": str(Path(folder) / "kernel")}})


def _environment(home: str) -> dict[str, str]:
    """The environment of a learner who has not begun: outputs must not depend on answers that somebody gave here."""
    return {**os.environ, "PLAYGROUND_PROGRESS": str(Path(home) / "progress.json")}


def _parse(text: str, path: Path) -> Any:
    try:
        return nbformat.reads(text, as_version=4)
    except Exception as error:
        raise NotebookError(f"{path.name} is not a notebook.", str(error), f"git checkout {path}") from None


def _drop_widget_views(outputs: list[Any]) -> None:
    # The models were in a kernel that is gone. A view without its model would hide the picture and the text beside it.
    for output in outputs:
        if "data" in output:
            output.data.pop(_WIDGET_VIEW, None)


def _without_pictures(value: Any) -> Any:
    return _DATA_URI.sub("data:image", value) if isinstance(value, str) else value
