"""Request bodies."""

from __future__ import annotations

import subprocess
import sys

CHECK = """
import sys
from playground.restate.body import check_body
from playground.restate.target import parse_target

handler = {"name": "add", "input": "JSON", "schema": {"type": "integer"}}
offered = [{"name": "Counter", "type": "VIRTUAL_OBJECT", "handlers": [handler]}]
check_body(parse_target("Counter/a/add", offered), 1, offered)
assert "jsonschema" in sys.modules
print(*(name for name in sys.modules if "rfc3987" in name))
"""


def test_checking_a_body_loads_no_slow_package() -> None:
    """A learner's first request would wait two seconds for a format that is never checked."""
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
