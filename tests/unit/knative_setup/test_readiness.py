"""Why a pod is not ready, from what Kubernetes says of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from playground.backends.knative.objects import PODS, Resource
from playground.backends.knative.readiness import Diagnosis, is_ready, wait_ready, why_unready
from playground.errors import ClusterError


def pod(*containers: dict[str, Any], phase: str = "Pending", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "web-1", "uid": "uid of web-1"},
        "status": {"phase": phase, "containerStatuses": list(containers), **status},
    }


def container(waiting: dict[str, str] | None = None, image: str = "example/web:1", **more: Any) -> dict[str, Any]:
    state = {"waiting": waiting} if waiting else {}
    return {"name": "web", "image": image, "ready": False, "restartCount": 0, "state": state, **more}


def event(reason: str, message: str, name: str = "web-1", at: str = "1") -> dict[str, Any]:
    return {
        "metadata": {},
        "reason": reason,
        "message": message,
        "involvedObject": {"name": name, "uid": f"uid of {name}"},
        "lastTimestamp": at,
    }


def only(found: list[Diagnosis]) -> Diagnosis:
    [reason] = found
    return reason


def test_no_room() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "message": "0/1 nodes are available: 1 Insufficient memory.",
    }
    reason = only(why_unready("web", [pod(conditions=[condition])], []))
    assert reason.why == "web-1 waits for a node: 0/1 nodes are available: 1 Insufficient memory."
    assert "doctor --cluster" in reason.fix


def test_no_storage() -> None:
    message = "pod has unbound immediate PersistentVolumeClaims"
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    assert "--storage-class" in only(why_unready("web", [pod(conditions=[condition])], [])).fix


def test_an_image_that_cannot_be_pulled() -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    events = [
        event("Failed", 'Failed to pull image "example/web:1": not found', at="1"),
        event("BackOff", "Back-off pulling image", at="2"),
    ]
    reason = only(why_unready("web", [pod(container(waiting))], events))
    assert reason.why == (
        "web-1: the node does not have the image example/web:1, and cannot pull it (ImagePullBackOff): "
        'Failed to pull image "example/web:1": not found'
    )
    assert "--images" in reason.fix


def test_an_image_that_was_not_loaded() -> None:
    waiting = {"reason": "ErrImagePull", "message": "no such host"}
    reason = only(why_unready("web", [pod(container(waiting, image="kind.local/pod:1"))], []))
    assert "does not have the image kind.local/pod:1" in reason.why
    assert reason.fix.startswith("python -m playground cluster load")


def test_a_crash_loop_asks_for_the_log_of_the_run_before() -> None:
    last = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    crashed = container({"reason": "CrashLoopBackOff"}, lastState=last, restartCount=3)
    reason = only(why_unready("web", [pod(crashed, phase="Running")], []))
    assert "ended with exit code 137 (out of memory); started again 3 times." in reason.why
    assert reason.crashed == ("web-1", "web", True)


def test_a_first_crash() -> None:
    crashed = container(state={"terminated": {"exitCode": 1}})
    assert only(why_unready("web", [pod(crashed, phase="Running")], [])).crashed == ("web-1", "web", False)


def test_a_probe_without_an_answer() -> None:
    events = [event("Unhealthy", "Readiness probe failed: connection refused")]
    reason = only(why_unready("web", [pod(container(), phase="Running")], events))
    assert reason.why == "web-1 runs and is not ready yet: Readiness probe failed: connection refused"


def test_what_happened_to_a_pod_of_the_same_name_before_is_no_reason() -> None:
    before = event("Unhealthy", "Readiness probe failed: connection refused")
    before["involvedObject"]["uid"] = "another"
    reason = only(why_unready("web", [pod(container(), phase="Running")], [before]))
    assert reason.why == "web-1 runs and is not ready yet: no probe has passed"


def test_a_mount_that_fails() -> None:
    creating = container({"reason": "ContainerCreating"})
    events = [event("FailedMount", 'configmap "x" not found'), event("Scheduled", "assigned", at="9")]
    assert 'configmap "x" not found' in only(why_unready("web", [pod(creating)], events)).why


def test_no_pod_for_a_quota() -> None:
    events = [event("FailedCreate", 'pods "web-" is forbidden: exceeded quota: learner', name="web-5f")]
    reason = only(why_unready("web", [], events))
    assert "exceeded quota: learner" in reason.why
    assert "larger quota" in reason.fix


def test_a_pod_that_goes_is_no_reason() -> None:
    going = pod(container({"reason": "CrashLoopBackOff"}))
    going["metadata"]["deletionTimestamp"] = "now"
    assert only(why_unready("web", [going], [])).why == "web: Kubernetes has made no pod for it yet."


def test_a_ready_pod_is_no_reason() -> None:
    fine = {"name": "web", "image": "x", "ready": True, "restartCount": 2, "state": {"running": {}}}
    fine["lastState"] = {"terminated": {"exitCode": 1}}
    assert why_unready("web", [pod(fine, phase="Running")], []) == []


@pytest.mark.parametrize(
    ("kind", "status", "ready"),
    [
        ("Deployment", {"readyReplicas": 1, "updatedReplicas": 1, "observedGeneration": 2}, True),
        ("Deployment", {"readyReplicas": 1, "updatedReplicas": 0, "observedGeneration": 2}, False),
        ("Deployment", {"readyReplicas": 1, "updatedReplicas": 1, "observedGeneration": 1}, False),
        ("StatefulSet", {"observedGeneration": 2}, False),
        ("Job", {"succeeded": 1, "observedGeneration": 2}, True),
    ],
)
def test_ready(kind: str, status: dict[str, int], ready: bool) -> None:
    assert is_ready({"kind": kind, "metadata": {"generation": 2}, "spec": {}, "status": status}) is ready


class Stuck:
    """A cluster in which nothing gets ready."""

    def within(self, namespace: str) -> Stuck:
        assert namespace == "a"
        return self

    async def reread(self, _: Any) -> dict[str, Any]:
        return {"kind": "Deployment", "metadata": {}, "spec": {}}

    async def find(self, resource: Resource, *_: Any) -> list[dict[str, Any]]:
        crashed = container(state={"terminated": {"exitCode": 3}}, restartCount=1)
        return [pod(crashed, phase="Running")] if resource is PODS else []

    async def last_lines(self, *_: Any, **__: Any) -> list[str]:
        return ["bind: permission denied"]


def test_the_reason_is_told_once_and_in_the_error() -> None:
    meta = {"name": "web", "namespace": "a"}
    workload = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {"selector": {"matchLabels": {}}},
    }
    told: list[str] = []
    waiting = wait_ready(
        Stuck(),  # type: ignore[arg-type]
        [workload],
        now=lambda _text: None,
        tell=told.append,
        patience=0,
        deadline=2.5,
    )
    with pytest.raises(ClusterError) as raised:
        asyncio.run(waiting)
    assert len(told) == 1
    assert "its container web ended with exit code 3" in told[0]
    assert "| bind: permission denied" in told[0]
    assert raised.value.what == "Deployment web did not get ready within 2 s."
    assert "bind: permission denied" in raised.value.why
