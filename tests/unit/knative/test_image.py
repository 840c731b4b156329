"""The pod image, as far as it can be looked at without building it; and its first process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import playground
from playground.pod.emit import LogParser

ROOT = Path(playground.__file__).parents[1]
IMAGE = ROOT / "playground" / "backends" / "knative" / "image"

WHAT_PODS_LOAD = """
import sys
sys.modules["click"] = None  # or httpx loads a command line of its own, which the image has nothing for
import playground.pod.__main__, playground.pod.init, playground.pod.serve, playground.ledger.__main__
files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
print(" ".join(sorted(file for name, file in files.items() if name.split(".")[0] == "playground")))
print(" ".join(sorted({name.split(".")[0] for name, file in files.items() if "site-packages" in file})))
"""


def pins(file: Path) -> dict[str, str]:
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", file.read_text("utf-8"), re.MULTILINE)
    return {name.lower(): version for name, version in found}


def test_its_pins_are_those_of_the_lock() -> None:
    lock, image = pins(ROOT / "requirements.txt"), pins(IMAGE / "requirements.txt")
    assert image
    assert {name: lock.get(name) for name in image} == image


def test_it_contains_what_pods_load() -> None:
    answer = subprocess.run([sys.executable, "-c", WHAT_PODS_LOAD], capture_output=True, text=True, check=True)
    ours, others = (line.split() for line in answer.stdout.splitlines())
    copied = re.findall(r"^COPY (playground\S*) ", (IMAGE / "Dockerfile").read_text(), re.MULTILINE)
    for file in ours:
        path = Path(file).relative_to(ROOT).as_posix()
        assert any(path == each or path.startswith(f"{each}/") for each in copied), path
    names = {name.replace("-", "_") for name in pins(IMAGE / "requirements.txt")}
    modules = {"restate": "restate_sdk", "_distutils_hack": ""}
    wanted = {modules.get(name, name) for name in others} - {""}
    assert {name for name in wanted if not name.startswith(("__editable__", "_"))} <= names


def test_nothing_in_it_is_root() -> None:
    lines = (IMAGE / "Dockerfile").read_text("utf-8").splitlines()
    assert "USER 1000:1000" in lines
    assert lines.index("USER 1000:1000") > max(n for n, line in enumerate(lines) if line.startswith("RUN"))


FIRST_PROCESS = """
import os, signal, sys, time
from playground.pod import init
init.LINGER = 1.0

def work():
    print(os.getpid(), flush=True)
    {work}
    return 7

sys.exit(init.supervise(work))
"""


def first_process(work: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", FIRST_PROCESS.format(work=work)], stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    with process.stdout:
        ((what, event),) = LogParser("").feed(process.stdout.readline().encode())
        assert what == "event"
        return dict(event)


@pytest.mark.parametrize(
    ("work", "exit_code", "status"),
    [("pass", 7, 7), ("os.kill(os.getpid(), 9)", -9, 137), ("os._exit(65)", 65, 65)],
)
def test_the_first_process_says_how_the_other_ended_and_lingers(work: str, exit_code: int, status: int) -> None:
    process = first_process(work)
    assert process.stdout is not None
    process.stdout.readline()
    began = time.monotonic()
    event = told(process)
    assert (event["kind"], event["exit"]) == ("pod.ended", exit_code)
    assert process.wait(10) == status
    assert time.monotonic() - began > 0.5, "Kubernetes must not start it again before it can be replaced"


def test_a_signal_is_passed_on_and_then_nothing_lingers() -> None:
    process = first_process("signal.signal(15, lambda *_: os._exit(0)); time.sleep(30)")
    assert process.stdout is not None
    child = int(process.stdout.readline())
    assert child != process.pid
    time.sleep(0.2)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert told(process)["exit"] == 0
    assert process.wait(10) == 0
    assert time.monotonic() - began < 0.9
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
