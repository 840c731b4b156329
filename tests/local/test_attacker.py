"""Whoever else is on this machine gets no answer, changes nothing, and finds no secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from playground import Playground
from tests.local import attacker

pytestmark = pytest.mark.local

SOURCE = """
import os, httpx, restate

shop = restate.Service("Shop")
LEDGER = os.environ["LEDGER_URL"]
SEEN = sorted(os.environ)

def pay(who: str) -> None:
    httpx.post(LEDGER + "/payment", json={"from": who}).raise_for_status()

@shop.handler()
async def buy(ctx: restate.Context, who: str) -> dict:
    await ctx.run_typed("pay", pay, who=who)
    return {"environment": SEEN, "headers": sorted(ctx.request().attempt_headers), "ledger": LEDGER}

@shop.handler()
async def complain(ctx: restate.Context) -> str:
    print("the ledger is", LEDGER, "and Restate", os.environ["RESTATE_INGRESS_URL"])
    httpx.get(os.environ["RESTATE_INGRESS_URL"] + "/nothing/here")
    httpx.post(LEDGER + "/payment").raise_for_status()
"""


@dataclass
class Attacked:
    """A playground, and what an attacker got from it."""

    pg: Playground
    secrets: list[str]
    before: tuple[Any, ...]
    got: dict[str, Any]


def state(pg: Playground) -> tuple[Any, ...]:
    """What an attacker may not change."""
    timeline = pg.recording.timeline
    return (
        [(entry.kind, entry.body) for entry in pg.ledger.entries()],
        dict(timeline.faults),
        [inv.id for inv in pg.invocations],
        pg.runtime.run(pg.runtime.admin.query("SELECT id FROM sys_invocation ORDER BY id")),
        pg.runtime.run(pg.runtime.admin.query("SELECT id FROM sys_deployment ORDER BY id")),
    )


def processes(pg: Playground) -> list[psutil.Process]:
    """All there are of a playground: the keeper's, and this one."""
    keeper = psutil.Process(pg.runtime.backend.keeper_pid)  # type: ignore[attr-defined]
    return [psutil.Process(), keeper, *keeper.children(recursive=True)]


def listening(pg: Playground) -> list[tuple[str, int]]:
    connections = {c.laddr for each in processes(pg) for c in each.net_connections("inet") if c.status == "LISTEN"}
    return sorted((address.ip, address.port) for address in connections)


@pytest.fixture(scope="module")
def attacked() -> Iterator[Attacked]:
    with Playground.open(idle_window=60) as pg:
        pg.deploy(name="shop", source=SOURCE)
        pg.call("Shop/buy", "ada")
        asked_for = pg.ingress_url, pg.admin_url  # what somebody opened on purpose wants its secret, too
        headers = [pg.runtime.run(pg.runtime.admin.query("SELECT * FROM sys_deployment"))]
        assert headers
        urls = [pg.ledger.url, *asked_for, pg.runtime.backend._pods_door.url]  # type: ignore[attr-defined]
        secrets = [url.rsplit("/", 1)[1] for url in urls]
        assert all(len(secret) >= 32 for secret in secrets)
        [activator] = pg.runtime.backend._activators.values()  # type: ignore[attr-defined]
        secrets.append(activator._env["POD_SECRET"])
        before = state(pg)
        sockets = [str(pg.runtime.backend.ingress.socket), str(pg.runtime.backend.admin.socket)]
        ports = [port for _, port in listening(pg)]
        command = [sys.executable, attacker.__file__, json.dumps(ports), json.dumps([str(pg.runtime.directory)])]
        done = subprocess.run([*command, json.dumps(sockets)], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        yield Attacked(pg, secrets, before, json.loads(done.stdout))


def test_all_listens_on_loopback(attacked: Attacked) -> None:
    found = listening(attacked.pg)
    assert {ip for ip, _ in found} == {"127.0.0.1"}
    assert len(found) >= 5, "the ledger, a revision, the pods' way to the ingress, and the two that were asked for"


def test_nothing_is_answered(attacked: Attacked) -> None:
    answers = {**attacked.got["answers"], **attacked.got["answers by HTTP/2"]}
    assert len(answers) >= 20
    for way, each in answers.items():
        assert len(each) == len(attacker.REQUESTS)
        for (method, path, *_), (status, headers, text) in zip(attacker.REQUESTS, each, strict=True):
            asked = f"{method} {path} of port {way}: {status} {headers} {text}"
            assert status in (0, 400, 403, 404), asked
            assert not any(name.startswith("access-control") for name in headers), asked
            assert len(text) < 120, asked
            assert not any(word in text for word in ("Shop", "ada", "inv_", *attacked.secrets)), asked


def test_every_port_is_there_to_refuse(attacked: Attacked) -> None:
    """Not by chance: by HTTP/1.1 each of them answers something."""
    for way, each in attacked.got["answers"].items():
        assert any(status for status, *_ in each), way


def test_nothing_is_changed(attacked: Attacked) -> None:
    assert state(attacked.pg) == attacked.before
    assert attacked.pg.call("Shop/buy", "eve"), "and it all goes on"


def test_no_file_is_read_and_no_socket_is_reached(attacked: Attacked) -> None:
    if not attacked.got["somebody else"]:
        pytest.skip("only root can become somebody else")
    assert attacked.got["files"] == []
    assert attacked.got["paths"] == []


def test_what_may_hold_secrets_is_its_owners_alone(attacked: Attacked, tmp_path: Path) -> None:
    assert attacked.pg.runtime.directory.stat().st_mode & 0o777 == 0o700
    open_to_all = tmp_path / "data"
    open_to_all.mkdir(mode=0o755)
    with Playground.open(data_dir=open_to_all) as pg:
        httpx.post(f"{pg.ledger.url}/payment", json={"from": "ada"}).raise_for_status()
        for name in ("restate", "restate-server.log", "ledger.sqlite", "ledger.sqlite-wal"):
            assert (open_to_all / name).stat().st_mode & 0o077 == 0, name


def test_no_argument_of_a_process_is_secret(attacked: Attacked) -> None:
    seen = attacked.got["processes"]
    assert f"/proc/{os.getpid()}/cmdline" in seen
    for place, text in seen.items():
        if place.endswith("/cmdline") or attacked.got["somebody else"]:
            assert not any(secret in text for secret in attacked.secrets), place


def test_a_handler_does_not_see_its_pods_secret(attacked: Attacked) -> None:
    told = attacked.pg.call("Shop/buy", "ada")
    assert "LEDGER_URL" in told["environment"]
    assert "POD_SECRET" not in told["environment"]
    assert "authorization" not in [name.lower() for name in told["headers"]]


def test_what_is_shown_to_others_has_no_secret(attacked: Attacked, tmp_path: Path) -> None:
    pg = attacked.pg
    pg.ledger.misbehave("payment", fail=2)
    complaint = pg.send("Shop/complain")
    pg.ledger.wait_for("payment")
    complaint.result(timeout=30)
    assert any(attempt.outcome == "failed" for attempt in complaint.attempts)
    _ = pg.revisions, complaint.journal
    shown = {
        "recording": pg.recording.save(tmp_path / "run.jsonl").read_text("utf-8"),
        "page": complaint.export(tmp_path / "run.html").read_text("utf-8"),
        "text": repr((pg, pg.pods, pg.pods[0].logs(), pg.ledger, complaint, complaint.attempts, pg.invocations)),
        "keeper's log": (pg.runtime.directory / "keeper.log").read_text("utf-8"),
    }
    assert "/SECRET/payment" in shown["recording"], "the error says where the request went"
    for what, text in shown.items():
        for secret in attacked.secrets:
            assert secret not in text, what
