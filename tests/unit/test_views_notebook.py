"""A notebook with a lens, as it is saved: readable with no kernel, and true for nbval."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from tests.unit.lens_models import RECORDINGS

ROOT = Path(__file__).parents[2]
LOAD = f"""
from playground import Recording
recording = Recording.load({str(RECORDINGS / "signup.jsonl")!r})
root = next(trace.id for trace in recording.invocations if trace.sent_at)
"""
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A notebook that ends with a lens, executed."""
    cells = [nbformat.v4.new_code_cell(LOAD), nbformat.v4.new_code_cell("recording.watch(root)")]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": ""}})
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)  # the kernel's
    try:
        NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
    path = tmp_path_factory.mktemp("notebook") / "lens.ipynb"
    nbformat.write(notebook, path)
    return path


def read(path: Path) -> Any:
    return nbformat.read(path, 4)


def test_what_is_saved(executed: Path) -> None:
    (output,) = read(executed).cells[1].outputs
    assert output.data.keys() == {"text/plain", "image/png", WIDGET}
    assert output.data["text/plain"].startswith("Signup/signup: completed, 3 attempts on 3 pods, 1 kill, 1 suspension")
    assert output.metadata["image/png"] == {"width": 900}


def test_exported_without_the_widgets_state_it_shows_the_picture(executed: Path) -> None:
    # As committed: playground/cli/notebooks.py leaves the widgets' state out. GitHub and nbviewer do the same.
    notebook = read(executed)
    notebook.metadata.pop("widgets", None)
    html, _ = HTMLExporter().from_notebook_node(notebook)  # type: ignore[no-untyped-call]
    assert 'src="data:image/png;base64,' in html
    assert "Error displaying widget" not in html


def test_nbval_compares_the_text_and_passes(executed: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval"]
    command += ["--nbval-sanitize-with", str(ROOT / "tests" / "nbval.cfg"), str(executed)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=executed.parent, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]

    notebook = read(executed)
    (output,) = notebook.cells[1].outputs
    output.data["text/plain"] = output.data["text/plain"].replace("cut off", "executed")
    broken = executed.with_name("broken.ipynb")
    nbformat.write(notebook, broken)
    done = subprocess.run(
        [*command[:-1], str(broken)], cwd=executed.parent, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "cut off" in done.stdout
