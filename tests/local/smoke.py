"""A playground's life in one go, run as a program of its own: open, deploy, send, kill, replay, close.

It says OK, or why not; whether it leaves anything behind is for whoever runs it to see.
"""

from __future__ import annotations

import os
import sys

from playground import Playground

SOURCE = """
import os, time, httpx, restate

shop = restate.Service("Shop")

def pack() -> str:
    return "packed"

def pay() -> str:
    answer = httpx.post(os.environ["LEDGER_URL"] + "/payment", json={"from": "Zo\u00eb"}, timeout=60)
    if answer.raise_for_status().json()["id"] == "payment-1":
        time.sleep(600)  # its pod is killed here
    return "paid"

@shop.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    first = await ctx.run_typed("pack", pack)
    second = await ctx.run_typed("pay", pay)
    return f"{who}: {first}, {second}"
"""


def main() -> str:
    sys.path.insert(0, "")  # as in a notebook's kernel, once it runs
    with Playground.open() as pg:
        pg.deploy(name="shop", source=SOURCE)
        bought = pg.send("Shop/buy", "Zo\u00eb")
        pg.ledger.wait_for("payment")
        pg.kill_pod("shop")
        result = bought.result(timeout=60)
        if result != "Zo\u00eb: packed, paid":
            return f"another result: {result!r}"
        *before, last = bought.attempts
        if last.outcome != "completed" or not any(attempt.outcome == "killed" for attempt in before):
            return f"other attempts: {bought.attempts}"
        if not any(entry.name == "pack" for entry in last.replayed):
            return f"not replayed: {last}"
        if pg.ledger.count("payment") < 2:
            return f"another world: {pg.ledger}"
        if "\u00eb" not in repr(pg.ledger):
            return f"other characters: {pg.ledger!r}"
        directory = pg.runtime.directory
    if os.path.exists(directory):
        return f"left behind: {directory}"
    return "OK"


if __name__ == "__main__":
    print(main())
