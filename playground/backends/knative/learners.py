"""`cluster adopt --learners N`: one cluster for a class, a namespace for each learner.

A learner gets a namespace with a Restate and a ledger, a quota, and an account whose rights end at the namespace's
border. The account's token and the cluster's address make a kubeconfig, one file per learner: with it, `cluster
adopt --kubeconfig FILE` is all a learner runs. All namespaces of a class carry its name as a label, and go together.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from playground.backends.knative import manifests, namespace
from playground.backends.knative.adopt import Choices, check_name, connected, decide
from playground.backends.knative.api import PASSING_SECONDS, Kubernetes
from playground.backends.knative.namespace import CLASS, foreign
from playground.backends.knative.objects import NAMESPACES, PART_OF, SERVICE_ACCOUNTS, Object, is_ours, selector
from playground.backends.knative.rights import role
from playground.backends.knative.steps import Step, Steps
from playground.errors import ClusterError

ACCOUNT = "learner"
AT_ONCE = 5
"""How many namespaces are prepared at the same time: thirty starts at once would be slower for all."""

# With room for a Restate and a ledger twice: an atlas is made in a lab, which has its own beside the playground's.
QUOTA = {
    "requests.cpu": "3",
    "requests.memory": "4Gi",
    "limits.memory": "9Gi",
    "pods": "40",
    "persistentvolumeclaims": "4",
    "requests.storage": "3Gi",
}
LIMITS = {
    "type": "Container",
    # With a quota every container must name its share; Knative's queue-proxy names only CPU.
    "defaultRequest": {"cpu": "25m", "memory": "64Mi"},
    "default": {"memory": "512Mi"},
}


@dataclass(frozen=True, slots=True)
class Learner:
    """A namespace that is ready for somebody.

    Attributes:
        namespace: its name.
        kubeconfig: the file to hand out. Who has it has the namespace: it holds a token.
        expires: when the token ends, in the server's words (RFC 3339).
    """

    namespace: str
    kubeconfig: Path
    expires: str


def names(prefix: str, count: int) -> list[str]:
    """The namespaces of a class: prefix-01 and so on.

    Raises:
        ClusterError: they cannot be named so.
    """
    if not 1 <= count <= 500:
        raise ClusterError(f"A class of {count} cannot be prepared.", "It has 1 to 500 learners.", "--learners 30")
    width = max(2, len(str(count)))
    named = [f"{prefix}-{number:0{width}}" for number in range(1, count + 1)]
    check_name(named[-1])
    return named


async def prepare(
    steps: Steps,
    kubeconfig: Path,
    context: str,
    prefix: str,
    choices: Choices,
    *,
    count: int,
    directory: Path,
    days: int,
) -> list[Learner]:
    """Prepare a class; another time brings it to what it should be, and makes new tokens.

    Args:
        steps: where progress is told.
        kubeconfig, context: how to reach the cluster, as somebody who may make namespaces and roles.
        prefix: the class's name, and the beginning of the namespaces'.
        count: how many learners.
        choices: the images and the storage.
        directory: where the kubeconfigs go.
        days: how long the tokens are to last; the server may give less.

    Raises:
        ClusterError: some cannot be prepared; the others are.
    """
    wanted = names(prefix, count)
    async with connected(steps, kubeconfig, context) as kubernetes:
        with steps.step(f"class {prefix}") as step:
            ready = await _prepare_all(kubernetes, prefix, wanted, choices, directory, days, step)
            step.done = f"{count} namespaces"
    return ready


async def _prepare_all(
    kubernetes: Kubernetes,
    prefix: str,
    wanted: list[str],
    choices: Choices,
    directory: Path,
    days: int,
    step: Step,
) -> list[Learner]:
    turn, done = asyncio.Semaphore(AT_ONCE), list[str]()

    async def one(name: str) -> Learner:
        async with turn:
            learner = await _prepare(kubernetes.within(name), prefix, choices, directory, days, step.tell)
        done.append(name)
        step.now(f"{len(done)} of {len(wanted)} are ready")
        return learner

    made = await asyncio.gather(*map(one, wanted), return_exceptions=True)
    failed = {name: error for name, error in zip(wanted, made, strict=True) if isinstance(error, BaseException)}
    for error in failed.values():
        if not isinstance(error, ClusterError):
            raise error
    if failed:
        first = next(error for error in failed.values() if isinstance(error, ClusterError))
        why = f"The first of them, {next(iter(failed))}: {first.what} {first.why}"
        raise ClusterError(
            f"{len(failed)} of {len(wanted)} could not be prepared: {', '.join(failed)}.", why, first.fix
        )
    return [learner for learner in made if isinstance(learner, Learner)]


async def remove(kubernetes: Kubernetes, prefix: str, now: Callable[[str], None]) -> list[str]:
    """Remove all namespaces of a class, with all that is in them; returns their names.

    Raises:
        ClusterError: one may not be deleted, or does not go.
    """
    found = await kubernetes.find(NAMESPACES, selector({**PART_OF, CLASS: prefix}))
    doomed = [one for one in found if is_ours(one)]
    for one in doomed:
        await kubernetes.delete(NAMESPACES, one["metadata"]["name"])
    await namespace.gone(kubernetes, doomed, now)
    return [one["metadata"]["name"] for one in doomed]


def account(name: str) -> list[Object]:
    """A learner's account, what it may do, and how much it may use."""

    def named(api_version: str, kind: str, **more: Any) -> Object:
        meta = {"name": ACCOUNT, "namespace": name, "labels": PART_OF}
        return {"apiVersion": api_version, "kind": kind, "metadata": meta, **more}

    # Its own namespace it may look at, so that `cluster adopt` sees what it is.
    own = {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": [name], "verbs": ["get"]}
    return [
        named("v1", "ResourceQuota", spec={"hard": QUOTA}),
        named("v1", "LimitRange", spec={"limits": [LIMITS]}),
        named("v1", "ServiceAccount", automountServiceAccountToken=False),
        named("rbac.authorization.k8s.io/v1", "Role", rules=[*role(), own]),
        named(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            subjects=[{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": name}],
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT},
        ),
    ]


def account_file(name: str, server: str, authority: bytes | None, token: str) -> Object:
    """A kubeconfig for one namespace."""
    cluster: Object = {"server": server}
    if authority is not None:
        cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "class", "cluster": cluster}],
        "users": [{"name": ACCOUNT, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": "class", "user": ACCOUNT, "namespace": name}}],
        "current-context": name,
    }


async def _prepare(
    kubernetes: Kubernetes, prefix: str, choices: Choices, directory: Path, days: int, tell: Callable[[str], None]
) -> Learner:
    name = kubernetes.namespace
    there = await kubernetes.get(NAMESPACES, name)
    if there is not None and not (is_ours(there) and there["metadata"]["labels"].get(CLASS) == prefix):
        inside = ", ".join((await foreign(kubernetes))[:4]) or "nothing we may see"
        raise ClusterError(
            f"Namespace {name} is there already, and not of this class.",
            f"It has: {inside}.",
            "Choose another beginning with --namespace.",
        )
    for one in [manifests.namespace(name, {CLASS: prefix}), *account(name)]:
        await kubernetes.apply(one, patience=PASSING_SECONDS)
    installation = await decide(kubernetes, choices)
    await namespace.install(kubernetes, installation, now=lambda _doing: None, tell=lambda text: tell(f"{name} {text}"))
    asked = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": days * 86_400},
    }
    status = (await kubernetes.create(asked, SERVICE_ACCOUNTS, ACCOUNT, "token"))["status"]
    told = account_file(name, kubernetes.server, kubernetes.certificate_authority, status["token"])
    file = directory / f"{name}.kubeconfig"
    _write_private(file, yaml.safe_dump(told, sort_keys=False))
    return Learner(name, file, status["expirationTimestamp"])


def _write_private(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    whole = file.with_suffix(f".{os.getpid()}")
    whole.unlink(missing_ok=True)
    # Nobody else may read it, not even for the moment before a chmod.
    with os.fdopen(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
    whole.replace(file)
