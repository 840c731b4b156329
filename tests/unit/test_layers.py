"""The picture in CONTRIBUTING.md and the linter's contract are of the same house."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAP = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]


def test_the_picture_has_the_layers_that_are_held() -> None:
    (layers,) = [each for each in LINTER["contracts"] if each["type"] == "layers"]
    picture = re.search(r"```text\n(.*?)```", MAP, re.DOTALL)
    assert picture is not None
    drawn = [re.split(r" {2,}", line)[0] for line in picture[1].splitlines()]
    assert drawn == layers["layers"]


def test_every_file_that_is_named_is_there() -> None:
    named = set(re.findall(r"`([\w./-]+\.(?:py|js|md|toml))`", MAP))
    gone = [
        n for n in named if not any((ROOT / f / n).is_file() for f in ("", "playground", "playground/views/static"))
    ]
    beside = {"attempts.py", "plans.py"}  # after a file of the same folder
    assert set(gone) - beside == {n for n in gone if "NAME" in n}
    assert len(named) > 20
