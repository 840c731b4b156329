"""The panels in a real page: what a learner clicks and types, and what comes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import PATIENCE, Lab, Notebook, OpenNotebook, notebooks, violations

expect.set_options(timeout=PATIENCE)

SHOP = """
import time
from datetime import timedelta
import restate
from pydantic import BaseModel, Field

cart = restate.VirtualObject("Cart")

class Order(BaseModel):
    item: str = Field(description="what is bought", examples=["book"])
    count: int = Field(default=1, ge=1, le=9)

@cart.handler()
async def add(ctx: restate.ObjectContext, order: Order) -> int:
    total = (await ctx.get("count") or 0) + order.count
    ctx.set("count", total)
    ctx.set("last", order.item)
    return total

@cart.handler()
async def slow(ctx: restate.ObjectContext) -> None:
    await ctx.run_typed("slow step", lambda: time.sleep(0.4))

@cart.handler()
async def long(ctx: restate.ObjectContext) -> None:
    await ctx.run_typed("long step", lambda: (print("it begins", flush=True), time.sleep(2), None)[-1])

@cart.handler()
async def wait(ctx: restate.ObjectContext) -> str:
    name, clicked = ctx.awakeable()
    print(f"click https://example.org/{name}", flush=True)
    return await clicked
"""
OPEN = f"from playground import Playground\npg = Playground.open()\npg.deploy(name='shop', source={SHOP!r})"


def panel(page: Page, title: str) -> Locator:
    return page.get_by_role("region", name=title, exact=True)


def button(inside: Locator, name: str | re.Pattern[str]) -> Locator:
    return inside.get_by_role("button", name=name, exact=True)


def choose(page: Page, handler: str, key: str) -> Locator:
    """Choose what to request; returns the panel."""
    requests = panel(page, "Requests")
    requests.get_by_label("Target").select_option(handler)
    requests.get_by_label("Key", exact=True).fill(key)
    return requests


def option(page: Page, text: str) -> Locator:
    return panel(page, "Invocations").get_by_role("option").filter(has_text=text)


@pytest.fixture(scope="module")
def shop(lab: Lab, chromium: Browser) -> Iterator[Notebook]:
    """A notebook with the dashboard of a shop, one for all tests: each uses keys of its own."""
    with notebooks(lab, chromium, "panels") as open_it:
        notebook = open_it(OPEN, "pg.dashboard()")
        notebook.run(0)
        notebook.run(1)
        expect(panel(notebook.page, "Requests").get_by_label("Target")).to_have_value("Cart/add")
        yield notebook


def test_requests_queue_and_state(shop: Notebook) -> None:
    page = shop.page
    requests = choose(page, "Cart/add", "ada")
    expect(requests.get_by_label("item")).to_have_value("book")
    requests.get_by_label("count").fill("12")
    button(requests, "Send").click()
    expect(requests.get_by_text("count is at most 9")).to_be_visible()
    requests.get_by_label("count").fill("2")
    button(requests, "Send").click()
    expect(requests.get_by_role("status")).to_have_text("Restate has accepted Cart/ada/add.")
    expect(option(page, "Cart/ada/add")).to_contain_text("completed")

    # The key's state is shown as it changes, and edited: first a review, then a question.
    state = panel(page, "State")
    expect(state.get_by_role("row", name="count")).to_contain_text("2")
    button(requests, "Edit as JSON").click()
    requests.get_by_label(re.compile("^Body")).fill('{"item": "<img src=x onerror=alert(1)>", "count": 3}')
    button(requests, "Send").click()
    expect(state.get_by_role("row", name="count")).to_contain_text("5")
    expect(state.get_by_role("row", name="last")).to_contain_text("<img src=x")
    button(state, "Edit count").click()
    area = state.get_by_label("New value of count, JSON")
    area.fill("4x")
    expect(state.get_by_text("not JSON")).to_be_visible()
    area.fill("40")
    button(state, "Review the change").click()
    expect(state.get_by_role("group").filter(has_text="Change count in the state of Cart/ada?")).to_be_visible()
    expect(state.get_by_role("row", name="count")).to_contain_text("5")
    button(state, "Change the state").click()
    expect(state.get_by_role("row", name="count")).to_contain_text("40")
    button(state, "Remove last").click()
    button(state, "Keep it").click()
    expect(state.get_by_role("row", name="last")).to_be_visible()

    # Ten on one key: one holds the lock, the others wait, and they move up.
    requests = choose(page, "Cart/slow", "eve")
    expect(requests.get_by_text("takes no body")).to_be_visible()
    button(requests, "Send 10 on one key").click()
    card = panel(page, "Queue").locator(".dp-key").filter(has_text="Cart/eve")
    expect(card.get_by_text("held by")).to_be_visible()
    last = card.locator(".dp-waiting .dp-chip").last.get_attribute("title")
    page.wait_for_function("id => document.querySelector(`.dp-slot .dp-chip[title='${id}']`)", arg=last)
    expect(card.get_by_text("10 done")).to_be_visible()
    expect(card.get_by_text("free")).to_be_visible()

    # Ten keys side by side.
    requests = choose(page, "Cart/slow", "kid")
    button(requests, "Send on 10 keys").click()
    expect(panel(page, "Queue").locator(".dp-key").filter(has_text="Cart/kid-")).to_have_count(10)


def test_kill_pod_cancel_and_kill_invocation(shop: Notebook) -> None:
    page = shop.page
    requests = choose(page, "Cart/long", "kill")
    pods, invocations = panel(page, "Pods"), panel(page, "Invocations")
    detail = invocations.get_by_role("group", name="the chosen invocation")
    button(requests, "Send").click()
    expect(pods.get_by_text("it begins")).to_be_visible()
    expect(pods.get_by_role("listitem").filter(has_text="Cart/kill/long").last).to_be_visible()
    button(pods, re.compile("^Kill pod shop pod")).click()
    expect(pods.get_by_role("status")).to_contain_text("Restate retries what ran on it, on another pod.")
    expect(pods.locator(".dp-status-killed")).to_be_visible()
    expect(detail).to_contain_text("completed")
    expect(detail).to_contain_text(re.compile("[23] attempts"))

    # Cancel lets the handler answer; killing asks first, and the pod lives on.
    requests = choose(page, "Cart/wait", "kill")
    button(requests, "Send").click()
    expect(detail).to_contain_text("Cart/kill/wait")
    button(detail, "Cancel").click()
    expect(detail).to_contain_text("failed")
    expect(detail).to_contain_text("cancelled")
    button(detail, "Restart as new").click()
    expect(option(page, "Cart/kill/wait")).to_have_count(2)
    expect(detail).to_contain_text("suspended")
    button(detail, "Kill invocation").click()
    expect(detail.get_by_text("The pod lives on")).to_be_visible()
    button(detail, "Let it live").click()
    expect(detail).to_contain_text("suspended")
    expect(button(detail, "Kill invocation")).to_be_focused()
    button(detail, "Kill invocation").click()
    detail.get_by_role("group").filter(has_text="Kill the invocation").get_by_role(
        "button", name="Kill invocation"
    ).click()
    expect(detail).to_contain_text("failed")
    expect(invocations.get_by_role("status")).to_contain_text("without compensation")


def test_the_mail_is_answered(shop: Notebook) -> None:
    page = shop.page
    requests = choose(page, "Cart/wait", "mail")
    mails = panel(page, "Awakeables")
    detail = panel(page, "Invocations").get_by_role("group", name="the chosen invocation")
    button(requests, "Send").click()
    mail = mails.locator(".dp-mail")
    expect(mail).to_contain_text("is suspended on it")
    mail.get_by_label("Value, JSON").fill('"yes')
    expect(mail.get_by_text("not JSON")).to_be_visible()
    mail.get_by_label("Value, JSON").fill('"yes"')
    button(mail, "Resolve the awakeable of Cart/mail/wait").click()
    expect(detail).to_contain_text('"yes"')
    expect(mail).to_have_count(0)
    button(requests, "Send").click()
    expect(mail).to_contain_text("is suspended on it")
    mail.get_by_label("Reason").fill("not today")
    button(mail, "Reject the awakeable of Cart/mail/wait").click()
    expect(detail).to_contain_text("not today")


@pytest.mark.usefixtures("without_subshells")
def test_a_click_while_a_cell_runs_is_queued_then_happens(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(OPEN, "pg.panel.requests()", "import time\nprint('begun', flush=True)\ntime.sleep(2)")
    notebook.run(0)
    notebook.run(1)
    requests = choose(notebook.page, "Cart/slow", "busy")
    notebook.start(2)
    expect(notebook.cell(2).get_by_text("begun", exact=True)).to_be_visible()
    button(requests, "Send").click()
    expect(requests.get_by_role("status")).to_contain_text("Kernel busy, queued: Send")
    expect(requests.get_by_role("status")).to_have_text("Restate has accepted Cart/busy/slow.")


def test_errors_say_what_why_and_fix(shop: Notebook) -> None:
    page = shop.page
    requests = choose(page, "Cart/add", "ada")
    button(requests, "Edit as JSON").click()
    requests.get_by_label(re.compile("^Body")).fill('{"item": 5}')
    button(requests, "Send").click()
    alert = requests.get_by_role("alert").filter(has_text="Cart/ada/add does not take this body")
    expect(alert).to_contain_text("Fix:")


HOSTILE = """
from playground import Recording
from playground.recording import Event
from playground.views.panels.board import Panels
from tests.unit.stories import Tale, awakeable
bad = '<script>window.hacked=1</script><img src=x onerror="window.hacked=1">\\u202e"quoted" \\x00'
tale = Tale().deploy().pod("shop-1", bad, "x" * 1_000_000)
attempt = tale.start("shop-1", "inv_m", f"User/{bad}/add")
tale.mail("shop-1", attempt, awakeable("inv_m"))
tale.say("effect.happened", number=2, effect=bad, body=bad + awakeable("inv_m"), pod="shop-1", attempt=attempt)
tale.send("inv_big", f"User/{bad}/get", body="y" * 1_000_000)
tale.say("invocation.result", invocation="inv_big", failure=[500, bad])
tale.say("state.read", service="User", key=bad, values={bad: "z" * 1_000_000, "ok": bad})
for number in range(200):
    tale.send(f"inv_{number}", f"User/key-{number % 3}/add", body=number)
Panels(Recording(tale.events)).dashboard()
"""


def test_hostile_text_long_lists_and_axe(open_notebook: OpenNotebook, axe_core: str) -> None:
    notebook = open_notebook(HOSTILE)
    page = notebook.page
    notebook.run(0)
    invocations = panel(page, "Invocations")
    expect(invocations.get_by_text("202 invocations")).to_be_visible()
    rows = invocations.locator("[role=option]")
    assert rows.count() < 30
    listbox = invocations.get_by_role("listbox")
    listbox.focus()
    page.keyboard.press("End")
    expect(rows.filter(has_text="<script>window.hacked=1</script>").first).to_be_visible()
    assert rows.count() < 30
    expect(invocations.locator("[aria-selected=true]")).to_have_attribute("aria-posinset", "202")
    page.keyboard.press("ArrowUp")
    detail = invocations.get_by_role("group", name="the chosen invocation")
    expect(detail).to_contain_text("1,000,002 characters")
    assert page.evaluate("window.hacked") is None
    assert page.locator(".dp-board script, .dp-board img").count() == 0
    expect(panel(page, "State").get_by_role("row", name="ok")).to_have_count(0)  # no key is chosen: nothing is read
    assert violations(page, axe_core, ".dp-board") == []
    button(detail, "show all of request").click()
    page.wait_for_function("document.querySelector('.dp-tall')?.textContent.length === 1000002")


def test_axe_on_a_working_board_in_both_themes(shop: Notebook, axe_core: str) -> None:
    page = shop.page
    requests = choose(page, "Cart/wait", "axe")
    button(requests, "Send 10 on one key").click()
    expect(panel(page, "Awakeables").locator(".dp-mail")).to_be_visible()
    state = panel(page, "State")
    state.get_by_role("combobox", name="Key").fill("axe")
    button(state, "Look").click()
    button(state, "Add a value").click()
    for theme, light in (("JupyterLab Light", "true"), ("JupyterLab Dark", "false")):
        shop.execute("apputils:change-theme", theme=theme)
        page.wait_for_selector(f"body[data-jp-theme-light='{light}']", state="attached")
        page.wait_for_selector(f".dp-board[data-theme='{'light' if light == 'true' else 'dark'}']")
        assert violations(page, axe_core, ".dp-board") == []


def test_everything_by_keyboard(shop: Notebook) -> None:
    page = shop.page
    panel(page, "Requests").get_by_label("Target").focus()
    page.keyboard.press("End")  # the last handler: wait
    expect(panel(page, "Requests").get_by_label("Target")).to_have_value("Cart/wait")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+a")
    page.keyboard.type("dd")  # in a notebook's command mode this would delete the cell
    page.keyboard.press("Enter")
    expect(option(page, "Cart/dd/wait")).to_contain_text("suspended")
    tab_to(page, "invocations, newest first")
    page.keyboard.press("Home")
    tab_to(page, "Cancel")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab_to(page, "Kill invocation")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Let it live")).to_be_focused()
    page.keyboard.press("Escape")
    expect(button(panel(page, "Invocations"), "Kill invocation")).to_be_focused()
    tab_to(page, "Kill pod shop pod")
    page.keyboard.press("Space")
    expect(panel(page, "Pods").get_by_role("status")).to_contain_text("is killed")
    page.keyboard.press("x")  # a cell would be cut
    tab_to(page, "Resolve the awakeable of Cart/dd/wait")
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    expect(option(page, "Cart/dd/wait")).to_contain_text("completed")
    assert page.evaluate("jupyterapp.shell.currentWidget.content.widgets.length") == 2


def tab_to(page: Page, name: str) -> None:
    """Press Tab until something of this name has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "(e => e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent)(document.activeElement)"
        )
        if found.startswith(name):
            return
    raise AssertionError(f"Tab does not lead to {name!r}; the last was {json.dumps(found)}")


COUNT = """
import gc, threading
from playground.views.panels.board import Board
gc.collect()
print(sum(isinstance(o, Board) and o._stop is not None for o in gc.get_objects()), len(pg.recording._listeners),
      sum(pg.runtime.recorder._watched.values()))
"""


def test_a_cleared_board_leaves_nothing_behind(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(OPEN, "for n in range(5): display(pg.panel.state('Cart', 'ada'))", COUNT)
    for cell in range(3):
        notebook.run(cell)
    page = notebook.page
    expect(page.locator(".dp-board")).to_have_count(5)
    assert notebook.outputs(2)[0]["text"].split()[0] == "5"
    page.evaluate("jupyterapp.shell.currentWidget.content.widgets[1].model.outputs.clear()")
    expect(page.locator(".dp-board")).to_have_count(0)
    for _ in range(10):  # the page says that a view is gone when it gets to it
        notebook.run(2)
        boards, listeners, watched = map(int, notebook.outputs(2)[0]["text"].split())
        if boards == 0:
            break
    assert (boards, watched) == (0, 0)
    assert listeners <= 2
