"""Whether workloads and pods are ready; if not, what keeps them, and what helps.

Kubernetes says of a workload only that it is not there yet. The reason is in its pods
(https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/): no node has room, an image cannot be pulled, a
container dies and dies again, a probe gets no answer; or in the events of what should have made the pods, such as a
quota that is used up. `REASONS` says of each what it means, what helps, and how soon it is no use to wait.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from playground.backends.knative.api import ApiError, Kubernetes
from playground.backends.knative.objects import EVENTS, PODS, Object, in_words, selector
from playground.errors import ClusterError

PATIENCE = 30.0
"""Seconds until a command tells the reason; and again whenever it changes."""
DEADLINE = 600.0
"""Seconds until waiting is given up. Pulling all images takes minutes on a slow line."""
LINE = 300
"""How much of a line of a log is told."""
PASSES = math.inf


@dataclass(frozen=True, slots=True)
class Reason:
    """What it means that Kubernetes gives this reason.

    Attributes:
        cause: what is the matter, with names in braces.
        remedies: what helps, by a pattern in what Kubernetes says (of an image: after its name); the first that fits.
        after: seconds it has to last until it is no use to wait; PASSES if it mostly passes by itself.
    """

    cause: str
    remedies: dict[str, str] = field(default_factory=dict)
    after: float = PASSES


_NO_IMAGE = Reason(
    "{pod}: the node does not have the image {image}, and cannot pull it ({reason}): {said}",
    {
        r"^(kind|dev|ko)\.local/": "python -m playground cluster load    # (not kind: push it, and adopt with --image)",
        "": "Look at the network and the proxy; without a network: cluster create --images DIR.",
    },
    after=0,
)
_NO_START = Reason(
    "{pod}: its container {container} cannot start ({reason}): {said}", {"": "kubectl describe pod {pod}"}, after=0
)
_ENDED = "{pod}: its container {container} ended with exit code {code}{why}; started again {restarts} times."
_SET_UP = Reason("{pod} is being set up: {said}")
REASONS = {
    "Unschedulable": Reason(
        "{pod} waits for a node: {said}",
        {
            "unbound|persistentvolumeclaim": "The cluster has no default storage: kubectl get storageclass, and adopt "
            "with --storage-class NAME.",
            "Insufficient": "Give the cluster more memory or processors, or close what else runs in it: "
            "python -m playground doctor --cluster",
            "": "kubectl describe nodes    # a new node only needs a moment",
        },
        after=10,  # a pod that is stopping may still hold the room
    ),
    "ErrImagePull": _NO_IMAGE,
    "ErrImageNeverPull": _NO_IMAGE,
    "ImagePullBackOff": _NO_IMAGE,
    "InvalidImageName": Reason(
        "{pod}: {image} is no name of an image.",
        {"": "python -m playground cluster adopt --context NAME --image IMAGE    (cluster.json keeps it)"},
        after=0,
    ),
    "CreateContainerConfigError": _NO_START,
    "CreateContainerError": _NO_START,
    "RunContainerError": _NO_START,
    "CrashLoopBackOff": Reason(_ENDED, {"": "kubectl logs --previous {pod}    # says what it said last"}, after=0),
    "ContainerCreating": _SET_UP,
    # These are our own words for it.
    "Crashed": Reason(_ENDED),
    "Pending": _SET_UP,
    "Unready": Reason("{pod} runs and is not ready yet: {said}"),
    "NotMade": Reason(
        "{pod}: {said}",
        {
            "exceeded quota": "Remove services you no longer need, or ask for a larger quota.",
            "PodSecurity": "Ask who runs the cluster: the namespace refuses pods like this one.",
        },
    ),
}
"""By Kubernetes' word for it, in the status of a pod or of a container."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why something is not ready.

    Attributes:
        why: one sentence or two.
        fix: the command or the line that helps; may be empty.
        after: seconds it has to last until it is no use to wait.
        crashed: pod, container, and whether its log is that of the run before; None if nothing crashed.
    """

    why: str
    fix: str
    after: float
    crashed: tuple[str, str, bool] | None = None


# -- a pod ------------------------------------------------------------------------------------------------


def diagnose(pod: Object, events: Sequence[Object] = ()) -> Diagnosis | None:
    """Why a pod is not ready: what is worst; None if nothing is known.

    Args:
        events: of its namespace, as far as they are known.
    """
    # By uid: a StatefulSet's pod has the name of the one before, whose events last an hour.
    mine = [one for one in events if one["involvedObject"].get("uid") == pod["metadata"]["uid"]]
    return min(_diagnoses(pod, mine), key=lambda one: one.after, default=None)


def stuck(pod: Object) -> Diagnosis | None:
    """What keeps a pod from running and does not pass by itself: its status knows it long before any timeout."""
    found = diagnose(pod)
    return None if found is None or found.after == PASSES else found


def pod_is_ready(pod: Object) -> bool:
    """Whether a pod is there and takes requests."""
    return condition(pod, "Ready").get("status") == "True" and not is_going(pod)


def condition(thing: Object, name: str) -> dict[str, Any]:
    """What an object's status says of one condition; empty if nothing."""
    return next((each for each in thing.get("status", {}).get("conditions", []) if each["type"] == name), {})


def is_observed(thing: Object) -> bool:
    """Whether an object's status is about the object as it is now, not as it was before a change."""
    return bool(thing.get("status", {}).get("observedGeneration") == thing.get("metadata", {}).get("generation"))


def is_going(thing: Object) -> bool:
    """Whether an object is being deleted; a pod stays as one for up to half a minute more."""
    return "deletionTimestamp" in thing["metadata"]


def has_started(pod: Object, container: str) -> bool:
    """Whether a container of a pod has been started, or has ended already: then it has a log."""
    return not {"running", "terminated"}.isdisjoint(_container(pod, container).get("state", {}))


def started_at(pod: Object, container: str) -> str:
    """When a container of a pod was started, if it runs; else empty."""
    return str(_container(pod, container).get("state", {}).get("running", {}).get("startedAt", ""))


def exit_code(pod: Object, container: str) -> int | None:
    """How a container of a pod has ended, even if it was started again; None if it has not."""
    ended = _ended(_container(pod, container))
    return int(ended.get("exitCode", 1)) if ended else None


def _container(pod: Object, name: str) -> dict[str, Any]:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return next((each for each in statuses if each["name"] == name), {})


def _ended(container: dict[str, Any]) -> dict[str, Any]:
    ways = (container.get(state, {}).get("terminated") for state in ("state", "lastState"))
    return next(filter(None, ways), {})


def _diagnoses(pod: Object, events: list[Object]) -> Iterator[Diagnosis]:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        yield _diagnosis("Unschedulable", scheduled.get("message", scheduled.get("reason", "")), pod=name)
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    for container in containers:
        yield from _diagnoses_of_container(name, container, events)
    if status.get("phase") == "Pending":
        yield _diagnosis("Pending", _latest(events) or "nothing has happened yet", pod=name)
    if not all(container.get("ready") for container in containers):
        yield _diagnosis("Unready", _latest(events, "Unhealthy") or "no probe has passed", pod=name)


def _diagnoses_of_container(pod: str, container: dict[str, Any], events: list[Object]) -> Iterator[Diagnosis]:
    waiting, ended = container.get("state", {}).get("waiting") or {}, _ended(container)
    reason, restarts = waiting.get("reason", ""), container.get("restartCount", 0)
    said = ended.get("message") or waiting.get("message") or reason
    names = {"pod": pod, "container": container["name"], "image": container.get("image", "")}
    if reason == "ContainerCreating":
        said = _latest(events, "Pulling", "FailedMount", "FailedCreatePodSandBox") or "its container is created"
    elif REASONS.get(reason) is _NO_IMAGE:
        # The first failure has the registry's words; later ones only say that it is tried less often.
        said = _latest([one for one in events if "Failed to pull" in one.get("message", "")]) or said
    if reason in REASONS and reason != "CrashLoopBackOff":
        yield _diagnosis(reason, said, **names)
    elif reason == "CrashLoopBackOff" or (ended.get("exitCode", 0) != 0 and not container.get("ready")):
        code = ended.get("exitCode", "unknown")
        why = "out of memory" if ended.get("reason") == "OOMKilled" else ended.get("message", "")
        crashed = reason if reason == "CrashLoopBackOff" else "Crashed"
        found = _diagnosis(crashed, "", **names, code=code, why=why and f" ({why})", restarts=restarts)
        # The log of the run before: the run now, if there is one, has had no time to fail.
        yield replace(found, crashed=(pod, container["name"], restarts > 0))


def _diagnosis(reason: str, said: str, **names: Any) -> Diagnosis:
    known, said = REASONS[reason], said.strip()
    signs = f"{names.get('image', '')} {said}"
    fix = next((remedy for sign, remedy in known.remedies.items() if re.search(sign, signs)), "")
    return Diagnosis(known.cause.format(reason=reason, said=said, **names), fix.format(**names), known.after)


def _latest(events: Iterable[Object], *reasons: str) -> str:
    def when(event: Object) -> str:
        return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp"))

    those = [one for one in events if not reasons or one.get("reason") in reasons]
    return str(max(those, key=when).get("message", "")).strip() if those else ""


# -- a workload -------------------------------------------------------------------------------------------


def is_ready(workload: Object) -> bool:
    """Whether all replicas of the current version of a workload are ready."""
    status, spec = workload.get("status", {}), workload.get("spec", {})
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return False
    if workload["kind"] == "Job":
        return bool(status.get("succeeded", 0) >= spec.get("completions", 1))
    wanted = spec.get("replicas", 1)
    return bool(status.get("readyReplicas", 0) >= wanted and status.get("updatedReplicas", wanted) >= wanted)


def workloads(objects: Iterable[Object]) -> list[Object]:
    """Those that have pods, and are to be waited for."""
    replicated = ("Deployment", "StatefulSet")
    return [one for one in objects if one["kind"] in replicated and one["spec"].get("replicas", 1) > 0]


def why_unready(workload: str, pods: list[Object], events: list[Object]) -> list[Diagnosis]:
    """Why the pods of a workload are not ready.

    Args:
        workload: its name.
        pods: its pods.
        events: the events of its namespace.
    """
    alive = [pod for pod in pods if not is_going(pod)]
    if alive:
        return [found for pod in alive if (found := diagnose(pod, events)) is not None]
    made_by = [one for one in events if str(one["involvedObject"].get("name", "")).startswith(workload)]
    refused = _latest(made_by, "FailedCreate", "FailedScheduling")
    return [_diagnosis("NotMade", refused or "Kubernetes has made no pod for it yet.", pod=workload)]


async def explain(kubernetes: Kubernetes, workload: Object) -> list[Diagnosis]:
    """Why a workload is not ready, with the last lines of a container that crashed."""
    there = kubernetes.within(workload["metadata"]["namespace"])
    pods = await there.find(PODS, selector(workload["spec"]["selector"]["matchLabels"]))
    explained = []
    for found in why_unready(workload["metadata"]["name"], pods, await there.find(EVENTS)):
        if found.crashed is not None:
            pod, container, previous = found.crashed
            lines = await there.last_lines(pod, container, previous=previous) or ["(it printed nothing)"]
            found = replace(found, why=f"{found.why} Its log ends:" + "".join(f"\n  | {line[:LINE]}" for line in lines))
        explained.append(found)
    return explained


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
        workloads: as they were applied.
        now: told what is waited for.
        tell: told the reasons, after `patience` seconds and whenever they change.
        deadline: seconds until it is an error.

    Raises:
        ClusterError: not ready in time; with the reasons.
    """
    waiting, began, told, found = list(workloads), time.monotonic(), "", list[Diagnosis]()
    while True:
        try:
            waiting = [one for one in waiting if not is_ready(await kubernetes.reread(one) or one)]
            if not waiting:
                return
            now("waiting for " + ", ".join(one["metadata"]["name"] for one in waiting))
            if (waited := time.monotonic() - began) > min(patience, deadline):
                found = [each for one in waiting for each in await explain(kubernetes, one)]
                fixes = dict.fromkeys(f"fix: {each.fix}" for each in found if each.fix)
                text = "\n".join([*(each.why for each in found), *fixes])
                if text != told:
                    tell(f"after {waited:.0f} s:\n{text}")
                    told = text
        except ApiError as error:
            if error.status:
                raise
            now(error.why)
        if time.monotonic() - began > deadline:
            raise ClusterError(
                f"{', '.join(map(in_words, waiting))} did not get ready within {deadline:.0f} s.",
                "\n  ".join(each.why for each in found) or "The cluster did not answer.",
                next((each.fix for each in found if each.fix), "Run the same command again; it goes on here."),
            )
        await asyncio.sleep(1)
