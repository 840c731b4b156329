"""Why a pod does not run, as Kubernetes says it in the pod's status, long before any timeout.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from __future__ import annotations

from dataclasses import dataclass

from playground.backends.knative.api import Object

UNSCHEDULABLE_AFTER = 10.0
"""Seconds a pod may be unschedulable: one that is stopping may still hold the room."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a pod from running.

    Attributes:
        why: Kubernetes' reason and words.
        fix: what helps.
        after: seconds it has to last until it counts.
    """

    why: str
    fix: str
    after: float = 0.0


_FIXES = {
    "ErrImagePull": "python -m playground cluster load    (puts the pod image into the nodes)",
    "ImagePullBackOff": "python -m playground cluster load    (puts the pod image into the nodes)",
    "ErrImageNeverPull": "python -m playground cluster load    (puts the pod image into the nodes)",
    "InvalidImageName": "python -m playground cluster adopt --context NAME    (the image's name is in cluster.json)",
    "CreateContainerConfigError": "python -m playground cluster status",
    "CreateContainerError": "python -m playground cluster status",
    "RunContainerError": "python -m playground cluster status",
    "CrashLoopBackOff": "kubectl logs --previous says what it said last.",
}


def trouble_of(pod: Object) -> Trouble | None:
    """What keeps a pod from running; None if nothing is known to."""
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting") or {}
        if fix := _FIXES.get(waiting.get("reason", "")):
            last = container.get("lastState", {}).get("terminated", {})
            said = last.get("message") or waiting.get("message") or last.get("reason") or "no details"
            return Trouble(f"Its container {container['name']} is in {waiting['reason']}: {said}", fix)
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Trouble(
                f"No node takes its pod: {condition.get('message', condition.get('reason', ''))}.",
                "Close what else runs in the cluster, or give it more memory and processors.",
                after=UNSCHEDULABLE_AFTER,
            )
    return None


def ended(pod: Object, container: str) -> tuple[int, str] | None:
    """How a container of a pod has ended, if it has, even if it was started again: (exit code, reason)."""
    for status in pod.get("status", {}).get("containerStatuses", []):
        if status["name"] != container:
            continue
        for state in (status.get("state", {}), status.get("lastState", {})):
            if state.get("terminated"):
                return int(state["terminated"].get("exitCode", 1)), str(state["terminated"].get("reason", ""))
    return None


def is_running(pod: Object, container: str) -> bool:
    """Whether a container of a pod has been started, or has ended already: then it has a log."""
    for each in pod.get("status", {}).get("containerStatuses", []):
        if each["name"] == container:
            return not {"running", "terminated"}.isdisjoint(each.get("state", {}))
    return False


def is_ready(pod: Object) -> bool:
    """Whether a pod is there and takes requests."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
