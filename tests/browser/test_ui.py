"""Restate's own UI, through Jupyter and through a port: it loads, and lists invocations."""

from __future__ import annotations

import re

import httpx
from playwright.sync_api import Page, Request, expect

from playground import Playground
from tests.browser.conftest import PATIENCE, Lab, OpenNotebook
from tests.local.conftest import SIGNUP

OPEN = f"""
from playground import Playground
pg = Playground.open()
pg.deploy(name="signup", source={SIGNUP!r})
pg.call("User/ada/initialize", {{"username": "ada"}})
inv = pg.send("Signup/signup", {{"username": "ben", "takes": 100}}).wait_for(entry="send email")
print(inv.id)
"""


def test_through_jupyter(lab: Lab, open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(OPEN, "pg.ui", "print(pg.ui.url)", "pg.close()")
    notebook.run(0)
    invocation = notebook.outputs(0)[-1]["text"].split()[-1]
    notebook.run(1)
    notebook.run(2)
    path = notebook.outputs(2)[0]["text"].strip()
    with notebook.page.context.expect_page() as opened:
        notebook.cell(1).get_by_role("link", name="Restate's UI").click()
    page = opened.value
    assert page.url.startswith(lab.url + path)
    lists(page, lab.url + path, invocation)
    ingress = lab.url + path.replace("/admin/ui/", "/ingress")
    assert httpx.post(f"{ingress}/User/ada/get").json() == {"username": "ada"}
    evil = {"origin": "https://evil.example"}
    assert httpx.post(f"{ingress}/User/ada/get", headers=evil).status_code == 403
    unknown = re.sub(r"/restate/[^/]+/", "/restate/" + "x" * 32 + "/", ingress)
    assert httpx.post(f"{unknown}/User/ada/get").status_code == 404
    notebook.run(3)
    assert httpx.get(lab.url + path).status_code == 404


def test_through_a_port(page: Page) -> None:
    with Playground.open() as pg:
        pg.deploy(name="signup", source=SIGNUP)
        invocation = pg.send("Signup/signup", {"username": "ben", "takes": 100}).wait_for(entry="send email")
        assert not pg.ui.through_jupyter
        assert pg.ui.url in repr(pg.ui)
        lists(page, pg.ui.url, invocation.id)


def lists(page: Page, url: str, invocation: str) -> None:
    """The UI shows the invocation, and asks for nothing outside its own path."""
    elsewhere: list[str] = []
    inside = url.removesuffix("ui/")

    def asked(request: Request) -> None:
        if not request.url.startswith((inside, "data:", "blob:")):
            elsewhere.append(request.url)

    page.on("request", asked)
    page.goto(f"{url}invocations", wait_until="commit")
    expect(page.get_by_text(invocation[:8]).first).to_be_visible(timeout=3 * PATIENCE)
    page.goto(f"{url}invocations/{invocation}", wait_until="commit")
    expect(page.get_by_text("send email").first).to_be_visible(timeout=3 * PATIENCE)
    assert elsewhere == []
