"""A page of another origin, in the learner's own browser: it calls no handler, reads nothing, changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser

from playground import Playground

SOURCE = """
import os, httpx, restate

shop = restate.Service("Shop")

def pay(who: str) -> None:
    httpx.post(os.environ["LEDGER_URL"] + "/payment", json={"from": who}).raise_for_status()

@shop.handler()
async def buy(ctx: restate.Context, who: str) -> None:
    await ctx.run_typed("pay", pay, who=who)
"""

ATTACK = """async ports => {
    const requests = [
        ["POST", "/Shop/buy", "application/json"],
        ["POST", "/Shop/buy/send", "text/plain"],
        ["POST", "/payment", "text/plain"],
        ["POST", "/payment", "application/json"],
        ["GET", "/-/entries", null],
        ["DELETE", "/-/entries", null],
        ["GET", "/deployments", null],
        ["POST", "/query", "application/json"],
        ["GET", "/discover", null],
        ["GET", "/", null],
    ];
    const read = [];
    for (const port of ports)
        for (const host of ["127.0.0.1", "localhost", "rebound.example"])
            for (const [method, path, type] of requests)
                for (const mode of ["cors", "no-cors"])
                    try {
                        const options = {method, mode, headers: type ? {"content-type": type} : {}};
                        if (method === "POST") options.body = '"eve"';
                        const answer = await fetch(`http://${host}:${port}${path}`, options);
                        if (answer.type !== "opaque") read.push([host, port, method, path, await answer.text()]);
                    } catch (error) {
                        // refused, by the browser or by whoever listens
                    }
    for (const port of ports) {
        const form = document.createElement("form");  // what needs no permission at all
        Object.assign(form, {method: "POST", action: `http://127.0.0.1:${port}/payment`, target: "sink"});
        document.body.append(form);
        form.submit();
        await new Promise(done => {
            const socket = new WebSocket(`ws://127.0.0.1:${port}/payment`);
            socket.onopen = () => { read.push(["websocket", port]); done(); };
            socket.onerror = socket.onclose = () => done();
        });
    }
    return read;
}"""


@pytest.fixture
def evil() -> Iterator[str]:
    """Another origin on this machine, as an advertisement or a package's demo page would be."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>evil</title><iframe name=sink></iframe>")

        def log_message(self, format: str, *args: Any) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def state(pg: Playground) -> tuple[Any, ...]:
    timeline = pg.recording.timeline
    entries = [(entry.kind, entry.body) for entry in pg.ledger.entries()]
    return entries, dict(timeline.faults), [inv.id for inv in pg.invocations]


def test_a_page_of_another_origin(chromium: Browser, evil: str) -> None:
    with Playground.open(idle_window=120) as pg:
        pg.deploy(name="shop", source=SOURCE)
        pg.call("Shop/buy", "ada")
        assert pg.ingress_url
        assert pg.admin_url
        keeper = psutil.Process(pg.runtime.backend.keeper_pid)  # type: ignore[attr-defined]
        all_of_it = [psutil.Process(), keeper, *keeper.children(recursive=True)]
        found = {c.laddr.port for each in all_of_it for c in each.net_connections("inet") if c.status == "LISTEN"}
        ports = sorted(found - {int(evil.rsplit(":", 1)[1].strip("/"))})
        assert len(ports) >= 5
        before = state(pg)
        context = chromium.new_context()
        page = context.new_page()
        page.goto(evil)
        assert page.evaluate(ATTACK, ports) == []
        context.close()
        assert state(pg) == before
        pg.call("Shop/buy", "eve")
        assert pg.ledger.count("payment") == 2
