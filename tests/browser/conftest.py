"""A real JupyterLab in a real Chromium, for every test that looks at the page.

Both are started once. A test asks for `open_notebook`, gives it cells, and gets a `Notebook`: the page, and
what a reader can do with it. Nothing sleeps; every wait has a deadline that a loaded machine can keep.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright

ROOT = Path(__file__).parents[2]
CHROMIUM_FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
AXE_CORE = "axe-core@4.14.1"
PATIENCE = 30_000  # milliseconds
SETTINGS: dict[str, dict[str, Any]] = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyter-widgets/jupyterlab-manager/plugin": {"saveState": True},
}
OpenNotebook = Callable[..., "Notebook"]


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """All tests in this folder need a browser."""
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)


def missing(what: str) -> None:
    """Skip for what this machine lacks, except in CI, where nothing may be lacking."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser, for the whole run."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        missing("no chromium on PATH; set CHROMIUM to the browser's path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page without JupyterLab. An error in its script fails the test."""
    # Without a page's content security policy: with it, Playwright could not wait for what a script says.
    context = chromium.new_context(viewport={"width": 1200, "height": 900}, bypass_csp=True)
    page = context.new_page()
    errors = watch_errors(page)
    yield page
    context.close()
    assert errors == []


def watch_errors(page: Page) -> list[str]:
    """Errors the page's scripts raise from now on."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    return errors


@pytest.fixture(scope="session")
def axe_core(request: pytest.FixtureRequest) -> str:
    """The script of axe-core: a file named by AXE_CORE, else fetched once with npm into pytest's cache."""
    given = os.environ.get("AXE_CORE")
    if given is None:
        folder = request.config.cache.mkdir("axe-core")
        found = folder / "node_modules" / "axe-core" / "axe.min.js"
        if not found.exists():
            npm = shutil.which("npm")
            if npm is None:
                missing("no npm to fetch axe-core with; set AXE_CORE to the path of axe.min.js")
            command = [str(npm), "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", AXE_CORE]
            done = subprocess.run([*command, "--prefix", str(folder)], capture_output=True, text=True, timeout=120)
            if done.returncode:
                missing(f"axe-core could not be fetched: {done.stderr[-500:]}")
        given = str(found)
    return Path(given).read_text("utf-8")


def violations(page: Page, axe_core: str, selector: str) -> list[str]:
    """What axe-core finds wrong in a part of a page."""
    page.evaluate(axe_core)
    found = page.evaluate("selector => axe.run(selector, {resultTypes: ['violations']})", selector)
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


class Lab:
    """A JupyterLab server.

    Attributes:
        url: its address.
        directory: where its notebooks are.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "notebooks"
        self.directory.mkdir()
        settings = directory / "settings"
        for name, values in SETTINGS.items():
            file = settings / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        own = {name: str(directory / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
        env = {**os.environ, **own, "JUPYTERLAB_SETTINGS_DIR": str(settings), "PYTHONPATH": str(ROOT)}
        env["JUPYTER_CONFIG_PATH"] = str(ROOT / "playground" / "jupyter")  # as `make lab` has it
        self._log = (directory / "lab.log").open("wb")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"),
                *("--ip=127.0.0.1", "--port=0", "--IdentityProvider.token=", "--ServerApp.password="),
                f"--ServerApp.root_dir={self.directory}",
                "--ServerApp.disable_check_xsrf=True",  # or sessions could not be ended from here
                "--LabApp.news_url=",
            ],
            env=env,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.url = self._address(directory / "JUPYTER_RUNTIME_DIR")

    def _address(self, runtime: Path) -> str:
        deadline = time.monotonic() + PATIENCE / 1000
        while time.monotonic() < deadline and self._process.poll() is None:
            for file in runtime.glob("jpserver-*.json"):
                url = str(json.loads(file.read_text())["url"]).rstrip("/")
                if httpx.get(f"{url}/api").is_success:
                    return url
            time.sleep(0.1)
        raise AssertionError(f"JupyterLab did not start: {Path(self._log.name).read_text()[-2000:]}")

    def end_kernels(self, stem: str) -> None:
        """End the kernels of the notebooks whose names begin so."""
        for session in httpx.get(f"{self.url}/api/sessions").json():
            if session["path"].startswith(f"{stem}-"):
                httpx.delete(f"{self.url}/api/sessions/{session['id']}", timeout=30).raise_for_status()

    def close(self) -> None:
        """Shut down every kernel, then the server."""
        for kernel in httpx.get(f"{self.url}/api/kernels").json():
            httpx.delete(f"{self.url}/api/kernels/{kernel['id']}", timeout=30)
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._log.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab server, for the whole run."""
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.close()


@pytest.fixture
def without_subshells(lab: Lab) -> Iterator[None]:
    """JupyterLab may pass clicks on in a subshell, beside the running cell. Other front ends never do."""
    settings = lab.directory.parent / "settings" / "@jupyterlab" / "apputils-extension"
    file = settings / "kernels-settings.jupyterlab-settings"
    file.write_text('{"commsOverSubshells": "disabled"}')
    yield
    file.unlink()


class Notebook:
    """An open notebook.

    Attributes:
        page: the page it is in.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        page.wait_for_function(
            "window.jupyterapp?.shell.currentWidget?.context?.sessionContext?.session?.kernel?.status === 'idle'",
            timeout=PATIENCE,
        )

    def start(self, number: int) -> None:
        """Run a cell, and do not wait for its end."""
        self.page.evaluate(
            """number => {
                const { content, context } = jupyterapp.shell.currentWidget;
                content.activeCellIndex = number;
                jupyterapp.commands.execute("notebook:run-cell");
            }""",
            number,
        )

    def run(self, number: int) -> None:
        """Run a cell, wait for its end, and fail if it raised an error."""
        self.start(number)
        self.ended(number)

    def ended(self, number: int) -> None:
        """Wait for the end of a cell that was started, and fail if it raised an error."""
        self.page.wait_for_function(
            """number => {
                const cell = jupyterapp.shell.currentWidget.content.widgets[number];
                return cell.model.executionState === "idle" && cell.model.executionCount !== null;
            }""",
            arg=number,
            timeout=PATIENCE * 2,
        )
        outputs = self.outputs(number)
        errors = [output for output in outputs if output["output_type"] == "error"]
        assert not errors, "\n".join(errors[0]["traceback"])

    def outputs(self, number: int) -> list[dict[str, Any]]:
        """A cell's outputs, as they would be saved."""
        found: list[dict[str, Any]] = self.page.evaluate(
            "number => jupyterapp.shell.currentWidget.content.widgets[number].model.outputs.toJSON()", number
        )
        return found

    def cell(self, number: int) -> Locator:
        """A cell on the page."""
        return self.page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{number}']")

    def execute(self, command: str, **arguments: Any) -> None:
        """Execute one of JupyterLab's own commands."""
        self.page.evaluate("([command, args]) => jupyterapp.commands.execute(command, args)", [command, arguments])


@contextmanager
def notebooks(lab: Lab, chromium: Browser, stem: str) -> Iterator[OpenNotebook]:
    """Opens notebooks, each in a page of its own, and closes them and their kernels at the end.

    Args:
        stem: what their files are called.
    """
    stem = re.sub(r"[^\w-]", "_", stem)
    contexts: list[BrowserContext] = []

    def open_it(*cells: str, theme: str = "light", width: int = 1280, height: int = 1000) -> Notebook:
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        content = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells], metadata=kernel)
        name = f"{stem}-{len(contexts)}.ipynb"
        nbformat.write(content, lab.directory / name)
        context = chromium.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{lab.url}/doc/tree/{name}?reset")
        notebook = Notebook(page)
        notebook.execute("apputils:change-theme", theme=f"JupyterLab {theme.title()}")  # the last one is remembered
        page.wait_for_selector(
            f"body[data-jp-theme-light='{'false' if theme == 'dark' else 'true'}']", state="attached"
        )
        return notebook

    try:
        yield open_it
    finally:
        for context in contexts:
            context.close()
        lab.end_kernels(stem)


@pytest.fixture
def open_notebook(lab: Lab, chromium: Browser, request: pytest.FixtureRequest) -> Iterator[OpenNotebook]:
    """Opens a notebook with these cells, in a page of its own: `open_notebook("1 + 1", "2", theme="dark")`."""
    with notebooks(lab, chromium, request.node.name) as open_it:
        yield open_it
