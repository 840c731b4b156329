"""How our own interpreters are started: with our modules, whatever lies about where the learner works.

An `email.py` in the working directory, or a `restate.py` in PYTHONPATH, would come before the module of that name
which our processes need. So they begin with neither in their path (`python -P`). What pods serve may import the
learner's modules, but finds them last: they are added behind everything else.
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
    """The command that runs one of our modules: of this very package, wherever it was imported from.

    Args:
        path: of the learner's modules, which are found last.
    """
    return [sys.executable, "-P", "-c", _BOOT, module, str(PACKAGE / "__init__.py"), json.dumps(list(path)), *arguments]


def environment() -> dict[str, str]:
    """This process's environment as our interpreters have it."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def learners_path() -> list[str]:
    """Where the learner's modules are found in this process, its working directory among it."""
    try:
        here = os.getcwd()
    except FileNotFoundError:
        here = ""
    return [each for each in dict.fromkeys([*(each or here for each in sys.path), here]) if each]
