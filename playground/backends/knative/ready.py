"""Wait until workloads are ready, and say why one is not.

Kubernetes says of a workload only that it is not there yet. The reason is in its pods: no node has room, an
image cannot be pulled, a container dies and dies again, a probe gets no answer; or in the events of what should
have made the pods, such as a quota that is used up. After `PATIENCE` seconds the reason is told, and again
whenever it changes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import httpx

from playground.backends.knative.api import Kubernetes, Object
from playground.errors import ClusterError

PATIENCE = 30.0
"""Seconds until the reason is told."""
DEADLINE = 600.0
"""Seconds until waiting is given up. Pulling all images takes minutes on a slow line."""
LINE = 300
"""How much of a line of a log is told."""
LOCAL_REGISTRIES = ("kind.local/", "dev.local/", "ko.local/")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is not ready.

    Attributes:
        text: one sentence or two.
        fix: the command or the line that helps; may be empty.
        crashed: pod, container, and whether its log is that of the run before; None if nothing crashed.
    """

    text: str
    fix: str = ""
    crashed: tuple[str, str, bool] | None = None


async def wait_ready(
    kubernetes: Kubernetes,
    workloads: Iterable[Object],
    *,
    now: Callable[[str], None],
    tell: Callable[[str], None],
    patience: float = PATIENCE,
    deadline: float = DEADLINE,
) -> None:
    """Wait until Deployments, StatefulSets and the like are ready.

    Args:
        kubernetes: the cluster.
        workloads: as they were applied.
        now: told what is waited for.
        tell: told the reasons, after `patience` seconds and whenever they change.
        deadline: seconds until it is an error.

    Raises:
        ClusterError: not ready in time; with the reasons.
    """
    waiting, began, told, reasons = list(workloads), time.monotonic(), "", list[Reason]()
    while True:
        try:
            waiting = [one for one in waiting if not await _is_ready(kubernetes, one)]
            if not waiting:
                return
            now("waiting for " + ", ".join(one["metadata"]["name"] for one in waiting))
            if (waited := time.monotonic() - began) > min(patience, deadline):
                reasons = [reason for one in waiting for reason in await explain(kubernetes, one)]
                fixes = dict.fromkeys(f"fix: {reason.fix}" for reason in reasons if reason.fix)
                text = "\n".join([*(reason.text for reason in reasons), *fixes])
                if text != told:
                    tell(f"after {waited:.0f} s:\n{text}")
                    told = text
        except httpx.TransportError as error:
            now(f"the cluster does not answer ({type(error).__name__})")
        if time.monotonic() - began > deadline:
            names = ", ".join(f"{one['kind']} {one['metadata']['name']}" for one in waiting)
            raise ClusterError(
                f"{names} did not get ready within {deadline:.0f} s.",
                "\n  ".join(reason.text for reason in reasons) or "The cluster did not answer.",
                next((reason.fix for reason in reasons if reason.fix), "Run the same command again; it goes on here."),
            )
        await asyncio.sleep(1)


async def _is_ready(kubernetes: Kubernetes, workload: Object) -> bool:
    meta = workload["metadata"]
    found = await kubernetes.get(workload["apiVersion"], workload["kind"], meta["name"], meta.get("namespace"))
    return found is not None and is_ready(found)


def is_ready(workload: Object) -> bool:
    """Whether all replicas of the current version of a workload are ready."""
    status, spec = workload.get("status", {}), workload.get("spec", {})
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return False
    if workload["kind"] == "Job":
        return bool(status.get("succeeded", 0) >= spec.get("completions", 1))
    wanted = spec.get("replicas", 1)
    return bool(status.get("readyReplicas", 0) >= wanted and status.get("updatedReplicas", wanted) >= wanted)


async def explain(kubernetes: Kubernetes, workload: Object) -> list[Reason]:
    """Why a workload is not ready, with the last lines of a container that crashed."""
    meta = workload["metadata"]
    namespace = meta["namespace"]
    labels = workload["spec"]["selector"]["matchLabels"]
    pods = await kubernetes.find("v1", "Pod", namespace, labels)
    events = await kubernetes.find("v1", "Event", namespace)
    explained = []
    for reason in reasons_of(meta["name"], pods, events):
        if reason.crashed is not None:
            pod, container, previous = reason.crashed
            lines = await kubernetes.logs(pod, namespace, container, previous=previous)
            last = "".join(f"\n  | {line[:LINE]}" for line in lines) or "\n  | (it printed nothing)"
            reason = Reason(f"{reason.text} Its log ends:{last}", reason.fix, reason.crashed)
        explained.append(reason)
    return explained


def reasons_of(workload: str, pods: list[Object], events: list[Object]) -> list[Reason]:
    """Why the pods of a workload are not ready.

    Args:
        workload: its name.
        pods: its pods.
        events: the events of its namespace.
    """
    alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    if not alive:
        made_by = [one for one in events if str(one["involvedObject"].get("name", "")).startswith(workload)]
        refused = [one for one in made_by if one.get("reason") in ("FailedCreate", "FailedScheduling")]
        why = _latest(refused) or "Kubernetes has made no pod for it yet."
        return [Reason(f"{workload}: {why}", _fix_of_refusal(why))]
    return [reason for pod in alive if (reason := _reason_of(pod, events)) is not None]


def _reason_of(pod: Object, events: list[Object]) -> Reason | None:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    mine = [one for one in events if one["involvedObject"].get("name") == name]
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            why = condition.get("message", condition.get("reason", ""))
            return Reason(f"{name} waits for a node: {why}.".replace("..", "."), _fix_of_pending(why))
    statuses = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    for container in statuses:
        if (reason := _reason_of_container(name, container, mine)) is not None:
            return reason
    if status.get("phase") == "Pending":
        return Reason(f"{name} is being set up: {_latest(mine) or 'nothing has happened yet'}")
    if any(not container.get("ready") for container in statuses):
        why = _latest([one for one in mine if one.get("reason") == "Unhealthy"])
        return Reason(f"{name} runs and is not ready yet{f': {why}' if why else '.'}")
    return None


def _reason_of_container(pod: str, container: dict[str, Any], events: list[Object]) -> Reason | None:
    name, image = container["name"], container.get("image", "")
    waiting = container.get("state", {}).get("waiting", {})
    ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated")
    why = waiting.get("reason", "")
    if why in ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"):
        if image.startswith(LOCAL_REGISTRIES):
            fix = "python -m playground cluster load    # (not kind: push it, and adopt with --image)"
            return Reason(f"{pod}: the node does not have the image {image}.", fix)
        # The first failure has the registry's words; later ones only say that it is tried less often.
        pulling = [one for one in events if "Failed to pull" in one.get("message", "")]
        return Reason(
            f"{pod}: the image {image} cannot be pulled: {_latest(pulling) or waiting.get('message', why)}",
            "Look at the network and the proxy; without a network: cluster create --images DIR.",
        )
    if why == "CrashLoopBackOff" or (ended and ended.get("exitCode", 0) != 0 and not container.get("ready")):
        again = container.get("restartCount", 0)
        code = ended.get("exitCode") if ended else "unknown"
        killed = " (out of memory)" if ended and ended.get("reason") == "OOMKilled" else ""
        text = f"{pod}: its container {name} ended with exit code {code}{killed}; started again {again} times."
        # The log of the run before: the run now, if there is one, has had no time to fail.
        return Reason(text, "", (pod, name, again > 0))
    if why in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        return Reason(f"{pod}: its container {name} cannot start: {waiting.get('message', why)}.")
    if why == "ContainerCreating":
        pulling = [one for one in events if one.get("reason") in ("Pulling", "FailedMount", "FailedCreatePodSandBox")]
        return Reason(f"{pod} is being set up: {_latest(pulling) or 'its container is created'}")
    return None


def _latest(events: list[Object]) -> str:
    def when(event: Object) -> str:
        return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp"))

    return str(max(events, key=when).get("message", "")).strip() if events else ""


def _fix_of_pending(why: str) -> str:
    if "unbound" in why or "persistentvolumeclaim" in why:
        return "The cluster has no default storage: kubectl get storageclass, and adopt with --storage-class NAME."
    if "Insufficient" in why:
        return "Give the container engine more CPUs or memory, or free some: python -m playground doctor --cluster"
    if "taint" in why:
        return "Wait: a new node needs a moment. kubectl describe nodes tells the rest."
    return ""


def _fix_of_refusal(why: str) -> str:
    if "exceeded quota" in why:
        return "Remove services you no longer need, or ask for a larger quota."
    if "PodSecurity" in why:
        return "Ask who runs the cluster: the namespace refuses pods like this one."
    return ""
