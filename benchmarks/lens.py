"""The replay lens beside the Restate UI: `python -m benchmarks lens`.

Both look at the same invocation of the same server in the same Chromium: a journal of so many entries that
goes on to grow by a step every third of a second or so. The lens is in a notebook in JupyterLab, whose kernel
is idle; the UI is the one the server brings at `/ui`, on a page of its own. A step is *seen* when its name
has come into the page and the frame after that is painted; it *happened* when the pod said so.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.measure import table
from tests.browser.conftest import CHROMIUM_FLAGS, Lab, Notebook, notebooks

SIZES = (100, 1_000, 10_000)
WATCHED = 15.0
"""Seconds for which live updates are looked at."""
PATIENCE = 180_000
SERVICE = """
import asyncio
import restate

big = restate.Service("Big")

async def nothing() -> None:
    pass

@big.handler()
async def run(ctx: restate.Context, steps: int) -> None:
    for begin in range(0, steps, 100):
        await restate.gather(*[ctx.run_typed(f"step {n}", nothing) for n in range(begin, min(begin + 100, steps))])
    for n in range(2000):
        await ctx.run_typed(f"tick {n}", asyncio.sleep, delay=ctx.random().uniform(0.2, 0.5))
"""
OPEN = f"""
from playground import Playground
pg = Playground.open(inactivity_timeout=600)
pg.deploy(name="big", source={SERVICE!r})
"""
# Notes when each tick has been seen, and when the first row was.
WATCH = r"""() => {
    window.seen = {};
    window.first = null;
    const after = work => requestAnimationFrame(() => setTimeout(work));
    const note = text => {
        if (window.first === null && /(step|tick) \d/.test(text)) {
            window.first = 0;
            after(() => { window.first = Date.now(); });
        }
        for (const [, n] of text.matchAll(/tick (\d+)/g)) {
            if (n in window.seen) continue;
            window.seen[n] = null;
            after(() => { window.seen[n] = Date.now(); });
        }
    };
    new MutationObserver(changes => {
        for (const change of changes) {
            if (change.type === "characterData") note(change.target.data);
            else for (const node of change.addedNodes) note(node.textContent);
        }
    }).observe(document, { childList: true, characterData: true, subtree: true });
}"""


# The UI mounts only the rows in view, and stays where it is: somebody keeps scrolling to the end.
FOLLOW = """() => setInterval(() => {
    for (const box of [document.scrollingElement, ...document.querySelectorAll("main, [class*=overflow]")]) {
        box.scrollTop = box.scrollHeight;
    }
}, 100)"""


@dataclass
class Seen:
    """What was measured of one way to look at one journal.

    Attributes:
        first: seconds until the first rows were there.
        again: the same, in a page that has been there before.
        late: seconds from each step's happening to its being seen.
        elements: mounted for it.
        heap: megabytes of JavaScript heap for it.
    """

    first: float
    elements: int
    heap: float
    again: float | None = None
    late: list[float] = field(default_factory=list)


def run() -> str:
    """Measure both; returns a Markdown table."""
    rows: list[tuple[str, ...]] = [
        ("entries", "", "first rows", "opened again", "step → seen, median", "p95", "elements", "JS heap")
    ]
    with _browser() as (lab, browser):
        for size in SIZES:
            lens, ui = _measure(lab, browser, size)
            rows += [_row(f"{size:,}", "lens", lens), _row("", "Restate UI", ui)]
    return table(rows)


@contextmanager
def _browser() -> Iterator[tuple[Lab, Browser]]:
    path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        lab = Lab(Path(directory))
        try:
            yield lab, browser
        finally:
            lab.close()
            browser.close()


def _measure(lab: Lab, browser: Browser, size: int) -> tuple[Seen, Seen]:
    with notebooks(lab, browser, f"lens-{size}") as open_notebook:
        notebook = open_notebook(
            OPEN,
            f"inv = pg.send('Big/run', {size})\n"
            "_ = inv.wait_for(entry='tick 0', timeout=300)\nprint(pg.admin_url, inv.id)",
            "pg.watch(inv)",
            "import json\nevents = [event for event in pg.recording.events if event.kind == 'entry.executed']\n"
            "print(json.dumps({event.data['name']: event.at for event in events if event.data.get('name')}))",
            "inv.kill(); pg.close()",
        )
        notebook.run(0)
        notebook.run(1)
        admin_url, invocation = notebook.outputs(1)[0]["text"].split()
        lens = _lens(notebook)
        context = browser.new_context(viewport={"width": 1280, "height": 1000})
        ui = _ui(context.new_page(), f"{admin_url}/ui/invocations/{invocation}")
        notebook.run(3)
        told = json.loads(notebook.outputs(3)[0]["text"]).items()
        happened = {name.removeprefix("tick "): at for name, at in told if name.startswith("tick ")}
        for found, page in ((lens, notebook.page), (ui, context.pages[0])):
            found.late = _late(page, happened)
        context.close()
        notebook.run(4)
    return lens, ui


def _lens(notebook: Notebook) -> Seen:
    page = notebook.page
    heap, began = _heap(page), 0.0
    page.evaluate(WATCH)
    began = time.time()
    notebook.start(2)
    first = _first(page) - began
    page.wait_for_timeout(WATCHED * 1000)
    elements = page.evaluate("document.querySelectorAll('.lens, .lens *').length")
    seen = Seen(first, elements, _heap(page) - heap)
    page.evaluate("window.first = null")
    began = time.time()
    notebook.start(2)
    seen.again = _first(page) - began
    return seen


def _ui(page: Page, url: str) -> Seen:
    page.add_init_script(f"({WATCH})()")
    page.set_default_timeout(PATIENCE)
    began = time.time()
    page.goto(url, wait_until="commit")
    first = _first(page) - began
    page.evaluate(FOLLOW)
    page.wait_for_timeout(WATCHED * 1000)
    seen = Seen(first, page.evaluate("document.querySelectorAll('body *').length"), _heap(page))
    kept = page.evaluate("window.seen")
    began = time.time()
    page.reload(wait_until="commit")
    seen.again = _first(page) - began
    page.evaluate("kept => { window.seen = kept; }", kept)
    return seen


def _first(page: Page) -> float:
    page.wait_for_function("window.first", timeout=PATIENCE)
    return float(page.evaluate("window.first")) / 1000


def _late(page: Page, happened: dict[str, float]) -> list[float]:
    """From happening to being seen, of the steps that happened while the page was looking."""
    seen = {n: at / 1000 for n, at in page.evaluate("window.seen").items() if at}
    begin = min(seen.values(), default=0.0)  # what was there before came with the first rows
    return [at - happened[n] for n, at in seen.items() if n in happened and begin < happened[n] < begin + WATCHED]


def _heap(page: Page) -> float:
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: dict[str, Any] = session.send("Runtime.getHeapUsage")
    session.detach()
    return float(used["usedSize"]) / 2**20


def _row(size: str, name: str, seen: Seen) -> tuple[str, ...]:
    late = sorted(seen.late)
    p95 = f"{late[int(0.95 * (len(late) - 1))] * 1000:.0f} ms" if late else "–"
    middle = f"{statistics.median(late) * 1000:.0f} ms (of {len(late)})" if late else "–"
    again = "–" if seen.again is None else f"{seen.again:.2f} s"
    return size, name, f"{seen.first:.2f} s", again, middle, p95, f"{seen.elements:,}", f"{seen.heap:.1f} MB"
