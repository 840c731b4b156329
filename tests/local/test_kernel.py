"""A playground inside a real Jupyter kernel: the stop button, restarts, and the cell magic."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from queue import Empty
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from tests.local.conftest import MARK, SIGNUP, Holder, eventually

pytestmark = [
    pytest.mark.local,
    # jupyter_client's own: it leaves zmq sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


class Kernel:
    """A kernel, and the processes its playground has started."""

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex
        # By Unix sockets: of kernels that start at once, two may be given the same port.
        self.folder = tempfile.TemporaryDirectory()
        self.manager = KernelManager(kernel_name="python3", transport="ipc", ip=f"{self.folder.name}/kernel")
        self.manager.start_kernel(env={**os.environ, MARK: self.mark})
        self.connect()

    def connect(self) -> None:
        self.client: BlockingKernelClient = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=30)

    def start(self, code: str) -> str:
        return str(self.client.execute(code))

    def outputs(self, message: str, timeout: float = 60) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            try:
                told = self.client.get_iopub_msg(timeout=timeout)
            except Empty:
                pytest.fail("the kernel does not answer")
            if told["parent_header"].get("msg_id") != message:
                continue
            if told["msg_type"] == "status" and told["content"]["execution_state"] == "idle":
                return found
            if told["msg_type"] in ("stream", "execute_result", "display_data", "error"):
                found.append({"type": told["msg_type"], **told["content"]})

    def run(self, code: str) -> str:
        """Run a cell and return what it shows as text."""
        outputs = self.outputs(self.start(code))
        return "\n".join(
            str(o.get("text") or o.get("data", {}).get("text/plain") or "\n".join(o.get("traceback", [])))
            for o in outputs
        )

    def processes(self) -> list[str]:
        return [line for line in Holder.left_over(self) if "ipykernel" not in line]  # type: ignore[arg-type]

    def end(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.folder.cleanup()


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    started = Kernel()
    yield started
    started.end()


OPEN = "from playground import Playground\npg = Playground.open()\npg"
DEPLOY = f"%%service signup\n{SIGNUP}"


def test_the_stop_button_leaves_server_and_pods_alive(kernel: Kernel) -> None:
    assert "Playground on the local backend" in kernel.run(OPEN)
    assert "signup-00001" in kernel.run(DEPLOY)
    kernel.run('inv = pg.send("Signup/signup", {"username": "ada", "takes": 1})')
    before = kernel.processes()
    waiting = kernel.start("print('here', flush=True); inv.result()")
    eventually(lambda: kernel.client.get_iopub_msg(timeout=10)["content"].get("text") == "here\n")
    kernel.manager.interrupt_kernel()
    assert kernel.outputs(waiting)[-1]["ename"] == "Interrupted"
    assert kernel.processes() == before
    assert kernel.run(
        "inv.wait_for(status='suspended'); pg.resolve(inv.awakeables[0]); print(inv.result())"
    ).startswith("The new user ada")


def test_restarting_and_shutting_down_the_kernel_leaves_none(kernel: Kernel) -> None:
    kernel.run(OPEN)
    kernel.run(DEPLOY)
    assert len(kernel.processes()) >= 3
    kernel.client.stop_channels()
    kernel.manager.restart_kernel(now=True)
    eventually(lambda: not kernel.processes(), timeout=2)
    kernel.connect()
    assert "ready" in kernel.run(OPEN)
    kernel.manager.shutdown_kernel(now=False)
    eventually(lambda: not kernel.processes(), timeout=2)


def test_opening_again_closes_the_one_before(kernel: Kernel) -> None:
    kernel.run(OPEN)
    kernel.run("first = pg\npg = Playground.open()")
    assert kernel.run("print(first, '|', pg)").startswith("Playground, closed | Playground on the local")
    eventually(lambda: len(kernel.processes()) == 3, timeout=2)  # keeper, server and ledger


def test_an_error_is_shown_without_a_traceback(kernel: Kernel) -> None:
    assert kernel.run("%load_ext playground").strip() == ""
    shown = kernel.run("%%service signup\nimport restate")
    assert shown.splitlines()[0] == "PlaygroundClosed: No playground is open."
    assert shown.splitlines()[-1] == "Fix: pg = Playground.open()"
    kernel.run(OPEN)
    shown = kernel.run("%%service signup\nimport restate\noops(")
    assert "'(' was never closed (line 3)" in shown or "line 2" in shown
    assert "playground/runtime/deploying.py" not in shown
    assert "%%service needs one name" in kernel.run("%%service\nx = 1")


def test_plain_async_httpx_and_nest_asyncio_work_beside_it(kernel: Kernel) -> None:
    kernel.run(OPEN)
    kernel.run(DEPLOY)
    code = """
import asyncio, httpx, nest_asyncio
nest_asyncio.apply()
async def five():
    async with httpx.AsyncClient(base_url=pg.ingress_url, trust_env=False, timeout=30) as client:
        answers = await asyncio.gather(*(client.post(f"/User/u{n}/initialize", json={"n": n}) for n in range(5)))
    return [answer.status_code for answer in answers]
print(asyncio.run(five()), pg.call("User/u3/get"))
"""
    assert kernel.run(code).strip() == "[200, 200, 200, 200, 200] {'n': 3}"
    assert kernel.run('pg.kill_pod("signup"); print(pg.call("User/u4/get"))').strip() == "{'n': 4}"
