"""The first process of a container: it starts the pod's process, passes signals on to it, and reports how it ended.

Linux protects the first process of a container: it ignores a SIGKILL from inside. But it must be possible to kill the
pod's process at any moment (see `playground.pod.gate`), so it is never the first. Instead, the first process forks
before it has loaded anything, and waits.

When the child has ended, the first process reports `pod.ended` with the exit code, as the last event in the log. A
backend that reads the log then replaces the pod at once, long before Kubernetes notices. The first process lingers for
a moment, so that Kubernetes does not restart the container under the same name.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from playground.pod.emit import emit

PASSED_ON = (signal.SIGTERM, signal.SIGINT)
LINGER = 5.0
"""Seconds between an unexpected end and the container's end. A backend takes about 0.1 s to replace the pod."""


def supervise(work: Callable[[], int]) -> int:
    """Do the work in a child process. Returns its exit code when it has ended.

    Args:
        work: returns the child's exit code.
    """
    asked: list[int] = []
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)  # what arrives now is delivered when both are ready for it
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        return work()

    def pass_on(number: int, _frame: object) -> None:
        asked.append(number)
        try:
            os.kill(child, number)
        except ProcessLookupError:
            pass

    for number in PASSED_ON:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    exit_code = os.waitstatus_to_exitcode(_wait(child))
    emit([{"kind": "pod.ended", "at": time.time(), "exit": exit_code}])
    deadline = time.monotonic() + LINGER
    while not asked and time.monotonic() < deadline:
        time.sleep(0.05)
    return exit_code if exit_code >= 0 else 128 - exit_code


def _wait(child: int) -> int:
    """Wait for the child, and reap orphans that ended up here."""
    while True:
        ended, status = os.wait()
        if ended == child:
            return status
