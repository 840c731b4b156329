"""The engine: one background thread with one event loop, on which all of a playground's I/O runs.

A notebook's main thread belongs to the learner, who may sleep, loop or block in it. If anything of ours depended on it,
no pod would start and no picture would move while a cell runs. So every public call hands a coroutine to this loop and
waits for the result. That also makes the API synchronous, and safe to call from any thread, even one that runs an event
loop of its own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from playground.errors import Interrupted, PlaygroundClosed

T = TypeVar("T")


class Engine:
    """A thread that runs an event loop until `close`."""

    def __init__(self, name: str = "playground-engine") -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_report)
        self._ending = False
        self._started: dict[concurrent.futures.Future[Any], Coroutine[Any, Any, Any]] = {}
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, for code that runs on it."""
        return self._loop

    @property
    def running(self) -> bool:
        """Whether it can still be used."""
        return not self._loop.is_closed() and self._thread.is_alive()

    def start(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine on the loop. Returns a future for any thread.

        Raises:
            PlaygroundClosed: the engine is closed.
        """
        self._check_running(work)
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:  # it was closed at this very moment
            work.close()
            raise closed() from None
        self._started[future] = work
        future.add_done_callback(lambda done: self._started.pop(done, None))
        if self._loop.is_closed():  # `close` may have run before this was added to `_started`
            work.close()
            future.cancel()
        return future

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine on the loop and wait for its result, from any other thread.

        An interrupt (the stop button, Ctrl-C) cancels the coroutine and is raised, as `Interrupted`.

        Args:
            timeout: seconds until it is cancelled.

        Raises:
            PlaygroundClosed: the engine is closed.
            TimeoutError: it was not done in time.
            RuntimeError: called on the engine's own thread, which would wait for itself forever.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a playground's synchronous API cannot be used from its own event loop")
        self._check_running(work)
        future = self.start(_bounded(work, timeout))
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            work.close()
            raise closed() from None  # another thread closed it while this one was waiting
        except KeyboardInterrupt:
            future.cancel()
            raise Interrupted from None
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Cancel what is still running, stop the loop and join the thread. May be called twice."""
        if not self._loop.is_closed() and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end)
            self._thread.join()
            for future, work in tuple(self._started.items()):
                work.close()  # the loop did not get to it
                future.cancel()  # somebody may be waiting for it

    def _check_running(self, work: Coroutine[Any, Any, Any]) -> None:
        if not self.running:
            work.close()
            raise closed()

    def _end(self) -> None:
        if not self._ending:  # a second stop would disturb the cleanup
            self._ending = True
            self._loop.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            while not self._ending:
                with contextlib.suppress(SystemExit, KeyboardInterrupt):  # in asyncio only these end a loop
                    self._loop.run_forever()
            while tasks := asyncio.all_tasks(self._loop):
                for task in tasks:
                    task.cancel()
                with contextlib.suppress(SystemExit, KeyboardInterrupt):
                    self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()


def closed() -> PlaygroundClosed:
    """The error for whoever uses a playground that is closed."""
    return PlaygroundClosed("This playground is closed.", "", "pg = Playground.open()")


async def _bounded(work: Coroutine[Any, Any, T], seconds: float | None) -> T:
    async with asyncio.timeout(seconds):
        return await work


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # If an interrupt cancels a wait for a Unix socket just when the socket becomes ready, anyio still sets its future.
    # That is harmless, but would be shown as a traceback below some cell.
    if not isinstance(context.get("exception"), asyncio.InvalidStateError):
        loop.default_exception_handler(context)
