"""Names that are taken: modules of the learner's called like ours, and services called like modules."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from playground import Playground

pytestmark = pytest.mark.local

SERVICE = """
import dataclasses, email.message, json, pickle, typing
import pydantic, restate
import playground.pod.emit
from restate.serde import JsonSerde

class Order(pydantic.BaseModel):
    who: str
    parts: "list[Part]" = []

class Part(pydantic.BaseModel):
    name: str

@dataclasses.dataclass
class Kept:
    orders: "list[Order]"

service = restate.Service("NAME")

@service.handler()
async def place(ctx: restate.Context, order: Order) -> dict:
    Order.model_rebuild()
    kept = Kept([order])
    again = pickle.loads(pickle.dumps(kept))
    assert again == kept and typing.get_type_hints(Kept)["orders"] == list[Order]
    return {"who": json.loads(json.dumps(again.orders[0].who)), "module": __name__}
"""

NAMES = ["json", "restate", "playground", "email", "asyncio", "pydantic", "hypercorn", "typing"]


@pytest.mark.parametrize("pods", ["fork", "spawn"])
def test_a_service_may_be_called_like_a_module(pods: str) -> None:
    with Playground.open(pods=pods) as pg:
        for name in NAMES if pods == "fork" else NAMES[:2]:
            pg.deploy(name=name, source=SERVICE.replace("NAME", f"Of{name}"))
            for _ in range(2):
                told = pg.call(f"Of{name}/place", {"who": "ada", "parts": [{"name": "wheel"}]})
                assert told["who"] == "ada"
                assert told["module"] not in sys.modules
                assert not told["module"].isidentifier()
            pg.kill_pod(name)
            assert pg.call(f"Of{name}/place", {"who": "ben"})["who"] == "ben"


LEARNERS = """
import sys
PREPARE
sys.path.insert(0, "")  # as in a notebook's kernel, once it runs
from playground import Playground
source = '''
import email, json, restate
import helpers

greeter = restate.Service("Greeter")

@greeter.handler()
async def greet(ctx: restate.Context, name: str) -> str:
    return helpers.greeting(name)
'''
with Playground.open(pods=sys.argv[1]) as pg:
    pg.deploy(name="greeter", source=source)
    print(pg.call("Greeter/greet", "ada"), len(pg.ledger.entries()))
"""
LOADED = "import asyncio, decimal, email.message, email.utils, http.client, json, logging, queue, secrets, typing"


@pytest.mark.parametrize("pods", ["fork", "spawn"])
@pytest.mark.parametrize("where", ["working directory", "PYTHONPATH"])
def test_modules_called_like_ours_stop_nothing_and_helpers_are_found(tmp_path: Path, where: str, pods: str) -> None:
    ours = ["restate", "hypercorn", "wsproto"]
    if where == "working directory":  # in PYTHONPATH these would stop any Python
        ours += ["email", "json", "queue", "secrets", "typing", "decimal"]
    for name in ours:
        (tmp_path / f"{name}.py").write_text("raise ImportError('this is the learners own')")
    (tmp_path / "helpers.py").write_text("def greeting(name): return f'Hello {name}'")
    variables = {"PYTHONPATH": str(tmp_path)} if where == "PYTHONPATH" else {}
    done = subprocess.run(
        [sys.executable, "-P", "-c", LEARNERS.replace("PREPARE", LOADED), pods],
        cwd=tmp_path if where == "working directory" else tmp_path.parent,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "Hello ada 0\n", done.stderr
