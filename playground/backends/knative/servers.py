"""Restate and the ledger in the cluster: made anew for every playground, found again when they die.

Restate answers whoever can reach it, which is the cluster's to say. The ledger has a secret with each opening, and
answers only to that (see `playground.ledger.app`); who may read the namespace's Deployments can read it there.

A playground begins with nothing: no invocation, no state, no deployment of the one before. Deleting all that
from a running Restate would take long and miss something. So each opening gives Restate and the ledger
a directory of its own on their volumes, together with the playground's settings. That changes their pods'
template, and Kubernetes replaces the pods. The directory stays the same while the playground lives, so a
pod that is killed comes back to all it knew.

The atlas's lab must not disturb what runs, so it has a Restate and a ledger of its own, with a suffix to their
names, and takes them away when it closes.
"""

from __future__ import annotations

import asyncio
import copy
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from playground.backends.backend import Condition, Record
from playground.backends.knative import manifests
from playground.backends.knative.api import ApiError, Kubernetes
from playground.backends.knative.config import ClusterConfig
from playground.backends.knative.logs import PodLog
from playground.backends.knative.manifests import ADMIN_PORT, INGRESS_PORT, LEDGER, LEDGER_PORT, RESTATE
from playground.backends.knative.objects import DEPLOYMENTS, PODS, STATEFUL_SETS, Object
from playground.backends.knative.pods import Start
from playground.backends.knative.port_forward import PortForward
from playground.backends.knative.readiness import exit_code, pod_is_ready, started_at, stuck
from playground.backends.ledger_feed import LedgerFeed
from playground.core.door import Door
from playground.core.paths import short_directory
from playground.core.settings import Settings
from playground.errors import StartError
from playground.pod.emit import EVENTS, LogParser
from playground.recording import Event
from playground.restate.settings import environment

RUN_MANAGER = "durable-playground-run"
"""Owner of the fields that belong to one opening; those of `cluster create` stay its own."""
START_TIMEOUT = 90.0
NAME = "app.kubernetes.io/name"


class Servers:
    """Restate and the ledger of one playground. Lives on the engine's loop.

    Args:
        suffix: empty, or a lab's.
        marks: labels of everything this opening makes; `run` is one of them.
        run: the opening's name.
        start: runs a coroutine for as long as the backend lives.
    """

    def __init__(
        self,
        kubernetes: Kubernetes,
        config: ClusterConfig,
        *,
        suffix: str,
        marks: dict[str, str],
        run: str,
        settings: Settings,
        record: Record,
        start: Start,
    ) -> None:
        self.config = config
        self._kubernetes, self._suffix, self._marks, self._run = kubernetes, suffix, marks, run
        self._settings, self._record, self._start = settings, record, start
        self.secret = secrets.token_urlsafe()
        self._feed = LedgerFeed(record)
        self._pods: dict[str, dict[str, Object]] = {RESTATE: {}, LEDGER: {}}
        self._key = secrets.token_hex(16)  # of what the ledger says
        self._changed = asyncio.Event()
        self._up = asyncio.Event()
        self._checking: asyncio.Task[None] | None = None
        self._sockets: Path | None = None
        self._ways: dict[str, Door | PortForward] = {
            name: Door(url) if url and not suffix else PortForward(kubernetes, self._waiting_for(server), port)
            for name, url, server, port in (
                ("ingress", config.ingress_url, RESTATE, INGRESS_PORT),
                ("admin", config.admin_url, RESTATE, ADMIN_PORT),
                ("ledger", config.ledger_url, LEDGER, LEDGER_PORT),
            )
        }

    def door(self, name: str) -> Door:
        """Our way to the "ingress", the "admin" API or the "ledger"."""
        way = self._ways[name]
        return way.door if isinstance(way, PortForward) else way

    @property
    def ledger_url(self) -> str:
        """The ledger's URL for us, with the secret that it asks for."""
        return f"{self.door('ledger').url}/{self.secret}"

    def inside(self, name: str, port: int) -> str:
        """A server's URL in the cluster."""
        return f"http://{name}{self._suffix}.{self._kubernetes.namespace}.svc.cluster.local:{port}"

    def ledger_inside(self) -> str:
        """The ledger's URL in the cluster, with the secret that it asks for."""
        return f"{self.inside(LEDGER, LEDGER_PORT)}/{self.secret}"

    async def open(self) -> None:
        """Make them begin anew; returns when both are ready.

        Raises:
            StartError: one of them does not get ready; says why.
            ApiError: the cluster refuses.
        """
        await self._start_ways()
        if self._suffix:
            await self._make()
        else:
            await self._renew()
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await self._both_ready()
        except TimeoutError:
            raise StartError(
                "Restate did not get ready in the cluster.",
                f"Its pod was replaced and is not ready after {START_TIMEOUT:.0f} s.",
                "python -m playground cluster status",
            ) from None
        self._start(self._clean())

    @property
    def condition(self) -> Condition:
        """How Restate is, as far as the watch has told."""
        if self._up.is_set():
            return Condition()
        return Condition("Restate's pod is coming back", "python -m playground cluster status")

    async def ready(self) -> None:
        """Wait until Restate is ready.

        Raises:
            StartError: it cannot be brought back.
        """
        if not self._up.is_set():
            try:
                async with asyncio.timeout(START_TIMEOUT):
                    await self._up.wait()
            except TimeoutError:
                raise StartError(
                    "Restate is gone from the cluster, and does not come back.",
                    self._why_not(RESTATE) or "Its StatefulSet makes no pod.",
                    "python -m playground cluster status",
                ) from None

    async def kill(self) -> None:
        """Delete Restate's pod at once; the StatefulSet makes it anew on the same volume."""
        self._up.clear()
        for pod in list(self._pods[RESTATE].values()):
            await self._kubernetes.delete(PODS, pod["metadata"]["name"], grace=0)

    async def close(self) -> None:
        """Close the ways to them; a lab's own are deleted."""
        for way in self._ways.values():
            if isinstance(way, PortForward):
                await way.close()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)

    async def _start_ways(self) -> None:
        forwards = {name: way for name, way in self._ways.items() if isinstance(way, PortForward)}
        if not forwards:
            return
        self._sockets = short_directory("pg-forwards-", "ingress.sock")
        if self._sockets is None:
            raise StartError(
                "There is no place for the Unix sockets that lead to Restate.",
                "The path of a socket is short, and no temporary directory has one that is short enough.",
                "export TMPDIR=/tmp",
            )
        for name, way in forwards.items():
            # Restate lets in whoever comes, so nobody else may come; the ledger asks for a secret.
            await way.start(None if name == "ledger" else self._sockets / f"{name}.sock")

    # -- what happens to their pods ---------------------------------------------------------------------

    def take(self, what: str, pod: Object) -> bool:
        """Something happens to a pod; False if it is not one of theirs."""
        name = pod["metadata"]["labels"].get(NAME, "").removesuffix(self._suffix)
        if name not in self._pods:
            return False
        pods, key = self._pods[name], pod["metadata"]["uid"]
        known = pods.get(key)
        if what == "DELETED":
            pods.pop(key, None)
        else:
            pods[key] = pod
        if name == RESTATE:
            self._restate(known, None if what == "DELETED" else pod)
        elif what == "ADDED":
            self._start(self._listen(pod))
        self._changed.set()
        return True

    def _restate(self, before: Object | None, now: Object | None) -> None:
        was, begun = (started_at(pod, RESTATE) if pod else "" for pod in (before, now))
        if before is None:
            self._record(Event.now("server.starting"))
        elif now is None or (begun != was and was):
            self._up.clear()
            self._record(Event.now("server.gone", exit=exit_code(now, RESTATE) if now is not None else None))
            if now is not None:
                self._record(Event.now("server.starting"))
        idle = self._checking is None or self._checking.done()
        if now is not None and pod_is_ready(now) and not self._up.is_set() and idle:
            self._checking = self._start(self._check(now["metadata"]["uid"]))

    async def _check(self, key: str) -> None:
        """Kubernetes calls it ready; see that it answers us."""
        async with self.door("admin").client(3) as admin, self.door("ingress").client(3) as ingress:
            while key in self._pods[RESTATE] and pod_is_ready(self._pods[RESTATE][key]):
                try:
                    answers = [await admin.get("/health"), await ingress.get("/restate/health")]
                except httpx.HTTPError:
                    answers = []
                if [answer.status_code for answer in answers] == [200, 200]:
                    self._up.set()
                    self._record(Event.now("server.ready"))
                    return
                await asyncio.sleep(0.05)

    async def _listen(self, pod: Object) -> None:
        """Follow what the ledger says."""
        parser = LogParser(self._key)

        def take(data: bytes) -> None:
            self._feed.take(parser.feed(data))

        name, key = pod["metadata"]["name"], pod["metadata"]["uid"]
        container = pod["spec"]["containers"][0]["name"]
        await PodLog(self._kubernetes, name, container, take, lambda: key not in self._pods[LEDGER]).follow()

    def _waiting_for(self, name: str) -> Callable[[], Any]:
        async def ready_pod() -> str:
            while True:
                for pod in self._pods[name].values():
                    if pod_is_ready(pod):
                        return str(pod["metadata"]["name"])
                self._changed.clear()
                await self._changed.wait()

        return ready_pod

    # -- beginning anew -----------------------------------------------------------------------------------

    async def _renew(self) -> None:
        """Give both a directory of this opening."""
        restate = _variables({**environment(self._settings), "RESTATE_BASE_DIR": f"/restate-data/{self._run}"})
        for resource, name, change in (
            (STATEFUL_SETS, RESTATE, {"env": restate}),
            (DEPLOYMENTS, LEDGER, self._ledger()),
        ):
            if await self._kubernetes.get(resource, name) is None:
                raise StartError(
                    f"There is no {name} in the namespace {self._kubernetes.namespace}.",
                    "`cluster create` and `cluster adopt` put it there; somebody has taken it away.",
                    "python -m playground cluster create    (or: cluster adopt --context NAME)",
                )
            template = {"metadata": {"labels": self._marks}, "spec": {"containers": [{"name": name, **change}]}}
            await self._kubernetes.apply(
                {
                    "apiVersion": resource.api_version,
                    "kind": resource.kind,
                    "metadata": {"name": name},
                    "spec": {"template": template},
                },
                manager=RUN_MANAGER,
            )
        # A StatefulSet waits for a broken pod to get well before it replaces it; this one never may.
        await self._kubernetes.delete(PODS, f"{RESTATE}-0", grace=1)

    async def _make(self) -> None:
        """Make a lab's own, like those that are there."""
        there = await self._kubernetes.get(STATEFUL_SETS, RESTATE)
        if there is None:
            raise StartError("There is no Restate to make another like it.", "", "python -m playground cluster status")
        image = there["spec"]["template"]["spec"]["containers"][0]["image"]
        claims = there["spec"].get("volumeClaimTemplates") or [{"spec": {}}]
        storage, namespace = claims[0]["spec"].get("storageClassName"), self._kubernetes.namespace
        for each in (
            *manifests.restate(namespace, image, storage_class=storage, settings=self._settings),
            *manifests.ledger(namespace, self.config.image, storage_class=storage),
        ):
            await self._kubernetes.apply(self._as_lab(each))

    def _as_lab(self, wanted: Object) -> Object:
        """An object as the lab has it: under another name, for its own pods, and not outliving them."""
        made = copy.deepcopy(wanted)
        spec = made["spec"]
        labels = made["metadata"]["labels"]
        mine = {**labels, NAME: labels[NAME] + self._suffix, **self._marks}
        made["metadata"].update(name=made["metadata"]["name"] + self._suffix, labels=mine)
        if made["kind"] == "Service":
            spec["selector"] = {NAME: mine[NAME]}
        if "template" in spec:
            spec["selector"] = {"matchLabels": {NAME: mine[NAME]}}
            spec["template"]["metadata"]["labels"] = mine
            for volume in spec["template"]["spec"]["volumes"]:
                if "persistentVolumeClaim" in volume:
                    volume["persistentVolumeClaim"]["claimName"] += self._suffix
        if made["kind"] == "StatefulSet":
            spec["serviceName"] += self._suffix
            spec["persistentVolumeClaimRetentionPolicy"] = {"whenDeleted": "Delete", "whenScaled": "Delete"}
            for claim in spec["volumeClaimTemplates"]:
                claim["metadata"]["labels"] = mine
            spec["template"]["spec"]["containers"][0]["env"] = _variables(
                {v["name"]: v["value"] for v in spec["template"]["spec"]["containers"][0]["env"]}
                | {"RESTATE_BASE_DIR": f"/restate-data/{self._run}"}
            )
        if made["kind"] == "Deployment":
            [container] = spec["template"]["spec"]["containers"]
            mine = self._ledger()
            container.update(mine, env=[*container["env"], *mine["env"]])
        return made

    def _ledger(self) -> Object:
        """What of its container is this opening's."""
        command = ["python", "-m", "playground.ledger", f"/data/{self._run}.sqlite"]
        return {"command": command, "env": _variables({"LEDGER_URL": self.ledger_inside(), EVENTS: f"key:{self._key}"})}

    async def _both_ready(self) -> None:
        since: dict[str, float] = {}
        loop = asyncio.get_running_loop()
        ledger = self._waiting_for(LEDGER)
        waits = [asyncio.ensure_future(self._up.wait()), asyncio.ensure_future(ledger())]
        try:
            while not all(wait.done() for wait in waits):
                await asyncio.wait([wait for wait in waits if not wait.done()], timeout=0.5)
                for name in (RESTATE, LEDGER):
                    for key, pod in self._pods[name].items():
                        found = stuck(pod)
                        if found is None:
                            since.pop(key, None)
                        elif loop.time() - since.setdefault(key, loop.time()) >= max(found.after, 2.0):
                            raise StartError(f"{name} does not start in the cluster.", found.why, found.fix)
        finally:
            for wait in waits:
                wait.cancel()

    def _why_not(self, name: str) -> str:
        return next((found.why for pod in self._pods[name].values() if (found := stuck(pod))), "")

    async def _clean(self) -> None:
        """Remove the directories of earlier openings. Nothing depends on it."""
        script = 'cd "$0" && for each in *; do case "$each" in "$1"*) ;; *) rm -rf -- "$each" ;; esac; done'
        for name, directory in ((RESTATE, "/restate-data"), (LEDGER, "/data")):
            for pod in list(self._pods[name].values()):
                try:
                    await self._kubernetes.run(pod, name, ["sh", "-c", script, directory, self._run])
                except (ApiError, TimeoutError):
                    pass


def _variables(wanted: dict[str, str]) -> list[Object]:
    return [{"name": name, "value": value} for name, value in sorted(wanted.items())]
