"""Which line of the learner's own code asked for an entry.

Every command passes through the SDK's `VMWrapper`: `ctx.run_typed(...)` calls `sys_run`, with the learner's line on the
stack. So the methods of `VMWrapper` are wrapped. Each searches the stack for the first frame whose file is in the
service's own folder, and reports its line. This works for helpers, loops, comprehensions, `gather` and nested
functions, because whatever asks for an entry is on the stack at that moment.

Commands are counted as they are asked for. The n-th is the n-th of the journal, replayed or new, just as the tap counts
the frames that pass. An awakeable leaves a signal instead of a command, so awakeables are counted separately. The SDK
itself writes the output after the handler has returned, so an output has no line, unless it is a failure, which has
the line from its traceback. The line of the input is where the handler is defined.
"""

from __future__ import annotations

import functools
import inspect
import linecache
import os
import re
import sys
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from restate.server_context import ServerInvocationContext
from restate.vm import VMWrapper

from playground.restate.protocol import FIRST_AWAKEABLE

COMMANDS = {
    "sys_input": "Input",
    "sys_write_output_success": "Output",
    "sys_get_state": "GetState",
    "sys_get_state_keys": "GetStateKeys",
    "sys_set_state": "SetState",
    "sys_clear_state": "ClearState",
    "sys_clear_all_state": "ClearAllState",
    "sys_sleep": "Sleep",
    "sys_call": "Call",
    "sys_send": "OneWayCall",
    "sys_run": "Run",
    "sys_resolve_awakeable": "CompleteAwakeable",
    "sys_reject_awakeable": "CompleteAwakeable",
    "sys_resolve_signal": "SendSignal",
    "sys_reject_signal": "SendSignal",
    "sys_get_promise": "GetPromise",
    "sys_peek_promise": "PeekPromise",
    "sys_complete_promise_success": "CompletePromise",
    "sys_complete_promise_failure": "CompletePromise",
    "sys_cancel": "SendSignal",
    "attach_invocation": "AttachInvocation",
}
"""The methods that write one command each, and its type (restate-sdk 1.3; any that a release lacks are skipped)."""
Place = tuple[str, int]
"""A file, as a path within the service's folder, and a line in it."""


class Lines:
    """The lines from which one attempt asks for entries.

    Args:
        tell: called with a place, and with either `entry=`, the index of a command, or `signal=`, the number of an
            awakeable.

    Attributes:
        latest: the method that asked for the latest command, with its arguments.
        failed_at: where the error was raised that ended the attempt, if one did.
    """

    def __init__(self, tell: Callable[..., None]) -> None:
        self._tell = tell
        self._commands = self._awakeables = 0
        self.failed_at: Place | None = None
        self.latest: tuple[str, tuple[Any, ...], dict[str, Any]] | None = None

    def command(self, place: Place | None) -> None:
        """Count a command that was asked for, and report its place."""
        index, self._commands = self._commands, self._commands + 1
        if place is not None:
            self._tell(place, entry=index)

    def awakeable(self, place: Place | None) -> None:
        """Count an awakeable that was asked for, and report its place."""
        signal, self._awakeables = FIRST_AWAKEABLE + self._awakeables, self._awakeables + 1
        if place is not None:
            self._tell(place, signal=signal)

    def given(self, place: Place) -> None:
        """Report the place of the input."""
        self._tell(place, entry=0)

    def failed(self, place: Place | None) -> None:
        """Remember the place of the error that ends the attempt."""
        self.failed_at = place

    @property
    def asked(self) -> str:
        """What was asked for last, as the journal would have it: "Run send email"."""
        if self.latest is None:
            return ""
        method, args, options = self.latest
        given = inspect.signature(getattr(VMWrapper, method)).bind(*args, **options).arguments
        label = given.get("name") or ""
        if "service" in given:
            label = "/".join(part for part in (given["service"], given.get("key"), given["handler"]) if part)
        return f"{COMMANDS.get(method, 'Output')} {label}".rstrip()


LINES: ContextVar[Lines | None] = ContextVar("playground_lines", default=None)
"""The lines of the attempt that is running in this context."""


def install(root: Path) -> None:
    """Make the SDK's methods report where they are called from.

    Args:
        root: the folder of the service's own files.
    """
    inside = f"{root}{os.sep}"

    def asking() -> Place | None:
        frame: FrameType | None = sys._getframe(2)  # noqa: SLF001  (the caller of the wrapped method)
        while frame is not None:
            if (name := frame.f_code.co_filename).startswith(inside):
                return name[len(inside) :], frame.f_lineno
            frame = frame.f_back
        return None

    def raising() -> Place | None:
        """The learner's line that raised the error that is being handled."""
        place, trace = None, sys.exc_info()[2]
        while trace is not None:
            if (name := trace.tb_frame.f_code.co_filename).startswith(inside):
                place = name[len(inside) :], trace.tb_lineno
            trace = trace.tb_next
        return place

    def wrap(method: str, tell: Callable[[Lines, Place | None], None], where: Callable[[], Place | None]) -> None:
        wrapped = getattr(VMWrapper, method, None)
        if wrapped is None:
            return

        @functools.wraps(wrapped)
        def wrapper(*args: Any, **options: Any) -> Any:
            if (lines := LINES.get()) is not None:
                tell(lines, where())
                if tell is Lines.command:
                    lines.latest = method, args, options
            return wrapped(*args, **options)

        setattr(VMWrapper, method, wrapper)

    for name in COMMANDS:
        wrap(name, Lines.command, asking)
    wrap("sys_awakeable", Lines.awakeable, asking)
    wrap("sys_write_output_failure", Lines.command, raising)
    wrap("notify_error", Lines.failed, raising)
    enter = ServerInvocationContext.enter

    @functools.wraps(enter)
    async def entered(self: Any) -> None:
        if (lines := LINES.get()) is not None and (place := _definition(self.handler.fn, inside)) is not None:
            lines.given(place)
        await enter(self)  # type: ignore[no-untyped-call]

    ServerInvocationContext.enter = entered  # type: ignore[method-assign]


def _definition(handler: Callable[..., Any], inside: str) -> Place | None:
    """The line where a handler's definition begins, after its decorators; None if it is no function of theirs."""
    code = getattr(inspect.unwrap(handler), "__code__", None)  # whatever can be called may be a handler
    if not isinstance(code, CodeType) or not code.co_filename.startswith(inside):
        return None
    line = code.co_firstlineno
    while (text := linecache.getline(code.co_filename, line)) and not re.match(r"\s*(async\s+)?def\b", text):
        line += 1
    return code.co_filename[len(inside) :], line if text else code.co_firstlineno
