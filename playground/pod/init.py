"""The first process of a container: it starts the pod's process, passes signals on, and says how that ended.

Linux protects the first process of a container: a SIGKILL that comes from inside is ignored. So the pod's
process, which must be killable at any moment (see `playground.pod.gate`), is never the first: the first
one forks before it has loaded anything, and waits.

When its child has ended it says so, as the log's last event: `pod.ended`, with the exit code. A backend
that reads the log knows it at once, long before Kubernetes has noticed, and replaces the pod. For a moment
the first process stays, so that Kubernetes does not start the container again under the same name.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from playground.pod.emit import emit

PASSED_ON = (signal.SIGTERM, signal.SIGINT)
LINGER = 5.0
"""Seconds from an end nobody asked for until the container ends. A backend takes about 0.1 s to replace the pod."""


def supervise(work: Callable[[], int]) -> int:
    """Do the work in a child process, and return its exit code once it has ended.

    Args:
        work: returns the child's exit code.
    """
    asked: list[int] = []
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)  # what comes now, both hear when they are ready for it
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
    """Wait for the child; orphans that ended up here are waited for, too."""
    while True:
        ended, status = os.wait()
        if ended == child:
            return status
