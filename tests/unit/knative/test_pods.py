"""What becomes of a pod, told from recorded watch events and the pod's own words: once, in order, the truth."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from playground.backends.knative import logs, pods
from playground.backends.knative.api import Kubernetes
from playground.backends.knative.objects import PODS
from playground.backends.knative.pods import ClusterPod
from playground.backends.knative.watch import Watch
from playground.pod.emit import Signed, signature
from playground.recording import Event
from tests.unit.knative.apiserver import NAMESPACE, ApiServer, lines, recorded_events, stand_in

KEY = "ab" * 16


def keyed(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was recorded, as of pods that have a key."""
    for event in events:
        for container in event["object"]["spec"]["containers"]:
            if container["name"] == "user":
                container.setdefault("env", []).append({"name": "POD_EVENTS", "value": f"key:{KEY}"})
    return events


REPLACED = keyed(recorded_events("replaced.watch"))
REFUSED = keyed(recorded_events("refused.watch"))
FIRST, SECOND = sorted({event["object"]["metadata"]["name"] for event in REPLACED}, key=lambda name: "5nwmn" in name)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PAUSE", 0.01)
    monkeypatch.setattr(pods, "QUIET", 0.02)
    monkeypatch.setattr(pods, "LAST_WORDS", 0.5)


def said(*events: dict[str, Any] | str) -> bytes:
    """A log as Kubernetes gives it."""
    log, pod = b"", Numbered(KEY)
    for number, event in enumerate(events):
        text = event if isinstance(event, str) else pod.line(json.dumps({"at": 1.0, **event}))
        log += f"2026-11-24T08:02:{number:02}.0Z {text}\n".encode()
    return log


class Numbered(Signed):
    """A pod whose clock stands still: it numbers its events from one."""

    def line(self, text: str) -> str:
        self._number += 1
        return f"\x1e{signature(self._key, self._number, text)} {self._number} {text}"


def log_of(name: str) -> str:
    return f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/log"


STARTED = {"kind": "attempt.started", "attempt": 1, "invocation": "inv_1", "target": "S/h", "known": 1}
CLOSED = {"kind": "attempt.closed", "attempt": 1}
LOADED = {"kind": "pod.loaded", "services": []}


class Stage:
    """A backend's pods, as far as they need one."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self.kubernetes = kubernetes
        self.events: list[Event] = []
        self.pods: dict[str, ClusterPod] = {}
        self.replaced: list[str] = []
        self.tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        return task

    def take(self, what: str, pod: dict[str, Any]) -> None:
        name = pod["metadata"]["name"]
        if what == "DELETED":
            self.pods[name].deleted()
        elif name in self.pods:
            self.pods[name].update(pod)
        else:
            self.pods[name] = ClusterPod(
                pod,
                kubernetes=self.kubernetes,
                record=lambda *events: self.events.extend(events),
                start=self.start,
                on_end=lambda ended: self.replaced.append(ended.name),
            )

    def told(self, name: str) -> list[str]:
        """What was told of a pod, in short."""
        return [
            f"{event.kind} {event.data['how']}" if event.kind == "pod.gone" else event.kind
            for event in self.events
            if event.data["pod"] == name
        ]


def staged(
    directory: Path, arrange: Callable[[ApiServer], None], until: Callable[[Stage], bool], wait: float = 0.0
) -> Stage:
    """What is told until something holds, and a moment longer."""

    async def run() -> Stage:
        async with stand_in(directory) as (server, kubernetes):
            arrange(server)
            stage = Stage(kubernetes)
            stage.start(Watch(kubernetes, PODS, "a=b", stage.take).run())
            async with asyncio.timeout(20):
                while not until(stage):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await asyncio.sleep(wait)
            for task in stage.tasks:
                task.cancel()
            results = await asyncio.gather(*stage.tasks, return_exceptions=True)
            assert not [each for each in results if isinstance(each, Exception)]
            return stage

    return asyncio.run(run())


def gone(*names: str) -> Callable[[Stage], bool]:
    return lambda stage: all(any("gone" in told for told in stage.told(name)) for name in names)


def test_a_pod_killed_by_force_and_the_one_that_takes_its_place(tmp_path: Path) -> None:
    def arrange(server: ApiServer) -> None:
        server.lists([], "4700")
        server.answers("watch", lines(REPLACED), ending="hold")
        server.answers(log_of(FIRST), said(LOADED, {"kind": "pod.ready"}, STARTED, "a print"), ending="cut")
        server.answers(log_of(FIRST), b'{"message": "not found"}', status=404)
        server.answers(log_of(SECOND), said(LOADED, {"kind": "pod.ready"}))

    stage = staged(tmp_path, arrange, gone(FIRST, SECOND))
    assert stage.told(FIRST) == [
        "pod.starting",
        "pod.loaded",
        "pod.ready",
        "attempt.started",
        "pod.log",
        "pod.gone killed",
    ]
    told = stage.told(SECOND)
    told.remove("pod.stopping")  # its place depends on how quick the log is
    assert told == ["pod.starting", "pod.loaded", "pod.ready", "pod.gone stopped"]
    assert stage.replaced == [], "Kubernetes has replaced the one and wants the other to go"


def test_the_first_process_knows_first_how_the_pod_ended(tmp_path: Path) -> None:
    """Kubernetes has noticed nothing yet when the log says so; the pod has to be replaced as a whole."""

    def arrange(server: ApiServer) -> None:
        server.lists([], "4700")
        server.answers("watch", lines(REPLACED[:5]), ending="hold")
        crashed = {"kind": "attempt.crashed", "attempt": 1, "invocation": "inv_1", "boundary": ["in", "Start", None]}
        again: list[dict[str, Any]] = [
            LOADED,
            {"kind": "pod.ready"},
        ]  # should it be started again under its name, that is not told
        server.answers(log_of(FIRST), said(LOADED, STARTED, crashed, {"kind": "pod.ended", "exit": -9}, *again))

    stage = staged(tmp_path, arrange, gone(FIRST), wait=0.1)
    assert stage.told(FIRST) == ["pod.starting", "pod.loaded", "attempt.started", "attempt.crashed", "pod.gone killed"]
    assert stage.events[-1].data["exit"] == -9
    assert stage.replaced == [FIRST]


def test_a_pod_that_works_while_it_is_stopped_is_gone_when_it_is_done(tmp_path: Path) -> None:
    stopping = [event for event in REPLACED if event["object"]["metadata"]["name"] == SECOND][:8]
    assert "deletionTimestamp" in stopping[-1]["object"]["metadata"]

    def arrange(server: ApiServer) -> None:
        server.lists([], "4700")
        server.answers("watch", lines(stopping), ending="hold")
        server.answers(log_of(SECOND), said(LOADED, STARTED), ending="cut")
        for _ in range(30):
            server.answers(log_of(SECOND), said(LOADED, STARTED), ending="cut")
        server.answers(log_of(SECOND), said(LOADED, STARTED, CLOSED), ending="hold")

    stage = staged(tmp_path, arrange, gone(SECOND))
    assert stage.told(SECOND)[-2:] == ["attempt.closed", "pod.gone stopped"]
    assert stage.told(SECOND).count("attempt.started") == 1, "a log that is read again is not told again"


def test_what_a_service_prints_is_words_whatever_it_looks_like(tmp_path: Path) -> None:
    """An event of nobody, an end that is none, an event of another pod, and one that was said before."""
    pod = Numbered(KEY)
    real, other = (
        pod.line(json.dumps({"at": 1.0, **STARTED})),
        Numbered("other").line(json.dumps({"at": 1.0, **CLOSED})),
    )
    printed = ['\x1e{"kind": "pod.ended", "exit": 0}', other, real, f"said and {real}"]

    def arrange(server: ApiServer) -> None:
        server.lists([], "4700")
        server.answers("watch", lines(REPLACED[:5]), ending="hold")
        server.answers(log_of(FIRST), said(LOADED, {"kind": "pod.ready"}, STARTED, *printed, CLOSED))

    stage = staged(tmp_path, arrange, lambda stage: "attempt.closed" in stage.told(FIRST))
    assert stage.told(FIRST) == [
        "pod.starting",
        "pod.loaded",
        "pod.ready",
        "attempt.started",
        *["pod.log"] * 4,
        "attempt.closed",
    ]


def test_a_source_that_is_refused(tmp_path: Path) -> None:
    name = REFUSED[0]["object"]["metadata"]["name"]
    refused = {"kind": "pod.refused", "reason": "raised", "text": "ZeroDivisionError: division by zero", "trace": ""}

    def arrange(server: ApiServer) -> None:
        server.lists([], "1")
        server.answers("watch", lines(REFUSED), ending="hold")
        server.answers(log_of(name), said(refused, {"kind": "pod.ended", "exit": 65}))

    stage = staged(tmp_path, arrange, gone(name), wait=0.1)
    assert [told for told in stage.told(name) if told != "pod.stopping"] == [
        "pod.starting",
        "pod.refused",
        "pod.gone refused",
    ]
    assert "division by zero" in str(stage.pods[name].loaded.exception())


def test_a_container_that_ended_without_a_word_has_still_ended(tmp_path: Path) -> None:
    """All its processes at once, for example for want of memory: Kubernetes' word is all there is."""
    ended = json.loads(json.dumps(REPLACED[4]))
    ended["object"]["metadata"]["resourceVersion"] = "9999"
    for container in ended["object"]["status"]["containerStatuses"]:
        if container["name"] == "user":
            container["state"] = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}

    def arrange(server: ApiServer) -> None:
        server.lists([], "4700")
        server.answers("watch", lines(REPLACED[:5]), lines([ended]), ending="hold")
        server.answers(log_of(FIRST), said(LOADED, "much"))

    stage = staged(tmp_path, arrange, gone(FIRST))
    assert stage.told(FIRST) == ["pod.starting", "pod.loaded", "pod.log", "pod.gone killed"]
    assert stage.replaced == [FIRST]
