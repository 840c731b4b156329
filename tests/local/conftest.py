"""Fixtures for tests against a real restate-server on the embedded backend."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from playground import Playground

SIGNUP = (Path(__file__).parent / "signup.py").read_text("utf-8")
MARK = "PLAYGROUND_TEST_MARK"


@pytest.fixture
def pg() -> Iterator[Playground]:
    with Playground.open() as playground:
        yield playground


@pytest.fixture
def signup(pg: Playground) -> Playground:
    """A playground with the article's services deployed."""
    pg.deploy(name="signup", source=SIGNUP)
    return pg


def eventually(reached: Callable[[], object], timeout: float = 10) -> None:
    """Wait until something holds; fail if it does not in time."""
    deadline = time.monotonic() + timeout
    while not reached():
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.02)


def has_feature(pg: Playground, name: str) -> bool:
    """Whether a feature of the next release is in force on the server."""
    return name in pg.runtime.run(pg.runtime.admin.features())


class Holder:
    """Another process that holds a playground. Everything it starts inherits a mark in its environment."""

    def __init__(self, script: str) -> None:
        self.mark = uuid.uuid4().hex
        environment = {**os.environ, MARK: self.mark, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def says(self) -> str:
        """Its next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """SIGKILL it alone, as the operating system would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def left_over(self) -> list[str]:
        """Processes that carry the mark and still live."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if self.mark.encode() in (entry / "environ").read_bytes():
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found.append(f"{entry.name} {command}")
            except OSError:
                continue
        return found

    def end(self) -> None:
        if self.process.poll() is None:
            self.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture
def holder() -> Iterator[Callable[[str], Holder]]:
    holders: list[Holder] = []

    def start(script: str) -> Holder:
        holders.append(Holder(script))
        return holders[-1]

    yield start
    for each in holders:
        each.end()
