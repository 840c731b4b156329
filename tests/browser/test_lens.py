"""The lens in a real page: live in JupyterLab, and on its own, with recordings large and hostile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from playground.recording import Recording
from playground.views import model
from playground.views.assets import css, esm
from playground.views.page import export
from tests.browser.conftest import PATIENCE, Lab, OpenNotebook, violations, watch_errors
from tests.unit.lens_models import RECORDINGS, recorded
from tests.unit.test_views_lens import hostile
from tests.unit.test_views_model import many_entries

expect.set_options(timeout=PATIENCE)


def row(page: Page, name: str) -> Locator:
    """A row of the journal, by what its head says."""
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader").filter(has_text=name)).first


def cell(page: Page, name: str, attempt: int) -> Locator:
    """What became of an entry in an attempt."""
    return row(page, name).get_by_role("gridcell", name=f"attempt {attempt}:")


def show(page: Page, tmp_path: Path, recording: Recording, root: str) -> Page:
    """Open an exported page."""
    page.goto(export(recording, root, tmp_path / "run.html").as_uri())
    page.wait_for_selector(".lens-row")
    return page


@pytest.fixture
def signup(page: Page, tmp_path: Path) -> Page:
    """A page with the lens of a real run."""
    return show(page, tmp_path, *recorded("signup"))


def mounted(page: Page) -> int:
    count: int = page.evaluate("document.querySelectorAll('.lens *').length")
    return count


# -- in JupyterLab ----------------------------------------------------------------------------------


def signup_source(go: Path) -> str:
    """The source of the recorded run; its email takes until a file is there."""
    (revision,) = Recording.load(RECORDINGS / "signup.jsonl").timeline.revisions.values()
    waiting = f"while not os.path.exists({str(go)!r}):\n        await asyncio.sleep(0.02)"
    assert "await asyncio.sleep(0.4)" in revision.source
    return revision.source.replace("await asyncio.sleep(0.4)", waiting)


@pytest.mark.local
def test_send_kill_replay_suspend_scrub_resolve(open_notebook: OpenNotebook, tmp_path: Path) -> None:
    go = tmp_path / "go"
    notebook = open_notebook(
        "from playground import Playground\npg = Playground.open()\n"
        f"pg.deploy(name='signup', source={signup_source(go)!r})",
        "inv = pg.send('Signup/signup', {'username': 'francesco'})\ninv",
        "inv.wait_for(status='suspended', timeout=60); print(inv.status)",
        "import time; time.sleep(1.5)",
        "pg.resolve(inv.awakeables[0], 'clicked'); print(inv.result(60))",
        "print(inv); pg.close()",
    )
    page = notebook.page
    errors = watch_errors(page)
    notebook.run(0)
    notebook.run(1)

    # It runs, entry by entry; the email is on its way.
    expect(cell(page, "send email", 1)).to_have_attribute("data-how", "executed")
    expect(page.get_by_role("list", name="What reached the outside world").get_by_role("listitem")).to_have_count(1)
    kill = page.get_by_role("button", name="kill pod signup-")
    expect(kill).to_be_enabled()
    kill.click()
    expect(cell(page, "send email", 1)).to_have_attribute("data-how", "cut-off")
    expect(page.locator(".lens-pod[data-phase=killed]")).to_have_count(1)

    # The next attempt replays, on a new pod; the page follows while a cell keeps the kernel busy.
    notebook.start(2)
    go.touch()
    expect(cell(page, "initialize", 2)).to_have_attribute("data-how", "replayed")
    expect(cell(page, "send email", 2)).to_have_attribute("data-how", "executed")
    expect(page.locator(".lens-status")).to_have_attribute("data-status", "suspended")
    notebook.ended(2)
    expect(page.locator(".lens-wait").last).to_have_attribute("data-told", "awaiting")
    expect(page.locator(".lens-summary")).to_contain_text("“send email” reached the outside world twice")
    expect(page.locator(".lens-pod[data-phase=stopped]")).to_have_count(1)  # scaled to zero
    expect(page.get_by_role("button", name="kill pod: none runs")).to_be_disabled()

    # Back to before the kill, and forth again.
    scrubber = page.get_by_role("slider", name="Moment shown")
    scrubber.focus()
    page.keyboard.press("Home")
    expect(page.locator(".lens-summary")).to_have_text("pending")
    expect(page.get_by_role("gridcell")).to_have_count(0)
    page.get_by_role("button", name="One step forth").click(click_count=6)
    expect(page.locator(".lens-summary")).not_to_contain_text("kill")
    page.get_by_role("button", name="live").click()
    expect(cell(page, "send email", 1)).to_have_attribute("data-how", "cut-off")

    # A click while a cell runs is queued, and the page says so.
    notebook.start(3)
    row(page, "send email").click()
    expect(page.get_by_text("Kernel busy: queued")).to_be_visible()
    details = page.get_by_role("region", name="Details of the selected entry")
    expect(details.locator(".lens-source .here")).to_contain_text('ctx.run_typed("send email"')
    expect(page.get_by_text("Kernel busy: queued")).to_be_hidden()
    expect(details.get_by_role("row").filter(has_text="ProposeRunCompletion")).to_have_count(1)
    expect(details).to_contain_text("attempt 1: cut off after")

    notebook.run(4)
    expect(page.locator(".lens-status")).to_have_attribute("data-status", "completed")
    expect(cell(page, "Awakeable", 3)).to_have_attribute("data-how", "replayed")
    expect(page.locator("[data-end=check]")).to_have_count(1)
    notebook.run(5)
    assert "attempt 3" in notebook.outputs(5)[0]["text"]
    kept = notebook.outputs(1)[0]["data"]
    assert kept.keys() == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}
    page.screenshot(path=tmp_path / "lens.png")
    assert errors == []


def test_a_cell_run_again_or_cleared_leaves_no_listener(open_notebook: OpenNotebook) -> None:
    path = str(RECORDINGS / "signup.jsonl")
    notebook = open_notebook(
        f"from playground import Recording\nr = Recording.load({path!r})",
        "r.watch(next(trace.id for trace in r.invocations if trace.sent_at))",
        "import threading; print(len(r._listeners), [t.name for t in threading.enumerate()].count('playground-views'))",
        theme="dark",
    )
    page = notebook.page
    notebook.run(0)
    for _ in range(3):
        notebook.run(1)
        page.wait_for_selector(".lens-row")
    expect(page.locator(".lens")).to_have_count(1)
    expect(page.locator(".lens")).to_have_attribute("data-theme", "dark")
    notebook.run(2)
    assert notebook.outputs(2)[0]["text"] == "1 0\n"
    notebook.execute("notebook:clear-all-cell-outputs")
    expect(page.locator(".lens")).to_have_count(0)
    notebook.run(2)
    assert notebook.outputs(2)[0]["text"] == "0 0\n"


def test_a_saved_notebook_shows_the_lens_when_its_kernel_is_gone(
    open_notebook: OpenNotebook, lab: Lab, page: Page
) -> None:
    # With JupyterLab's setting "Save Widget State Automatically" (conftest.SETTINGS).
    path = str(RECORDINGS / "signup.jsonl")
    notebook = open_notebook(
        f"from playground import Recording\nr = Recording.load({path!r})",
        "r.watch(next(trace.id for trace in r.invocations if trace.sent_at))",
    )
    notebook.run(0)
    notebook.run(1)
    notebook.page.wait_for_selector(".lens-row")
    (file,) = lab.directory.glob("test_a_saved_notebook*.ipynb")
    notebook.execute("docmanager:save")
    notebook.page.wait_for_function("!jupyterapp.shell.currentWidget.context.model.dirty")
    assert "widgets" in json.loads(file.read_text())["metadata"]
    notebook.page.context.close()
    lab.end_kernels(file.stem.removesuffix("-0"))

    page.goto(f"{lab.url}/doc/tree/{file.name}?reset")
    expect(cell(page, "send email", 1)).to_have_attribute("data-how", "cut-off")
    page.get_by_role("slider", name="Moment shown").focus()
    page.keyboard.press("Home")
    expect(page.get_by_role("gridcell")).to_have_count(0)
    row(page, "send email").click()
    expect(page.get_by_text("No kernel has answered yet")).to_be_visible()


# -- on a page of its own ---------------------------------------------------------------------------


def test_every_moment_can_be_looked_at(signup: Page) -> None:
    page = signup
    expect(page.locator(".lens-summary")).to_have_text(
        "completed · 3 attempts on 3 pods · 1 kill · 1 suspension · “send email” reached the outside world twice"
    )
    scrubber = page.get_by_role("slider", name="Moment shown")
    hows: list[str] = []
    for share in (0, 0.2, 0.31, 0.6, 0.8, 1):
        scrubber.evaluate("(s, share) => { s.value = share * s.max; s.dispatchEvent(new Event('input')); }", share)
        page.wait_for_function(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
        )
        hows.append(",".join(page.evaluate("[...document.querySelectorAll('.lens-cell')].map(c => c.dataset.how[0])")))
    assert len({*hows}) == len(hows)
    assert hows[0] == ""
    assert hows[1] == "e,e,e"
    assert hows[2] == "e,e,c"
    assert hows[-1].count("r") == 6


def test_it_plays(signup: Page) -> None:
    page = signup
    page.get_by_label("Speed").select_option("1×")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.wait_for_function("[1, 2, 3].includes(document.querySelectorAll('.lens-cell').length)", timeout=PATIENCE)
    page.get_by_role("button", name="Pause").click()
    held = page.locator(".lens-playhead span").inner_text()
    page.wait_for_function("new Promise(done => setTimeout(() => done(true), 120))")
    assert page.locator(".lens-playhead span").inner_text() == held
    page.get_by_role("button", name="end").click()
    expect(page.locator(".lens-playhead")).to_be_hidden()


def test_true_to_scale_a_long_wait_is_long(signup: Page) -> None:
    page = signup

    def width(attempt: int) -> float:
        return float(page.locator(f".band >> nth={attempt - 1}").evaluate("b => b.getBoundingClientRect().width"))

    collapsed = width(3)
    page.get_by_role("button", name="collapse idle time").click()
    expect(page.get_by_role("button", name="collapse idle time")).to_have_attribute("aria-pressed", "false")
    page.wait_for_function(
        "width => document.querySelectorAll('.band')[2].getBoundingClientRect().width < width / 4", arg=collapsed
    )
    assert width(2) > 5 * width(1) / 2


def test_the_keyboard_walks_entries_and_attempts(signup: Page) -> None:
    page = signup

    def focused() -> str:
        return str(
            page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText")
        )

    page.locator(".lens-name").first.focus()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    page.wait_for_function("document.activeElement.matches('[role=gridcell]')")
    assert focused().startswith("Run send email, attempt 1: cut off after")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert outline in ("solid", "none", "auto")
    for key, wanted in (
        ("ArrowRight", "attempt 2: executed in"),
        ("End", "attempt 3: replayed from the journal"),
        ("ArrowUp", "Call User/francesco/initialize, attempt 3: replayed"),
    ):
        page.keyboard.press(key)
        page.wait_for_function("text => document.activeElement.getAttribute('aria-label')?.includes(text)", arg=wanted)
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")  # opens the call
    expect(row(page, "initialize")).to_have_attribute("aria-expanded", "true")
    expect(page.locator(".lens-row[aria-level='2']")).to_have_count(3)
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.activeElement.closest('[aria-level=\"2\"]')")
    page.keyboard.press("ArrowLeft")  # back to the call
    page.wait_for_function("document.activeElement.innerText.includes('initialize')")
    page.keyboard.press("ArrowLeft")  # closes it
    expect(page.locator(".lens-row[aria-level='2']")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Details of the selected entry")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("region", name="Details of the selected entry")).to_be_hidden()
    # Everything else is reached with Tab, in the order it is read.
    names: list[str] = []
    while names[-1:] != ["Zoom in"]:
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.textContent"))
    order = [
        "Play",
        "Speed",
        "One step back",
        "One step forth",
        "end",
        "Moment shown",
        "collapse idle time",
        "Zoom in",
    ]
    assert [name for name in names if name in order] == order, names


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page: Page, tmp_path: Path, axe_core: str, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    for name in ("signup", "shop"):
        show(page, tmp_path, *recorded(name))
        expect(page.locator(".lens")).to_have_attribute("data-theme", scheme)
        page.locator(".lens-row").nth(2).click()
        page.wait_for_selector(".lens-frames")
        if name == "signup":
            page.locator(".lens-toggle").nth(1).click()
            page.get_by_role("button", name="Zoom in").click()
        assert violations(page, axe_core, ".lens") == []
        page.get_by_role("slider").evaluate("s => { s.value = 900; s.dispatchEvent(new Event('input')); }")
        page.wait_for_selector(".lens-row.ahead")
        assert violations(page, axe_core, ".lens") == []


def test_it_fits_a_narrow_page(signup: Page) -> None:
    signup.set_viewport_size({"width": 420, "height": 900})
    signup.wait_for_function("getComputedStyle(document.querySelector('.lens')).getPropertyValue('--side') === '150px'")
    assert signup.evaluate("document.documentElement.scrollWidth <= innerWidth")


FIRST_PAINT = """
    new MutationObserver((_, observer) => {
        if (!document.querySelector(".lens-row")) return;
        observer.disconnect();
        requestAnimationFrame(() => requestAnimationFrame(() => { window.painted = performance.now(); }));
    }).observe(document, { childList: true, subtree: true });
"""


def test_ten_thousand_entries(page: Page, tmp_path: Path) -> None:
    page.add_init_script(FIRST_PAINT)
    page.goto(export(Recording(many_entries(10_000)), "inv_b", tmp_path / "big.html").as_uri())
    page.wait_for_function("window.painted")
    # From the page, with the data in it, having been read, to the first rows on the screen.
    took = page.evaluate("painted - performance.getEntriesByType('navigation')[0].domInteractive")
    assert took < 10_000  # the figure is in the README; here it only has to end
    assert mounted(page) <= 400
    scroller = page.locator(".lens-scroll")
    frames = scroller.evaluate(
        """async scroller => {
            const took = [];
            for (let n = 0; n < 30; n += 1) {
                const began = performance.now();
                scroller.scrollTop = n * 8000;
                await new Promise(requestAnimationFrame);
                await new Promise(requestAnimationFrame);
                took.push(performance.now() - began);
            }
            return took.sort((a, b) => a - b);
        }"""
    )
    assert frames[len(frames) // 2] < 1_000
    assert mounted(page) <= 400
    expect(page.get_by_role("row").filter(has_text="step 8923")).to_have_count(1)
    page.locator(".lens-name").nth(5).focus()
    page.keyboard.press("Control+End")
    expect(page.get_by_role("rowheader").filter(has_text="step 9999")).to_be_focused()
    for _ in range(8):
        page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("gridcell", name="Run step 9999")).to_be_in_viewport()
    assert mounted(page) <= 400


def test_hostile_texts_are_only_text(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, hostile(), "inv_s")
    for number in range(page.locator(".lens-row").count()):
        page.locator(".lens-row").nth(number).click()
        expect(page.locator(".lens-details-title")).to_be_visible()
    assert page.evaluate("window.broken") is None
    assert page.locator(".lens img, .lens script, .lens a").count() == 0
    expect(page.locator(".lens-title")).to_contain_text("</script><script>window.broken = 1</script>")
    long = "[...document.querySelectorAll('.lens *')].filter(e => !e.childElementCount && e.textContent.length > 2000)"
    assert page.evaluate(f"{long}.map(e => e.className)") == []
    assert page.evaluate("document.querySelector('.lens').textContent.includes('\\u202e')") is False


LEAKS = """async ([source, snapshot]) => {
    const alive = { timers: new Set(), frames: new Set(), observers: new Set(), listeners: 0 };
    const counted = (start, stop, running) => {
        const [begin, end] = [window[start], window[stop]];
        window[start] = (work, wait) => {
            const id = begin(now => { running.delete(id); work(now); }, wait);
            running.add(id);
            return id;
        };
        window[stop] = id => { running.delete(id); end(id); };
        return begin;
    };
    const later = counted("setTimeout", "clearTimeout", alive.timers);
    const frame = counted("requestAnimationFrame", "cancelAnimationFrame", alive.frames);
    for (const name of ["ResizeObserver", "MutationObserver", "IntersectionObserver"]) {
        const Real = window[name];
        window[name] = class extends Real {
            observe(...what) { alive.observers.add(this); super.observe(...what); }
            disconnect() { alive.observers.delete(this); super.disconnect(); }
        };
    }
    for (const target of [window, document, MediaQueryList.prototype]) {
        const { addEventListener: add, removeEventListener: remove } = target;
        target.addEventListener = function (...what) { alive.listeners += 1; return add.apply(this, what); };
        target.removeEventListener = function (...what) { alive.listeners -= 1; return remove.apply(this, what); };
    }
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const { default: widget } = await import(url);
    const [said, heard, closers] = [[], new Set(), []];
    for (let n = 0; n < 50; n += 1) {
        const el = document.body.appendChild(document.createElement("div"));
        const model = {
            get: () => structuredClone(snapshot),
            send: message => said.push(message.type),
            on: (_, listener) => heard.add(listener),
            off: (_, listener) => heard.delete(listener),
        };
        closers.push([widget.render({ model, el }), el]);
    }
    await new Promise(done => frame(() => frame(() => later(done, 100))));
    const rows = document.querySelectorAll(".lens-row").length;
    const during = alive.timers.size + alive.observers.size;
    for (const [close, el] of closers) { close(); el.remove(); }
    await new Promise(done => later(done, 50));
    return {
        rows, during, timers: alive.timers.size, frames: alive.frames.size, observers: alive.observers.size,
        listeners: alive.listeners, models: heard.size, elements: document.querySelectorAll(".lens *").length,
        closed: said.filter(type => type === "closed").length,
    };
}"""


def test_fifty_lenses_opened_and_closed_leave_nothing(page: Page) -> None:
    recording, root = recorded("signup")
    snapshot: dict[str, Any] = {"at": 1, "now": 0, **model.picture(recording.timeline, root)}
    snapshot["values"]["open"] = True
    del snapshot["tables"]["traces"][root]["status_at"]
    snapshot["tables"]["traces"][root]["status"] = "running"  # so that it draws on and on
    page.set_content("<main></main>")
    page.add_style_tag(content=css("live.css", "lens.css"))
    left = page.evaluate(
        LEAKS,
        [esm("lens-widget.js"), snapshot],
    )
    assert left.pop("rows") == 300
    assert left.pop("during") > 100
    assert left == {"timers": 0, "frames": 0, "observers": 0, "listeners": 0, "models": 0, "elements": 0, "closed": 50}
    assert json.dumps(left)
