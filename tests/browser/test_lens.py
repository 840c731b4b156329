"""The lens in a real page."""
from __future__ import annotations
from pathlib import Path
from tests.browser.conftest import OpenNotebook

SERVICE = Path("/tmp/x/svc4.py").read_text()

def test_try(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(
        "from playground import Playground\npg = Playground.open()",
        f"%%service signup\n{SERVICE}",
        'inv = pg.send("Signup/signup", {"username": "francesco"})\ninv',
        "inv.wait_for(status='suspended', timeout=60)",
        "pg.resolve(inv.awakeables[0], 'ok'); print(inv.result(timeout=60))",
    )
    import time
    for n in (0,1,2):
        t=time.time(); notebook.run(n); print(n, time.time()-t)
    page = notebook.page
    page.wait_for_selector(".lens-row")
    page.screenshot(path="/tmp/x/l1.png")
    page.locator(".lens-kill:enabled").click()
    notebook.run(3)
    page.wait_for_timeout(500)
    page.screenshot(path="/tmp/x/l2.png")
    notebook.run(4)
    page.wait_for_selector(".lens-status[data-status=completed]")
    page.wait_for_timeout(500)
    page.screenshot(path="/tmp/x/l3.png")
    print(notebook.outputs(2)[0].keys(), notebook.outputs(2)[0]["data"].keys())
