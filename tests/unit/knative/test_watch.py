"""A watch through all that can happen to its connection: told in order, nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playground.backends.knative import watch as watching
from playground.backends.knative.api import Kubernetes
from playground.backends.knative.objects import PODS
from playground.backends.knative.watch import Watch
from tests.unit.knative.apiserver import ApiServer, lines, recorded, recorded_events, stand_in

REPLACED = recorded_events("replaced.watch")
"""A pod starts, is killed by force, and another takes its place and is stopped in the end."""
TOLD = [(event["type"], event["object"]["metadata"]["resourceVersion"]) for event in REPLACED]
LAST = TOLD[-1][1]


def watched(directory: Path, arrange: Callable[[ApiServer], None], last: str = LAST) -> tuple[list[Any], ApiServer]:
    """What a watch tells until it has told the version `last`."""
    told: list[Any] = []

    async def run() -> ApiServer:
        async with stand_in(directory) as (server, kubernetes):
            arrange(server)
            await _until(kubernetes, told, last)
        return server

    server = asyncio.run(run())
    return told, server


async def _until(kubernetes: Kubernetes, told: list[Any], last: str) -> None:
    there = asyncio.Event()

    def take(what: str, pod: dict[str, Any]) -> None:
        told.append((what, pod["metadata"]["resourceVersion"]))
        if told[-1][1] == last:
            there.set()

    following = asyncio.create_task(Watch(kubernetes, PODS, "a=b", take).run())
    try:
        async with asyncio.timeout(20):
            await there.wait()
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def test_what_happens_is_told_in_order(tmp_path: Path) -> None:
    def arrange(server: ApiServer) -> None:
        server.lists([], "4700")
        server.answers("watch", lines(REPLACED), ending="hold")

    told, server = watched(tmp_path, arrange)
    assert told == TOLD
    assert server.watches() == ["4700"]
    assert server.asked[0].query["labelSelector"] == "a=b"


def test_a_connection_that_breaks_is_taken_up_where_it_broke(tmp_path: Path) -> None:
    def arrange(server: ApiServer) -> None:
        server.lists([], "4700")
        whole = lines(REPLACED[:6])
        server.answers("watch", whole, lines(REPLACED[6:7])[:200], ending="cut")  # in the middle of a line
        server.answers("watch", lines(REPLACED[6:9]), ending="end")  # the server has enough, as after each period
        server.answers("watch", lines(REPLACED[9:]), ending="hold")

    told, server = watched(tmp_path, arrange)
    assert told == TOLD
    assert server.watches() == ["4700", TOLD[5][1], TOLD[8][1]]


def test_events_that_come_again_are_not_told_again(tmp_path: Path) -> None:
    def arrange(server: ApiServer) -> None:
        server.lists([REPLACED[0]["object"]], TOLD[0][1])
        server.answers("watch", lines(REPLACED[:4]), lines(REPLACED[2:4]), lines(REPLACED[4:]), ending="hold")

    told, _ = watched(tmp_path, arrange)
    assert [each for each in told if each in TOLD] == TOLD


def test_a_version_that_is_too_old_has_everything_listed_anew(tmp_path: Path) -> None:
    """Meanwhile the first pod has gone and the second has come: both are told, though no watch has shown it."""
    second = next(event["object"] for event in REPLACED if event["object"]["metadata"]["uid"] != _uid(0))
    rest = REPLACED[[event["object"] for event in REPLACED].index(second) + 1 :]
    rest = [event for event in rest if event["object"]["metadata"]["uid"] != _uid(0)]

    def arrange(server: ApiServer) -> None:
        server.lists([], "4700")
        server.answers("watch", lines(REPLACED[:4]), recorded("too-old.watch"))
        server.lists([second], second["metadata"]["resourceVersion"])
        server.answers("watch", lines(rest), ending="hold")

    told, server = watched(tmp_path, arrange)
    assert [what for what, _ in told[3:6]] == ["MODIFIED", "DELETED", "ADDED"]
    assert told[5][1] == second["metadata"]["resourceVersion"]
    assert server.watches() == ["4700", second["metadata"]["resourceVersion"]]
    assert told[-1] == TOLD[-1]


def test_too_old_may_also_be_the_answer_itself(tmp_path: Path) -> None:
    def arrange(server: ApiServer) -> None:
        server.lists([], "1")
        server.answers("watch", json.dumps(recorded_events("too-old.watch")[0]["object"]).encode(), status=410)
        server.answers("watch", lines(REPLACED), ending="hold")

    told, server = watched(tmp_path, arrange)
    assert told == TOLD
    assert [each.query.get("watch") for each in server.asked] == [None, "1", None, "1"]


def test_a_server_that_is_away_for_a_while_is_waited_for(tmp_path: Path) -> None:
    """The cluster is restarted in the middle of a lesson: the same address, after a while, and other versions."""

    async def run() -> list[Any]:
        told: list[Any] = []
        async with stand_in(tmp_path) as (server, kubernetes):
            server.lists([], "4700")
            server.answers("watch", lines(REPLACED[:4]), ending="cut")
            server.answers("watch", b"upstream connect error", status=503)
            server.answers("watch", b"upstream connect error", status=502)
            server.answers("watch", lines(REPLACED[4:]), ending="hold")
            await _until(kubernetes, told, LAST)
        return told

    assert asyncio.run(run()) == TOLD


def test_bookmarks_only_move_the_version_on(tmp_path: Path) -> None:
    bookmark = {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": "4771"}}}

    def arrange(server: ApiServer) -> None:
        server.lists([], "4700")
        server.answers("watch", lines([bookmark]), ending="cut")
        server.answers("watch", lines(REPLACED), ending="hold")

    told, server = watched(tmp_path, arrange)
    assert told == TOLD
    assert server.watches() == ["4700", "4771"]


def test_what_keeps_it_from_following_can_be_asked(tmp_path: Path) -> None:
    async def run() -> None:
        async with stand_in(tmp_path) as (server, kubernetes):
            server.answers("list", recorded("forbidden.json"), status=403)
            watch = Watch(kubernetes, PODS, "a=b", lambda what, pod: None)
            following = asyncio.create_task(watch.run())
            await eventually(lambda: watch.error is not None)
            following.cancel()
            assert watch.error is not None
            assert watch.error.status == 403
            assert 'cannot list resource "pods"' in watch.error.why
            assert "cluster adopt" in watch.error.fix

    asyncio.run(run())


async def eventually(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not reached():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _uid(position: int) -> str:
    return str(REPLACED[position]["object"]["metadata"]["uid"])


def test_pauses_grow_only_while_nothing_comes() -> None:
    assert watching.FIRST_PAUSE < watching.LONGEST_PAUSE <= 2
