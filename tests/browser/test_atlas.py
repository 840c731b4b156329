"""The crash atlas and the ledger's panel in a real page: a sweep, its grid, a run's replay; effects as they happen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import PATIENCE, Lab, Notebook, OpenNotebook, notebooks, violations, watch_errors

expect.set_options(timeout=PATIENCE)

OPEN = "from playground import Playground\npg = Playground.open()"
DEPLOY = """%%service mail
import os, httpx, restate

mail = restate.Service("Mail")

@mail.handler()
async def send(ctx: restate.Context, who: str) -> str:
    def post() -> None:
        httpx.post(os.environ["LEDGER_URL"] + "/email", json={"to": who}).raise_for_status()
    await ctx.run_typed("send", post)
    return f"sent to {who}"
"""
SWEEP = 'atlas = pg.atlas("Mail/send", "<script>ada</script>")\natlas'
CALL = 'pg.call("Mail/send", "<img src=x onerror=\'window.broken = 1\'>")'
PLACE = "after the effect of Run send, before its result is journaled"


@pytest.fixture(scope="module")
def mail(lab: Lab, chromium: Browser) -> Iterator[Notebook]:
    """A notebook with a sweep of a small handler, and with the ledger, one for all tests."""
    with notebooks(lab, chromium, "atlas") as open_it:
        notebook = open_it(OPEN, DEPLOY, SWEEP, "pg.ledger", CALL)
        for number in range(4):
            notebook.run(number)
        yield notebook


@pytest.fixture
def grid(mail: Notebook) -> Locator:
    """The atlas, with no run open and no filter."""
    atlas = mail.cell(2).locator(".atlas")
    expect(atlas.get_by_role("row").nth(1)).to_be_visible()
    if atlas.get_by_role("button", name="only what deviates").get_attribute("aria-pressed") == "true":
        atlas.get_by_role("button", name="only what deviates").click()
    if (shut := atlas.get_by_role("button", name="Close this run")).is_visible():
        shut.click()
    return atlas


def themes(notebook: Notebook) -> Iterator[str]:
    """JupyterLab in its light, then in its dark theme."""
    for theme, light in (("light", "true"), ("dark", "false")):
        notebook.execute("apputils:change-theme", theme=f"JupyterLab {theme.title()}")
        notebook.page.wait_for_selector(f"body[data-jp-theme-light='{light}']", state="attached")
        yield theme


def active(page: Page) -> str:
    """What the focused grid says its active cell is."""
    told: str = page.evaluate(
        """() => {
            const id = document.activeElement.getAttribute("aria-activedescendant");
            const cell = document.getElementById(id);
            return cell.classList.contains("atlas-active") ? cell.getAttribute("aria-label") : "";
        }"""
    )
    return told


def test_a_sweep_its_grid_and_the_replay_of_a_run(mail: Notebook, grid: Locator, axe_core: str) -> None:
    expect(grid).to_contain_text("Crash atlas of Mail/send")
    expect(grid).to_contain_text("8 points, a pod killed at each: result right at 8; state right at 8; email once at 7")
    expect(grid.get_by_text("twice !")).to_have_count(1)
    rests_on = grid.get_by_role("list", name="What this rests on")
    expect(rests_on).to_contain_text("Steps: one ran twice at 1 point, as recorded at the pods")
    grid.get_by_role("button", name="only what deviates").click()
    expect(grid.locator(".atlas-run")).to_have_count(1)
    grid.get_by_role("row").filter(has_text=PLACE).click()
    run = grid.get_by_role("region", name="The run that is looked at")
    expect(run).to_contain_text("email in Mail/send, Run send")
    expect(run.locator(".lens-row").first).to_be_visible()
    expect(run.locator(".lens-pod")).to_have_count(2)  # of all the pods of the sweep, those of this run
    run.get_by_role("row").filter(has_text="Input").click()
    expect(run).to_contain_text("<script>ada</script>")
    assert violations(mail.page, axe_core, ".atlas") == []
    grid.get_by_role("button", name="Close this run").click()
    expect(run).to_have_count(0)


def test_a_finished_sweep_leaves_a_line_of_text_where_its_bar_was(mail: Notebook) -> None:
    bar, atlas = (output["data"] for output in mail.outputs(2))
    assert bar == {"text/plain": "8 runs of Mail/send"}
    expect(mail.cell(2).locator(".widget-hprogress, .progress")).to_have_count(0)
    assert atlas.keys() == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}


def test_the_grid_by_keyboard(mail: Notebook, grid: Locator) -> None:
    page = mail.page
    grid.get_by_role("grid").focus()
    page.keyboard.press("Control+Home")
    page.keyboard.press("Home")
    assert active(page) == "before it starts, in Mail/send"
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "End"):
        page.keyboard.press(key)
    assert active(page) == "steps one ran twice"
    page.keyboard.press("ArrowLeft")
    assert active(page) == "email twice !"
    page.keyboard.press("ArrowLeft")
    assert active(page) == "state right"
    outline = "getComputedStyle(document.querySelector('.atlas-active')).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    run = grid.get_by_role("region", name="The run that is looked at")
    expect(run.locator(".lens-row").first).to_be_visible()
    expect(grid.locator("[aria-selected=true]").first).to_contain_text(PLACE)
    page.keyboard.press("d")
    page.keyboard.press("d")  # in a notebook's command mode this would delete the cell
    page.keyboard.press("Escape")
    expect(run).to_have_count(0)
    assert active(page) == "state right"
    assert page.evaluate("jupyterapp.shell.currentWidget.content.widgets.length") == 5


@pytest.mark.usefixtures("without_subshells")
def test_a_click_while_a_cell_runs_is_queued_then_happens(open_notebook: OpenNotebook) -> None:
    sleep = "import time\nprint('begun', flush=True)\ntime.sleep(1.5)"
    notebook = open_notebook("from tests.unit.atlases import mixed\nmixed()", sleep)
    notebook.run(0)
    notebook.start(1)
    expect(notebook.cell(1).get_by_text("begun", exact=True)).to_be_visible()
    notebook.cell(0).get_by_role("row").filter(has_text="before it starts").click()
    run = notebook.cell(0).get_by_role("region", name="The run that is looked at")
    expect(run).to_contain_text("All as in a clean run.")  # this is known without the kernel
    expect(run.get_by_text("Kernel busy: queued")).to_be_visible()
    expect(run.locator(".lens-row").first).to_be_visible()


def test_the_ledger(mail: Notebook, axe_core: str) -> None:
    page = mail.page
    ledger = mail.cell(3).get_by_role("region", name="Outside world")
    entries = ledger.get_by_role("list", name="what has reached the outside world, newest first").get_by_role(
        "listitem"
    )
    assert mail.outputs(3)[0]["data"]["text/plain"] == "The outside world: nothing has happened"
    expect(ledger).to_contain_text("Nothing has reached the outside world.")

    mail.run(4)
    expect(entries).to_have_count(1)
    expect(entries.first).to_contain_text("happened")
    expect(entries.first).to_contain_text("Mail/send · Run send")
    expect(entries.first).to_contain_text("<img src=x onerror=")
    expect(entries.first).to_contain_text("mail pod 1")

    # Made to misbehave, it refuses twice and loses an answer; then it behaves again.
    ledger.get_by_role("button", name="Make email misbehave").click()
    ledger.get_by_label("Requests refused before anything happens", exact=True).fill("2")
    ledger.get_by_label("Answers lost, though the effect happens", exact=True).fill("1")
    for _ in themes(mail):
        assert violations(page, axe_core, ".dp-ledger") == []
    ledger.get_by_role("button", name="Misbehave", exact=True).click()
    expect(ledger.get_by_role("status").first).to_contain_text("email: the next 2 requests are refused")
    told = ledger.locator(".dp-told")
    expect(told).to_contain_text("the next answer is lost")
    mail.run(4)
    expect(entries).to_have_count(5)
    expect(ledger.get_by_role("list", name="kinds of effects")).to_contain_text("3 happened")
    expect(ledger.get_by_role("list", name="kinds of effects")).to_contain_text("2 refused")
    expect(told).to_be_hidden()
    ledger.get_by_role("button", name="Make email misbehave").click()
    ledger.get_by_label("Down").check()
    page.keyboard.press("Enter")
    expect(told).to_have_text("down: nobody answers")
    ledger.get_by_role("button", name="Let email behave again").click()
    expect(told).to_be_hidden()

    # What cannot be says so; a kind that nobody has used yet can be told in advance.
    ledger.get_by_role("button", name="Make another kind misbehave").click()
    ledger.get_by_label("Kind", exact=True).fill("No Kind")
    page.keyboard.press("Enter")
    expect(ledger.get_by_role("alert")).to_contain_text("A kind is lower-case letters")
    ledger.get_by_label("Kind", exact=True).fill("sms")
    ledger.get_by_label("Requests refused before anything happens: all").check()
    page.keyboard.press("Enter")
    expect(told.last).to_contain_text("all requests are refused")

    # Clearing asks first.
    ledger.get_by_role("button", name="Clear").click()
    ledger.get_by_role("button", name="Keep them").click()
    expect(entries).to_have_count(5)
    ledger.get_by_role("button", name="Clear").click()
    ledger.get_by_role("button", name="Forget them").click()
    expect(entries).to_have_count(0)
    assert page.evaluate("window.broken") is None


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hostile_names_and_many_runs(open_notebook: OpenNotebook, axe_core: str, theme: str) -> None:
    cells = ("from tests.unit.atlases import hostile, large\nhostile()", "large(400)")
    notebook = open_notebook(*cells, theme=theme)
    page, errors = notebook.page, watch_errors(notebook.page)
    notebook.run(0)
    bad = notebook.cell(0).locator(".atlas")
    bad.locator(".atlas-run").click()
    expect(bad.locator(".lens-row").first).to_be_visible()
    expect(bad.locator(".atlas-why")).to_contain_text("onerror=")
    assert violations(page, axe_core, ".atlas") == []
    assert page.evaluate("window.broken") is None
    assert bad.locator("script, img").count() == 0

    notebook.run(1)
    many = notebook.cell(1).locator(".atlas")
    runs = many.locator(".atlas-run")
    expect(runs.first).to_be_visible()
    assert runs.count() < 40
    many.get_by_role("grid").focus()
    page.keyboard.press("Control+End")
    expect(runs.filter(has_text="point 399")).to_be_visible()
    assert active(page).startswith("point 399, in Shop/7")
    assert runs.count() < 40
    assert 0 < most_runs(many.get_by_role("grid")) < 40
    many.get_by_role("button", name="only what deviates (57)").click()
    expect(many.get_by_role("grid")).to_have_attribute("aria-rowcount", str(57 + 8 + 1))
    assert errors == []


def most_runs(scroller: Locator) -> int:
    """How many runs there are in the page at the most, while they are scrolled from the end to the beginning."""
    most: int = scroller.evaluate(
        """async grid => {
            let most = 0;
            while (grid.scrollTop > 0) {
                grid.scrollTop -= 150;
                await new Promise(requestAnimationFrame);
                most = Math.max(most, grid.querySelectorAll(".atlas-run").length);
            }
            return most;
        }"""
    )
    return most
