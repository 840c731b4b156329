"""The lens of a running playground: what it does besides showing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from playground import Playground, Recording
from playground.errors import PodNotFound, RecordingError

LONG = """
import asyncio
import restate

long = restate.Service("Long")

async def echo(text: str) -> str:
    return text + "!"

@long.handler()
async def run(ctx: restate.Context, text: str) -> str:
    answer = await ctx.run_typed("echo", echo, text=text)
    _, promise = ctx.awakeable()
    return answer[-10:] + await promise
"""
TEXT = "ä" * 5000


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What widgets answer."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr("ipywidgets.Widget.send", lambda widget, content, buffers=None: told.append(content))
    return told


def test_whole_values_kills_and_a_page(pg: Playground, answers: list[dict[str, Any]], tmp_path: Path) -> None:
    pg.deploy(name="long", source=LONG)
    invocation = pg.send("Long/run", TEXT).wait_for(status="suspended")
    widget = pg.watch(invocation).widget

    def act(name: str, **data: str) -> dict[str, Any]:
        widget._receive({"type": "act", "view": "v", "id": "1", "name": name, "data": data}, None)
        return next(answer for answer in reversed(answers) if answer["type"] == "answer")

    details = act("entry", entry=f"{invocation.id}/e1")["value"]
    assert details["out"]["cut"]
    assert len(details["out"]["text"]) < details["out"]["size"]
    for entry, side, value in (("e0", "in", TEXT), ("e1", "out", f"{TEXT}!")):
        whole = act("value", entry=f"{invocation.id}/{entry}", side=side)["value"]
        assert json.loads(whole["text"]) == value
        assert whole["size"] == len(whole["text"].encode())
    assert "whole value is not there" in act("value", entry=f"{invocation.id}/e9", side="in")["error"]

    pod = invocation.attempts[-1].pod
    assert act("kill pod", pod=pod)["value"] == pod
    assert "There is no pod" in act("kill pod", pod=pod)["error"]
    pg.resolve(invocation.awakeables[0], "done")
    assert invocation.result().endswith("!done")
    path = invocation.export(tmp_path / "run.html")
    loaded = Recording.load(pg.recording.save(tmp_path / "run.jsonl"))
    assert repr(loaded.watch(invocation.id)) == repr(pg.watch(invocation.id)) == repr(invocation)
    assert loaded.export(invocation.id, tmp_path / "loaded.html").read_text() == path.read_text()
    widget.close()
    with pytest.raises(RecordingError):
        pg.watch("inv_nobody")
    with pytest.raises(PodNotFound):
        pg.kill_pod(pod)
