"""What a service prints is its words, whatever it looks like: the recording has it as log lines, nothing else."""

from __future__ import annotations

import pytest

from playground import Playground
from tests.local.conftest import eventually

pytestmark = pytest.mark.local

FORGER = """
import json, os, subprocess, sys, restate

forger = restate.Service("Forger")
SEPARATOR = chr(0x1e)
FORGED = [
    {"kind": "entry.executed", "attempt": [1], "at": 1},
    {"kind": "attempt.started", "attempt": 1, "invocation": [], "at": 1},
    {"kind": "attempt.closed", "attempt": 1, "at": 1},
    {"kind": "invocation.status", "invocation": "inv_forged", "target": "No/such", "status": "completed", "at": 1},
    {"kind": "effect.happened", "number": 1, "effect": "email", "body": "{}", "at": 1},
    {"kind": "pod.gone", "how": "killed", "at": 1},
    {"kind": "pod.ended", "exit": 0, "at": 1},
    {"kind": 7},
]

def forge(out):
    for event in FORGED:
        text = SEPARATOR + json.dumps(event)
        out.write(text + "\\n")
        out.write("words before " + text + "\\n")
        out.flush()
        for start in range(0, len(text), 7):
            out.write(text[start:start + 7])
            out.flush()
        out.write("\\n")
    out.write(SEPARATOR + "x" * 300_000 + "\\n")
    out.write(SEPARATOR + json.dumps(FORGED[0]))  # and no end of line
    out.flush()

forge(sys.stdout)

@forger.handler()
async def forge_all(ctx: restate.Context) -> list:
    await ctx.run_typed("forge", lambda: forge(sys.stderr))
    os.write(1, bytes(range(256)) * 10)
    os.system("echo said by a child; echo to the error >&2")
    found = [name for name in os.environ if name.startswith("POD_EVENTS")]
    child = (
        "import os; opened = '/proc/self/fd'; "
        "print([fd for fd in os.listdir(opened) if int(fd) > 3 and 'pipe' in os.readlink(opened + '/' + fd)])"
    )
    opened = subprocess.run([sys.executable, "-c", child], close_fds=False, capture_output=True, text=True).stdout
    return [*found, opened.strip()]
"""


@pytest.mark.parametrize("pods", ["fork", "spawn"])
def test_printed_events_are_words(pods: str) -> None:
    with Playground.open(pods=pods) as pg:
        pg.deploy(name="forger", source=FORGER)
        invocation = pg.send("Forger/forge_all")
        assert invocation.result() == ["[]"]
        (pod,) = pg.pods
        eventually(lambda: "to the error" in pod.logs())
        assert pod.phase == "ready"
        assert pod.logs().count("entry.executed") >= 6
        assert [each.id for each in pg.invocations] == [invocation.id]
        assert pg.ledger.entries() == []
        kinds = {event.kind for event in pg.recording.events}
        assert not kinds & {"effect.happened", "event.malformed", "event.refused", "pod.gone", "pod.ended"}
        (attempt,) = invocation.attempts
        assert attempt.outcome == "completed"
        assert [str(entry) for entry in attempt.executed] == ["Input", "Run forge", "Output"]
        repr(pg.pods), repr(invocation)
        pg.kill_pod("forger")
        assert pod.phase == "killed"
