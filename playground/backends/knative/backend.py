"""The Kubernetes backend: Knative Serving runs the pods, and a watch and their logs tell what happens to them.

It lives in one namespace, where `cluster create` or `cluster adopt` has put Restate and the ledger. Whatever it
makes carries a label with the name of this opening, and it touches nothing that has no such label. Of two
playgrounds in one namespace the newer has it: opening takes away what an earlier one left there, alive or not.

* deploy: one change of a Knative Service (`revision`), then the first pod's word that the source is loaded
* pods: a watch (`watch`), one log stream for each (`logs`), both folded into the seam's events (`pods`)
* Restate and the ledger: made anew for each opening (`servers`)
* ways in: the loopback URLs that kind maps, or port-forwards (`port_forward`)
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import uuid
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from playground.backends.backend import Condition, Record, Started
from playground.backends.knative import leftovers, rights
from playground.backends.knative import revision as manifest
from playground.backends.knative.api import ApiError, Kubernetes
from playground.backends.knative.config import ClusterConfig, load
from playground.backends.knative.manifests import INGRESS_PORT, RESTATE
from playground.backends.knative.objects import CONFIG_MAPS, KSERVICES, PODS, REVISIONS, Object
from playground.backends.knative.pods import MAX_BACKOFF, ClusterPod
from playground.backends.knative.readiness import condition, is_observed
from playground.backends.knative.revision import LAB, REVISION, RUN, Names
from playground.backends.knative.servers import Servers
from playground.backends.knative.watch import Watch
from playground.core.door import Door
from playground.core.settings import Settings
from playground.errors import ClusterError, DeployError, StartError
from playground.pod.emit import EVENTS

LOAD_TIMEOUT = 60.0
"""Seconds from applying a Knative Service until its first pod has loaded the source and its address answers."""
WITHDRAW_TIMEOUT = 10.0
CLOSE_TIMEOUT = 10.0
CLUSTER_PATIENCE = 15.0
"""Seconds a cluster that does not answer is waited for, e.g. while its API server is restarted."""
MIN_INACTIVITY = 5.0
"""Seconds. While a pod starts, Knative holds the request and Restate's clock runs: an attempt that is asked to suspend
before it has begun does so at its first wait, and again at the next. A pod takes 1 to 3 s to start.
It also is how long a killed pod stays unnoticed (measured: the next attempt 5.1 s after the kill, whatever the step,
and 12, 15 and 20 s at these timeouts): something on the way keeps the stream open until Restate closes its half."""
MAX_SOURCE = 900_000
"""Bytes; a ConfigMap holds 1 MiB (https://kubernetes.io/docs/concepts/configuration/configmap/)."""
SUFFIX = "-lab"


class KnativeBackend:
    """See `playground.backends.backend.Backend`.

    Args:
        directory: the playground's data directory; what is in it is not the backend's.
        remove: whether it is removed at the end.
        settings: timings; those in force allow for Knative's shortest idle window, and for a pod's start.
        record: where events go.
        config: which cluster; by default the one that the cluster commands saved.
    """

    name = "knative"
    lag = 3.0  # a log can be read when the kubelet has noticed that its container runs

    def __init__(
        self,
        directory: Path,
        *,
        remove: bool,
        settings: Settings,
        record: Record,
        config: ClusterConfig | None = None,
    ) -> None:
        self.settings = replace(
            settings,
            idle_window=max(settings.idle_window, manifest.MIN_WINDOW),
            # 0 asks for a suspension at every wait, however long the pod takes to start.
            inactivity_timeout=settings.inactivity_timeout and max(settings.inactivity_timeout, MIN_INACTIVITY),
        )
        self._directory = directory if remove else None
        self._record, self._config = record, config
        self._run = uuid.uuid4().hex[:8]
        self._suffix = SUFFIX if settings.gated else ""
        self.marks = manifest.labels(self._run, settings.gated)
        self._kubernetes: Kubernetes | None = None
        self._servers: Servers | None = None
        self._watch: Watch | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._pods: dict[str, ClusterPod] = {}
        self._templates: dict[str, dict[str, Object]] = {}  # service -> revision -> template
        self._loading: dict[str, asyncio.Future[list[dict[str, Any]]]] = {}
        self._crashes: dict[str, int] = {}
        self._closed = False

    @property
    def ingress(self) -> Door:
        """The way to Restate's ingress."""
        return self._there.door("ingress")

    @property
    def admin(self) -> Door:
        """The way to Restate's admin API."""
        return self._there.door("admin")

    @property
    def ledger_url(self) -> str:
        """Base URL of the ledger, for us; pods have another one as LEDGER_URL."""
        return self._there.ledger_url

    @property
    def condition(self) -> Condition:
        """How Restate is, as far as the watch has told."""
        return self._there.condition

    def check(self) -> None:
        """A cluster that is gone may come back."""

    @property
    def secrets(self) -> list[str]:
        """What is secret in the ledger's address."""
        return [self._there.secret]

    @property
    def _there(self) -> Servers:
        assert self._servers is not None
        return self._servers

    @property
    def kubernetes(self) -> Kubernetes:
        """The cluster, in the playground's namespace, while it is open."""
        assert self._kubernetes is not None
        return self._kubernetes

    # -- opening and closing ------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect, take away what an earlier playground left, and begin with a new Restate and ledger."""
        config = self._config
        if config is None:
            config = await asyncio.to_thread(load)
        try:
            self._kubernetes = await Kubernetes.connect(config.kubeconfig, config.context, config.namespace)
            await rights.check(self._kubernetes, lab=self.settings.gated)
            await leftovers.clear(self._kubernetes, f"{LAB}=true" if self.settings.gated else RUN)
            self._servers = Servers(
                self._kubernetes,
                config,
                suffix=self._suffix,
                marks=self.marks,
                run=self._run,
                settings=self.settings,
                record=self._record,
                start=self._start,
            )
            self._watch = Watch(self._kubernetes, PODS, f"{RUN}={self._run}", self._happened)
            self._start(self._watch.run())
            await self._servers.open()
        except ClusterError as error:
            await self.close()
            what = f"The playground cannot use the cluster of context {config.context}."
            raise StartError(what, f"{error.what} {error.why}", error.fix) from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Take away what this playground made; as far as the cluster still lets us."""
        if self._closed:
            return
        self._closed = True
        for pod in self._pods.values():
            pod.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            if self._kubernetes is not None and self._servers is not None:  # else it has made nothing
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await leftovers.remove(self._kubernetes, f"{RUN}={self._run}")
        except (ClusterError, TimeoutError):
            pass  # the next opening finds it by its label
        if self._servers is not None:
            await self._servers.close()
        if self._kubernetes is not None:
            await self._kubernetes.aclose()
        if self._directory is not None:
            await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    async def ready(self) -> None:
        """Wait until Restate is ready, and the cluster there to say so."""
        assert self._watch is not None
        deadline = asyncio.get_running_loop().time() + CLUSTER_PATIENCE
        while (error := self._watch.error) is not None:
            if asyncio.get_running_loop().time() > deadline:
                raise StartError(
                    f"The cluster of context {self.kubernetes.context} is not there any more.",
                    error.why,
                    f"{error.fix}; when it is back, what was deployed and sent is, too",
                )
            await asyncio.sleep(0.1)
        await self._there.ready()

    async def kill_server(self) -> None:
        """Delete Restate's pod at once; it comes back on the same volume."""
        await self._there.kill()

    # -- revisions ------------------------------------------------------------------------------------

    async def start_revision(self, service: str, revision: str, source: Path) -> Started:
        """Apply the Knative Service with one revision more, and wait for its first pod."""
        names = Names(service, self._suffix, self.kubernetes.namespace)
        text = await asyncio.to_thread(source.read_text, "utf-8")
        if len(text.encode()) > MAX_SOURCE:
            raise DeployError(
                f"The service {service!r} was not deployed: its source is too large.",
                f"It travels in a ConfigMap, which holds {MAX_SOURCE:,} bytes.",
                "Move data out of the source.",
            )
        loading = self._loading[revision] = asyncio.get_running_loop().create_future()
        try:
            await self.kubernetes.apply(manifest.source_map(names, service, revision, text, self.marks))
            known = self._templates.setdefault(service, {})
            known[revision] = self._template(names, service, revision)
            await self._apply(names, service)
            async with asyncio.timeout(LOAD_TIMEOUT):
                services = await self._loaded(revision, loading)
                await self._addressed(names, service, revision)
        except TimeoutError:
            await self._give_up(revision)
            raise DeployError(
                f"The service {service!r} was not deployed: it did not get ready within {LOAD_TIMEOUT:.0f} s.",
                "Its source did not finish loading (a source only defines services, it does no work), or Knative"
                " made no address for it.",
                f"kubectl -n {self.kubernetes.namespace} describe ksvc {names.service}",
            ) from None
        except ApiError as error:
            await self._give_up(revision)
            raise DeployError(f"The service {service!r} was not deployed.", error.why, error.fix) from error
        except BaseException:
            await self._give_up(revision)
            raise
        finally:
            self._loading.pop(revision, None)
        return Started(revision, names.address(revision), services)

    def _template(self, names: Names, service: str, revision: str) -> Object:
        env = {
            "LEDGER_URL": self._there.ledger_inside(),
            "RESTATE_INGRESS_URL": self._there.inside(RESTATE, INGRESS_PORT),
            **({"POD_GATED": "1"} if self.settings.gated else {}),
            EVENTS: f"key:{secrets.token_hex(16)}",
        }
        image = self._there.config.image
        return manifest.template(
            names, service, revision, image=image, env=env, settings=self.settings, marks=self.marks
        )

    async def _apply(self, names: Names, service: str) -> None:
        await self.kubernetes.apply(self._kservice(names, service))

    def _kservice(self, names: Names, service: str) -> Object:
        known = self._templates[service]
        latest = list(known)[-1]
        return manifest.kservice(names, known[latest], list(known), self.marks)

    def applied(self, service: str) -> Object:
        """A service's Knative Service, as it was applied last.

        Raises:
            KeyError: no such service is deployed.
        """
        return self._kservice(Names(service, self._suffix, self.kubernetes.namespace), service)

    async def _loaded(self, revision: str, loading: asyncio.Future[list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Wait until the first pod has loaded the source.

        Raises:
            DeployError: it cannot; says why, long before the timeout if Kubernetes knows.
        """
        loop = asyncio.get_running_loop()
        while True:
            done, _ = await asyncio.wait([loading], timeout=0.25)
            if done:
                return loading.result()
            for pod in self._pods.values():
                stuck = pod.stuck
                if pod.revision == revision and stuck and loop.time() - pod.stuck_since >= stuck.after:
                    what = f"The service {pod.service!r} was not deployed: its pod does not start."
                    raise DeployError(what, stuck.why, stuck.fix)

    async def _addressed(self, names: Names, service: str, revision: str) -> None:
        """Wait until Knative has given the revision its address.

        Raises:
            DeployError: Knative says that it cannot.
        """
        while True:
            found = await self.kubernetes.get(KSERVICES, names.service) or {}
            if is_observed(found):
                tags = {each.get("tag") for each in found.get("status", {}).get("traffic", [])}
                ready = condition(found, "Ready")
                if names.tag(revision) in tags and ready.get("status") == "True":
                    return
                if ready.get("status") == "False":
                    raise DeployError(
                        f"The service {service!r} was not deployed: Knative gives it no address.",
                        f"It says: {ready.get('reason', '')}: {ready.get('message', '')}",
                        "python -m playground cluster status",
                    )
            await asyncio.sleep(0.1)

    async def _give_up(self, revision: str) -> None:
        try:
            await self.discard_revision(revision)
        except ClusterError:
            pass  # why it was not deployed matters more; the next opening finds what is left

    async def discard_revision(self, revision: str) -> None:
        """Take the revision out of its Knative Service; new requests go to the one before."""
        service = revision.rpartition("-")[0]
        names = Names(service, self._suffix, self.kubernetes.namespace)
        known = self._templates.get(service, {})
        known.pop(revision, None)
        if known:
            await self._apply(names, service)
            await self._withdrawn(names, list(known)[-1])
        else:
            await self.kubernetes.delete(KSERVICES, names.service)
        await self.kubernetes.delete(REVISIONS, names.revision(revision))
        await self.kubernetes.delete(CONFIG_MAPS, names.source(revision))

    async def _withdrawn(self, names: Names, latest: str) -> None:
        """Wait until Knative has taken note of what is the latest revision now.

        Until then it makes a later one that is deleted anew, and its pod waits for a source that is gone.
        """
        try:
            async with asyncio.timeout(WITHDRAW_TIMEOUT):
                while True:
                    found = await self.kubernetes.get(KSERVICES, names.service)
                    if manifest.latest_of(found) == names.revision(latest):
                        return
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pass  # the revision is deleted all the same; the next opening finds what comes of it

    # -- pods -----------------------------------------------------------------------------------------

    async def kill_pod(self, pod: str) -> None:
        """SIGKILL the pod's process, and delete the pod with grace period 0."""
        for each in list(self._pods.values()):
            if each.name == pod:
                await each.kill()

    def _happened(self, what: str, pod: Object) -> None:
        """Something happened to a pod of ours."""
        if self._there.take(what, pod) or REVISION not in pod["metadata"]["labels"]:
            return
        key = pod["metadata"]["uid"]
        known = self._pods.get(key)
        if what == "DELETED":
            if known is not None:
                del self._pods[key]
                known.deleted()
        elif known is not None:
            known.update(pod)
        else:
            made = self._pods[key] = ClusterPod(
                pod, kubernetes=self.kubernetes, record=self._record, start=self._start, on_end=self._ended
            )
            made.loaded.add_done_callback(lambda loaded: self._pass_on(made.revision, loaded))

    def _pass_on(self, revision: str, loaded: asyncio.Future[list[dict[str, Any]]]) -> None:
        """What the first pod says of its source is what the deployment waits for."""
        loading = self._loading.get(revision)
        if loading is None or loading.done() or loaded.cancelled():
            return
        if (error := loaded.exception()) is not None:
            loading.set_exception(error)
        else:
            loading.set_result(loaded.result())

    def _ended(self, pod: ClusterPod) -> None:
        """A pod's process has ended by itself: replace the pod, later and later if it never gets to work."""
        count = self._crashes[pod.revision] = 0 if pod.served else self._crashes.get(pod.revision, 0) + 1

        async def replace_it() -> None:
            await asyncio.sleep(min(0.1 * 2**count, MAX_BACKOFF) if count else 0)
            if pod.revision in self._loading or pod.revision not in self._templates.get(pod.service, {}):
                return  # its first pod has failed: the revision is given up, or will be
            try:
                await pod.remove()
            except ApiError:
                pass  # Kubernetes starts its container again, if we cannot

        self._start(replace_it())

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "the Knative backend stumbled", "exception": error}
            )
