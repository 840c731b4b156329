"""A program that never calls `close()` ends as quietly as one that does, however it ends, and leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.local

OPEN = """
import os, sys, threading, time
from playground import Playground

GREETER = '''
import restate
greeter = restate.Service("Greeter")

@greeter.handler()
async def greet(ctx: restate.Context, name: str) -> str:
    return f"Hello {name}"
'''
pg = Playground.open()
pg.deploy(name="greeter", source=GREETER)
print(pg.call("Greeter/greet", "ada"), flush=True)
"""
ENDS = {
    "at the end": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "an exception": ("raise ValueError('boom')", 1),
    "sys.exit inside with": ("with pg:\n    sys.exit(3)", 3),
    "a daemon that calls": (
        "def work():\n    while True:\n        pg.call('Greeter/greet', 'eve')\n"
        "threading.Thread(target=work, daemon=True).start()\ntime.sleep(0.5)",
        0,
    ),
    "a thread that outlives the main one": (
        "def work():\n    time.sleep(1)\n    pg.kill_server()\n    pg.deploy(name='again', source=GREETER"
        ".replace('Greeter', 'Again'))\n    print(pg.call('Again/greet', 'late'), flush=True)\n"
        "threading.Thread(target=work).start()",
        0,
    ),
    "work under way": ("pg.send('Greeter/greet', 'x'); pg.http; pg.ingress_url; pg.ledger.entries()", 0),
    "a server that is down": (
        "import psutil\n[p.kill() for p in psutil.Process(pg.runtime.backend.keeper_pid).children()]",
        0,
    ),
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("run", ["file", "-c"])
def test_a_program_without_close(tmp_path: Path, how: str, run: str) -> None:
    code, status = ENDS[how]
    script = tmp_path / "script.py"
    script.write_text(OPEN + code)
    data = tmp_path / "tmp"
    data.mkdir()
    ended = subprocess.run(
        [sys.executable, str(script)] if run == "file" else [sys.executable, "-c", OPEN + code],
        env={**os.environ, "TMPDIR": str(data)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == status
    said = ended.stdout.splitlines()
    assert said[0] == "Hello ada"
    if "outlives" in how:
        assert said == ["Hello ada", "Hello late"]
    errors = ended.stderr.strip().splitlines()
    if "daemon" in how:  # Python says what became of the thread, if there is time for it
        trace = (" ", "Exception in thread", "Traceback (most recent call last)", "Fix: ")
        said_last = [line for line in errors if not line.startswith(trace)]
        assert all("playground.errors.PlaygroundClosed: This playground is closed.".startswith(x) for x in said_last)
    else:
        assert errors[-1:] == (["ValueError: boom"] if "exception" in how else [])
    assert "cannot schedule" not in ended.stderr
    assert not list(data.iterdir())
