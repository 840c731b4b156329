"""The crash atlas in a real page: a sweep, its grid, and the replay behind a run."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, OpenNotebook, violations

expect.set_options(timeout=PATIENCE)

OPEN = "from playground import Playground\npg = Playground.open()"
DEPLOY = """%%service mail
import os, httpx, restate

mail = restate.Service("Mail")

@mail.handler()
async def send(ctx: restate.Context, who: str) -> str:
    await ctx.run_typed("send", lambda: httpx.post(os.environ["LEDGER_URL"] + "/email", json={"to": who}) and None)
    return f"sent to {who}"
"""
SWEEP = 'atlas = pg.atlas("Mail/send", "<script>ada</script>")\natlas'


def test_a_sweep_its_grid_and_the_replay_of_a_run(open_notebook: OpenNotebook, axe_core: str) -> None:
    notebook = open_notebook(OPEN, DEPLOY, SWEEP)
    for number in range(3):
        notebook.run(number)
    grid = notebook.cell(2).locator(".dp-atlas, .atlas").first
    expect(grid).to_contain_text("Crash atlas of Mail/send")
    expect(grid).to_contain_text("a pod killed at each")
    expect(grid.get_by_text("twice !")).to_have_count(1)
    grid.get_by_role("button", name="only what deviates").click()
    run = grid.get_by_role("row").filter(has_text="before its result is journaled")
    expect(run).to_have_count(1)
    run.click()
    expect(grid).to_contain_text("email in Mail/send, Run send")
    expect(grid.locator(".lens-row").first).to_be_visible()
    assert violations(notebook.page, axe_core, ".jp-OutputArea-output") == []
