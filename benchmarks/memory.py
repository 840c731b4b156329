"""What a kernel's memory grows by, per 1,000 invocations and in the long run: `python -m benchmarks memory`.

First real ones: a handler with two steps and one effect outside. Then what was recorded of them comes again and
again, under other names, as in a playground that runs for days; its recording has a limit and stays under it.
"""

from __future__ import annotations

import gc
import json
from concurrent.futures import ThreadPoolExecutor

import psutil

from benchmarks.measure import table
from playground import Playground, Recording
from playground.recording.events import Event, saved

INVOCATIONS = 1000
ROUNDS = 40
LIMIT = 64 * 1024 * 1024
SOURCE = """
import os
import httpx
import restate

orders = restate.Service("Orders")
LEDGER = os.environ["LEDGER_URL"]

client = httpx.AsyncClient(timeout=60)

async def pay(number: int) -> str:
    return (await client.post(f"{LEDGER}/payment", json={"order": number})).json()["id"]

async def pack(number: int) -> str:
    return f"parcel {number}"

@orders.handler()
async def place(ctx: restate.Context, number: int) -> str:
    await ctx.run_typed("pay", pay, number=number)
    return await ctx.run_typed("pack", pack, number=number)
"""


def run() -> str:
    """Measure; returns a Markdown table."""
    rows = [["what", "recording's events", "invocations in it", "memory grown by"]]
    with Playground.open() as pg:
        pg.deploy(name="orders", source=SOURCE)
        pg.call("Orders/place", 0)
        before = _memory()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: pg.call("Orders/place", number, timeout=120), range(INVOCATIONS)))
        rows.append(_row(f"{INVOCATIONS:,} invocations, real ones", pg.recording, before))
        events = [
            event.to_json() for event in pg.recording.events if event.kind.split(".")[0] not in ("server", "revision")
        ]
    gc.collect()
    recording, before = Recording(limit=LIMIT), _memory()
    for number in range(1, ROUNDS + 1):
        recording.append(*(_renamed(line, number) for line in events))
        _ = recording.timeline
        if number in (1, 5, 10, 20, ROUNDS):
            what = f"{number * INVOCATIONS:,} invocations, limit {LIMIT >> 20} MB"
            rows.append(_row(what, recording, before))
    return table(rows)


def _row(what: str, recording: Recording, before: float) -> list[str]:
    grown = _memory() - before
    return [what, f"{len(recording.events):,}", f"{len(recording.invocations):,}", f"{grown / 2**20:.0f} MB"]


def _renamed(line: str, number: int) -> Event:
    told = json.loads(line.replace("inv_", f"inv_{number}_").replace("orders-00001-", f"orders-00001-{number}-"))
    if "number" in told:
        told["number"] += number * 10 * INVOCATIONS
    return saved(told)


def _memory() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss)
