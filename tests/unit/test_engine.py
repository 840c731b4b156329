"""The engine's thread: whoever waits for it is told when it closes, at whichever moment that is."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from playground.core.engine import Engine
from playground.errors import PlaygroundClosed


def test_what_is_waited_for_while_it_closes_says_so() -> None:
    engine, begun = Engine(), threading.Event()

    async def wait() -> None:
        begun.set()
        await asyncio.sleep(60)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(engine.run, wait())
        assert begun.wait(10)
        engine.close()
        with pytest.raises(PlaygroundClosed):
            waiting.result(10)
    with pytest.raises(PlaygroundClosed):
        engine.run(wait())


def test_nobody_waits_for_ever_for_one_that_closes() -> None:
    async def short() -> int:
        await asyncio.sleep(0)
        return 1

    def ask(engine: Engine) -> None:
        while True:
            assert engine.run(short()) == 1

    for _ in range(20):
        engine = Engine()
        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask, engine) for _ in range(4)]
            engine.run(asyncio.sleep(0.01))
            engine.close()
            for each in asking:
                with pytest.raises(PlaygroundClosed):
                    each.result(10)


def test_a_socket_that_is_ready_when_its_wait_is_cancelled_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine()

    async def cancelled_and_set() -> None:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, None)
        future.cancel()
        await asyncio.sleep(0)

    async def stumbles() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(0)

    with caplog.at_level(logging.ERROR, "asyncio"):
        engine.run(cancelled_and_set())
        assert not caplog.records
        engine.run(stumbles())
        assert len(caplog.records) == 1
    engine.close()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_nothing_that_a_coroutine_raises_ends_the_thread(kind: type[BaseException]) -> None:
    engine = Engine()

    async def leaves() -> None:
        raise kind

    async def leaves_when_cancelled() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise kind

    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            with pytest.raises(kind):
                pool.submit(engine.run, leaves()).result(10)
        assert engine.run(asyncio.sleep(0, "still there"), 10) == "still there"
        in_background = engine.start(leaves_when_cancelled())
        waiting = pool.submit(engine.run, asyncio.sleep(60))
        engine.run(asyncio.sleep(0))
        closing = pool.submit(engine.close)
        closing.result(10)
        with pytest.raises(PlaygroundClosed):
            waiting.result(10)
        assert in_background.done()
    assert not engine.running
