"""For all tests."""

import signal

import pytest

pytest.register_assert_rewrite("tests.contract")


def pytest_configure() -> None:
    """Let the tests of the stop button be interrupted, however pytest was started: a shell's job in the background
    ignores SIGINT, and what it starts inherits that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
