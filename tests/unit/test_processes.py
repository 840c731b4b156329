"""The keeper and the kernel's end of it, with real processes: answers find their question, whoever was interrupted."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from playground.backends.local.keeper import Commands
from playground.backends.local.processes import Processes
from playground.errors import PlaygroundClosed, StartError

SLEEP = ["/bin/sleep", "300"]


def kept(directory: Path, work: Callable[[Processes], Awaitable[None]]) -> None:
    """Do something with a keeper of one's own."""

    async def run() -> None:
        processes = Processes(directory, remove=False)
        await processes.start()
        try:
            async with asyncio.timeout(60):
                await work(processes)
        finally:
            await processes.close()

    asyncio.run(run())


async def sleeping(processes: Processes, log: Path) -> tuple[int, asyncio.Future[int]]:
    """Start a sleeping process; returns its pid, and how it ended."""
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    pid = await processes.exec(SLEEP, {}, log, ended.set_result)
    return pid, ended


def sleepers(processes: Processes) -> set[int]:
    found = set()
    for process in psutil.Process(processes.pid).children():
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.parametrize("moments", [range(12), None], ids=["step by step", "at random"])
def test_an_interrupted_question_is_undone_and_answers_for_no_other(tmp_path: Path, moments: range | None) -> None:
    async def work(processes: Processes) -> None:
        wanted = {}
        for moment in moments or range(150):
            cancelled = asyncio.ensure_future(sleeping(processes, tmp_path / "log"))
            if moments is None:
                await asyncio.sleep(random.uniform(0, 0.01))
            for _ in range(moment if moments else 0):
                await asyncio.sleep(0)
            cancelled.cancel()
            if moment % 10 == 0 or moments:
                pid, ended = await sleeping(processes, tmp_path / "log")
                wanted[pid] = ended
            try:
                wanted.update([await cancelled])
            except asyncio.CancelledError:
                pass
        while sleepers(processes) != set(wanted):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for pid in list(wanted):
            await processes.signal(pid, signal.SIGKILL)
            assert await wanted.pop(pid) == -signal.SIGKILL
            assert not any(ended.done() for ended in wanted.values())

    kept(tmp_path, work)


def test_many_questions_at_once_each_get_their_answer(tmp_path: Path) -> None:
    async def work(processes: Processes) -> None:
        mine = await asyncio.gather(*(sleeping(processes, tmp_path / "log") for _ in range(30)))
        assert len({pid for pid, _ in mine}) == 30
        for pid, _ in mine:
            await processes.signal(pid, signal.SIGTERM)
        assert await asyncio.gather(*(ended for _, ended in mine)) == [-signal.SIGTERM] * 30

    kept(tmp_path, work)


def test_a_question_is_sent_whole_although_it_does_not_fit(tmp_path: Path) -> None:
    async def work(processes: Processes) -> None:
        psutil.Process(processes.pid).suspend()
        much = [
            asyncio.ensure_future(processes.exec(SLEEP, {"X": "x" * 30000}, tmp_path / "log", print)) for _ in range(40)
        ]
        await asyncio.sleep(0.1)
        for question in much[::2]:
            question.cancel()
        psutil.Process(processes.pid).resume()
        pids = set(await asyncio.gather(*much[1::2]))
        while sleepers(processes) != pids:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    kept(tmp_path, work)


def test_what_hears_of_an_end_may_stumble(tmp_path: Path) -> None:
    async def work(processes: Processes) -> None:
        heard: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: heard.append(str(told["exception"])))

        def stumble(_status: int) -> None:
            raise TypeError("stumbled")

        first = await processes.exec(SLEEP, {}, tmp_path / "log", stumble)
        second, ended = await sleeping(processes, tmp_path / "log")
        await processes.signal(first, signal.SIGKILL)
        await processes.signal(second, signal.SIGKILL)
        assert await ended == -signal.SIGKILL
        async with asyncio.timeout(20):  # the two may be heard of in either order
            while not heard:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert heard == ["stumbled"]

    kept(tmp_path, work)


def test_questions_to_a_killed_keeper_are_refused(tmp_path: Path) -> None:
    async def work(processes: Processes) -> None:
        _, ended = await sleeping(processes, tmp_path / "log")
        psutil.Process(processes.pid).suspend()
        asked = asyncio.ensure_future(sleeping(processes, tmp_path / "log"))
        await asyncio.sleep(0.05)
        os.kill(processes.pid, signal.SIGKILL)
        with pytest.raises(PlaygroundClosed, match="keeper"):
            await asked
        assert await ended == -signal.SIGKILL
        with pytest.raises(PlaygroundClosed, match=r"Playground\.open"):
            await processes.signal(1, signal.SIGKILL)

    kept(tmp_path, work)


def test_a_keeper_without_room_for_a_socket_says_so_and_goes_on(tmp_path: Path) -> None:
    """The system drops descriptors that do not fit, and tells it in a flag."""
    from playground.backends.local.output import Output

    async def work(processes: Processes) -> None:
        await processes.signal(1, 0)  # nobody's child; once that is answered, it runs
        opened = set(os.listdir(f"/proc/{processes.pid}/fd"))
        room = min({str(number) for number in range(100)} - opened, key=int)
        told: list[object] = []
        with socket.create_server(("127.0.0.1", 0)) as listening:

            async def serve() -> int:
                with Output(told.extend) as output:
                    return await processes.serve(
                        "this", tmp_path, env={}, listening=listening.fileno(), output=output, fork=False, on_exit=print
                    )

            limits = resource.prlimit(processes.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(processes.pid, resource.RLIMIT_NOFILE, (int(room) + 1, limits[1]))
            with pytest.raises(StartError, match="Too many open files"):
                await serve()
            resource.prlimit(processes.pid, resource.RLIMIT_NOFILE, limits)
            assert set(os.listdir(f"/proc/{processes.pid}/fd")) == opened
            assert await serve() > 0

    if sys.platform == "linux":
        kept(tmp_path, work)


def test_descriptors_stay_with_the_line_they_were_sent_with() -> None:
    ours, theirs = socket.socketpair()
    reads: list[tuple[int, list[int]]] = []
    with ours, theirs:
        commands = Commands(theirs)
        ends = [os.pipe() for _ in range(3)]
        for number, (read, write) in enumerate(ends):
            ours.send(json.dumps({"n": f"plain {number}"}).encode() + b"\n")
            line = json.dumps({"n": number, "fds": 2}).encode() + b"\n"
            socket.send_fds(ours, [line[:5]], [read, write])
            ours.send(line[5:])
        while len(reads) < 3:
            for command, fds in commands.read() or []:
                if command.get("fds"):
                    reads.append((command["n"], fds))
                else:
                    assert fds == []
        for number, fds in reads:
            assert [os.fstat(fd).st_ino for fd in fds] == [os.fstat(fd).st_ino for fd in ends[number]]
        for fd in [fd for _, fds in reads for fd in fds] + [fd for end in ends for fd in end]:
            os.close(fd)


def test_a_signal_to_a_child_just_forked_makes_no_second_keeper(tmp_path: Path) -> None:
    """Bombarded before it has put back what signals do, it dies of them; it never acts as its keeper would."""

    async def work(processes: Processes) -> None:
        stop = asyncio.Event()

        async def bombard() -> None:
            keeper = psutil.Process(processes.pid)
            while not stop.is_set():
                for child in await asyncio.to_thread(keeper.children):
                    if child.pid != spared:
                        try:
                            os.kill(child.pid, random.choice([signal.SIGTERM, signal.SIGTERM, signal.SIGKILL]))
                        except ProcessLookupError:
                            continue

        spared, unhurt = await sleeping(processes, tmp_path / "log")
        bombardments = [asyncio.ensure_future(bombard()) for _ in range(3)]
        for _ in range(120):
            _, ended = await sleeping(processes, tmp_path / "log")
            assert await ended in (-signal.SIGTERM, -signal.SIGKILL)
        stop.set()
        await asyncio.gather(*bombardments)
        assert not unhurt.done()
        assert psutil.Process(spared).cmdline() == SLEEP
        await processes.signal(spared, signal.SIGKILL)
        assert await unhurt == -signal.SIGKILL

    kept(tmp_path, work)
