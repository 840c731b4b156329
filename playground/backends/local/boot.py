"""Starting our own Python interpreters so that they find our modules, whatever files the learner has around.

An `email.py` in the working directory, or a `restate.py` in PYTHONPATH, would hide the module of that name that our
processes need. So they start with neither on their path (`python -P`). The sources that pods serve may still import the
learner's modules: their places are added at the end of the path.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from playground.core.paths import PACKAGE

_BOOT = """\
import importlib.util, json, runpy, sys
module, package, path, *sys.argv[1:] = sys.argv[1:]
spec = importlib.util.spec_from_file_location("playground", package)
sys.modules["playground"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["playground"])
sys.path += [each for each in json.loads(path) if each not in sys.path]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def interpreter(module: str, *arguments: str, path: Sequence[str] = ()) -> list[str]:
    """The command that runs one of our modules, from the very package that is imported here.

    Args:
        path: where the learner's modules are; it is searched last.
    """
    return [sys.executable, "-P", "-c", _BOOT, module, str(PACKAGE / "__init__.py"), json.dumps(list(path)), *arguments]


def environment() -> dict[str, str]:
    """The environment of this process, without what our interpreters must not have."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def learners_path() -> list[str]:
    """Where this process finds the learner's modules, including its working directory."""
    try:
        here = os.getcwd()
    except FileNotFoundError:
        here = ""
    return [each for each in dict.fromkeys([*(each or here for each in sys.path), here]) if each]
