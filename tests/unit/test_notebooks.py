"""Refreshing outputs: executed in real kernels, and quiet when nothing has changed."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from playground.cli import notebooks
from playground.cli.notebooks import NotebookError

# A view as ours are: a text that is the same in every run, and a picture that never is. And a widget.
VIEW = """
import base64, os
class View:
    def _repr_mimebundle_(self, include=None, exclude=None):
        picture = base64.b64encode(os.urandom(30)).decode()
        uri = f'<img src="data:image/png;base64,{picture}">'
        return {"text/plain": TEXT, "text/html": uri, "image/png": picture,
                "application/vnd.jupyter.widget-view+json": {"model_id": os.urandom(8).hex()}}
View()
"""


def write(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def outputs(path: Path) -> list[Any]:
    return [cell["outputs"] for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def test_equal_runs_are_the_same_to_the_byte(tmp_path: Path) -> None:
    path = write(tmp_path / "00-a.ipynb", "TEXT = 'as ever'; print('one'); print('two')", VIEW)
    assert notebooks.refresh(path)
    before = path.read_bytes()
    assert not notebooks.refresh(path)
    assert path.read_bytes() == before

    assert notebooks.refresh(path, fresh=True), "a new picture was asked for"
    bundle = outputs(path)[1][0]["data"]
    assert set(bundle) == {"text/plain", "text/html", "image/png"}
    metadata = json.loads(path.read_text())["metadata"]
    assert metadata["language_info"] == {"name": "python"}, "the interpreter's version is not the lesson's business"
    assert set(metadata) == {"kernelspec", "language_info"}


def test_another_text_brings_its_own_picture(tmp_path: Path) -> None:
    path = write(tmp_path / "00-a.ipynb", "TEXT = 'before'", VIEW)
    notebooks.refresh(path)
    before = outputs(path)[1][0]["data"]
    path.write_text(path.read_text().replace("'before'", "'after'"))
    notebooks.refresh(path)
    after = outputs(path)[1][0]["data"]
    assert after["text/plain"] == ["after"]
    assert base64.b64decode(after["image/png"]) != base64.b64decode(before["image/png"])


def test_a_failing_cell_leaves_the_file_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "03-broken.ipynb", "print('fine')", "1 / 0")
    before = path.read_bytes()
    with pytest.raises(NotebookError) as error:
        notebooks.refresh(path)
    assert error.value.what == "03-broken.ipynb cannot be executed."
    assert "ZeroDivisionError: division by zero" in error.value.why
    assert "\x1b" not in error.value.why
    assert path.read_bytes() == before


def test_a_cell_that_never_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "03-slow.ipynb", "import time; time.sleep(60)")
    with pytest.raises(NotebookError, match="timed out"):
        notebooks.refresh(path, timeout=1)


def test_what_counts_as_equal() -> None:
    def result(**data: str) -> Any:
        named = {name.replace("_", "/"): value for name, value in data.items()}
        return nbformat.from_dict({"output_type": "execute_result", "metadata": {}, "data": named})

    def stream(text: str) -> Any:
        return nbformat.from_dict({"output_type": "stream", "name": "stdout", "text": text})

    same = notebooks.compared
    assert same([result(text_plain="a", image_png="1")]) == same([result(text_plain="a", image_png="2")])
    assert same([result(text_plain="a")]) != same([result(text_plain="b")])
    assert same([result(text_plain="a", image_png="1")]) != same([result(text_plain="a")])
    assert same([stream("a\n"), stream("b\n")]) == same([stream("a\nb\n")])
    assert same([stream("a\n")]) != same([stream("a\nb\n")])


def test_check_compares_pictures_never_and_text_always(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "00-a.ipynb", "TEXT = 'as ever'", VIEW)
    with pytest.raises(NotebookError, match=r"Cell 0 of 00-a\.ipynb has never been executed") as error:
        notebooks.check([path])
    assert error.value.fix == "python -m playground notebooks 00-a"
    notebooks.refresh(path)
    assert notebooks.check([path]) == 0
    path.write_text(path.read_text().replace('"as ever"', '"otherwise"'))
    assert notebooks.check([path]) == 1


def test_names(tmp_path: Path) -> None:
    one, two = (write(tmp_path / name) for name in ("00-start-here.ipynb", "01-replay.ipynb"))
    assert notebooks.find([], tmp_path) == [one, two]
    for name in ("01", "01-replay", "01-replay.ipynb", "notebooks/01-replay.ipynb"):
        assert notebooks.find([name], tmp_path) == [two]
    assert notebooks.find(["01", "00"], tmp_path) == [one, two]
    with pytest.raises(NotebookError, match="There is no notebook '02'") as error:
        notebooks.find(["02"], tmp_path)
    assert error.value.why == f"{tmp_path} has: 00-start-here, 01-replay."


def test_the_kernel_finds_the_package_from_anywhere(tmp_path: Path) -> None:
    """Notebooks and pods run in folders of their own: `import playground` must not hang on the current one."""
    script = "import playground, pathlib; print(pathlib.Path(playground.__file__).parent)"
    found = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()) == Path(notebooks.__file__).parents[1]
