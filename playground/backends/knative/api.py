"""Kubernetes' API in one namespace: objects go in and come out as the JSON they are, errors with a cause and a remedy.

kr8s authenticates, speaks TLS and opens websockets. Writing is server-side apply under the name of a field manager
(https://kubernetes.io/docs/reference/using-api/server-side-apply/): the first time makes the object, every other time
brings back the fields we set and leaves those that others set. That is what makes it repeatable.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import time
import warnings
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

import httpx
import httpx_ws
import kr8s.asyncio
from kr8s.asyncio.objects import Pod as PodObject

from playground.backends.knative.kubeconfig import server_of
from playground.backends.knative.objects import NAMED, PODS, Object, Resource
from playground.core.proxies import exempt_loopback
from playground.errors import ClusterError

if TYPE_CHECKING:
    from kr8s._api import Api

FIELD_MANAGER = "durable-playground"
CONNECT_TIMEOUT = 20.0
ANSWER_TIMEOUT = 30.0
"""Seconds the API server may take for an answer that is not a stream."""
COMMAND_TIMEOUT = 15.0
"""Seconds a command in a container may take."""
PASSING_SECONDS = 180.0
"""How long a command tries again what should pass by itself."""
CLOSING = 0.05
"""Seconds the event loop takes to see closed TLS connections off; it may be stopped right after."""

_Answer = TypeVar("_Answer")
_REVIEWS = Resource("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False)
_DELETE: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
_BROKEN = (
    kr8s.ServerError,
    kr8s.APITimeoutError,
    kr8s.ConnectionClosedError,
    kr8s.ExecError,
    kr8s.NotFoundError,
    httpx.HTTPError,
    httpx.StreamError,
    httpx_ws.HTTPXWSException,
    OSError,
)
"""What kr8s lets through when a cluster, or the way to it, is not as it should be."""
_UNREADABLE = (ValueError, KeyError)
"""What comes of an answer that is not Kubernetes' own, e.g. the page of a proxy in between."""


class ApiError(ClusterError):
    """Kubernetes refused something, or could not be reached.

    Attributes:
        status: its HTTP status; 0 if there was no answer.
    """

    def __init__(self, status: int, what: str, why: str, fix: str) -> None:
        super().__init__(what, why, fix)
        self.status = status

    @property
    def passes(self) -> bool:
        """Whether it may pass by itself: a kind not served yet, somebody who wrote at the same moment, a webhook or a
        server that is not up yet, an object of that name on its way out."""
        if self.status == 403:
            return "being terminated" in self.why
        return self.status in (0, 404, 409, 429) or self.status >= 500


class Kubernetes:
    """A cluster by one context of one kubeconfig, in one namespace. `connect` makes one.

    Attributes:
        kubeconfig, context: how it is reached.
        namespace: where objects are that do not name another.
        version: of Kubernetes, e.g. "v1.36.1".
    """

    def __init__(self, api: Api, kubeconfig: Path, context: str, namespace: str, version: str) -> None:
        self.kubeconfig, self.context, self.namespace, self.version = kubeconfig, context, namespace, version
        self._api = api
        self._served: dict[str, list[dict[str, Any]]] = {}  # API version -> kinds, as the server lists them

    @classmethod
    async def connect(cls, kubeconfig: Path, context: str, namespace: str = "") -> Self:
        """Connect, and see that somebody answers.

        Raises:
            ClusterError: there is no such file or context, nobody answers, or not to us.
        """
        server = server_of(kubeconfig, context)
        exempt_loopback(server)  # kr8s would ask a proxy for our own loopback
        cluster = f"The cluster of context {context}"
        fix = f"kubectl --kubeconfig {kubeconfig} --context {context} version    # until that answers"
        try:
            with warnings.catch_warnings():
                # It warns of every Kubernetes newer than itself; what we use of it is older than both.
                warnings.simplefilter("ignore", UserWarning)
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    api = await kr8s.asyncio.api(kubeconfig=str(kubeconfig), context=context)
                    version = str((await api.version())["gitVersion"])
        except TimeoutError:
            why = f"{server} said nothing for {CONNECT_TIMEOUT:.0f} s."
            raise ClusterError(f"{cluster} does not answer.", why, fix) from None
        except (httpx.HTTPError, OSError) as error:
            why = f"{server}: {error or type(error).__name__}."
            raise ClusterError(f"{cluster} cannot be reached.", why, fix) from error
        except Exception as error:  # kr8s has no common base for what is wrong with a kubeconfig
            raise ClusterError(f"{cluster} lets nobody in.", f"{server}: {error}.", fix) from error
        api.timeout = ANSWER_TIMEOUT
        return cls(api, kubeconfig, context, namespace, version)

    def within(self, namespace: str) -> Self:
        """The same connection, for another namespace."""
        other = copy.copy(self)
        other.namespace = namespace
        return other

    async def aclose(self) -> None:
        """Close all connections; streams end."""
        session = self._api._session  # noqa: SLF001  (kr8s offers no way to close it)
        if session is not None:
            await session.aclose()
            await asyncio.sleep(CLOSING)

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self._api.auth.server)

    @property
    def certificate_authority(self) -> bytes | None:
        """The certificate that the API server is known by, in PEM; None if the system's are enough."""
        file = self._api.auth.server_ca_file
        return Path(str(file)).read_bytes() if file else None

    # -- kinds ------------------------------------------------------------------------------------------

    async def serves(self, resource: Resource) -> bool:
        """Whether the cluster has such objects at all."""
        return any(one["name"] == resource.plural for one in await self._kinds(resource.api_version))

    async def resource_of(self, thing: Object) -> Resource:
        """The kind of an object.

        Raises:
            ApiError: the cluster does not have it.
        """
        version, kind = thing["apiVersion"], thing["kind"]
        if named := NAMED.get((version, kind)):
            return named
        for one in await self._kinds(version):
            if one["kind"] == kind and "/" not in one["name"]:
                return Resource(version, kind, one["name"], one["namespaced"])
        self._served.pop(version, None)  # it may be defined by the next time
        raise ApiError(
            404,
            f"The cluster of context {self.context} has no {kind}.",
            f"It does not serve {version}, or nothing of that kind in it.",
            "python -m playground cluster create    (or adopt a cluster that has it)",
        )

    async def deletable(self) -> list[Resource]:
        """All kinds that live in namespaces and can be listed and deleted, each in its preferred version."""
        told = await self._ask("GET", "list API groups", Resource("", "", "", namespaced=False), base="/apis")
        found = []
        for version in ("v1", *(group["preferredVersion"]["groupVersion"] for group in told["groups"])):
            with contextlib.suppress(ApiError):  # it has a server of its own that is away, e.g. for metrics
                found += [
                    Resource(version, one["kind"], one["name"])
                    for one in await self._kinds(version)
                    if one["namespaced"] and "/" not in one["name"] and {"list", "delete"} <= set(one["verbs"])
                ]
        return found

    async def _kinds(self, api_version: str) -> list[dict[str, Any]]:
        if not self._served.get(api_version):
            of_version = Resource(api_version, "", "", namespaced=False)
            told = await self._unless_gone(self._ask("GET", "list the kinds of", of_version))
            self._served[api_version] = told["resources"] if told else []
        return self._served[api_version]

    # -- objects ----------------------------------------------------------------------------------------

    async def get(self, resource: Resource, name: str) -> Object | None:
        """An object; None if it, or its kind, does not exist."""
        return await self._unless_gone(self._ask("GET", "read", resource, name))

    async def reread(self, thing: Object) -> Object | None:
        """An object as it is there now; None if it is gone."""
        meta = thing["metadata"]
        return await self.within(meta.get("namespace", self.namespace)).get(await self.resource_of(thing), meta["name"])

    async def find(self, resource: Resource, labels: str = "") -> list[Object]:
        """The objects with these labels; none if the cluster does not have the kind."""
        listed, _ = await self._unless_gone(self.listed(resource, labels)) or ([], "")
        return [{"apiVersion": resource.api_version, "kind": resource.kind, **each} for each in listed]

    async def listed(self, resource: Resource, labels: str) -> tuple[list[Object], str]:
        """The objects with these labels, as they are in a list; and its version, from which on it can be watched."""
        told = await self._ask("GET", "list", resource, params={"labelSelector": labels} if labels else {})
        return told.get("items") or [], told["metadata"]["resourceVersion"]

    async def apply(self, wanted: Object, *, manager: str = FIELD_MANAGER, patience: float = 0.0) -> Object:
        """Make an object as it is wanted, whether it is there or not; returns it as it is there now.

        Args:
            wanted: the object, or the part of it that is the manager's to decide.
            manager: whom these fields belong to; fields of other managers stay as they are.
            patience: seconds for which what may pass by itself is tried again.
        """
        deadline = time.monotonic() + patience
        namespace = wanted["metadata"].get("namespace", self.namespace)
        if namespace != self.namespace:
            return await self.within(namespace).apply(wanted, manager=manager, patience=patience)
        while True:
            try:
                return await self._ask(
                    "PATCH",
                    "apply",
                    await self.resource_of(wanted),
                    wanted["metadata"]["name"],
                    params={"fieldManager": manager, "force": "true"},
                    content=json.dumps(wanted),
                    headers={"content-type": "application/apply-patch+yaml"},  # JSON is YAML
                )
            except ApiError as error:
                if not error.passes or time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(1)

    async def create(self, wanted: Object, resource: Resource, *path: str) -> Object:
        """Make what is made anew each time, such as a token; returns it.

        Args:
            path: below the resource, if it is made there.
        """
        return await self._ask("POST", "create", resource, *path, content=json.dumps(wanted))

    async def delete(self, resource: Resource, name: str, *, grace: int | None = None) -> None:
        """Delete an object and what belongs to it, if it is there.

        Args:
            grace: seconds it is given to end by itself; by default what its own specification says.
        """
        options = json.dumps(_DELETE if grace is None else {**_DELETE, "gracePeriodSeconds": grace})
        await self._unless_gone(self._ask("DELETE", "delete", resource, name, content=options))

    async def delete_all(self, resource: Resource, labels: str) -> None:
        """Delete the objects with these labels, and only those."""
        if not labels:  # an empty selector selects everything there is, whoever it belongs to
            raise ValueError("objects are deleted by their labels")
        params = {"labelSelector": labels}
        await self._ask("DELETE", "delete", resource, params=params, content=json.dumps(_DELETE))

    async def may(self, verb: str, resource: Resource, subresource: str = "") -> bool:
        """Whether we are allowed to do something in the namespace."""
        about = {
            "namespace": self.namespace,
            "verb": verb,
            "group": resource.group,
            "resource": resource.plural,
            "subresource": subresource,
        }
        review = {"apiVersion": _REVIEWS.api_version, "kind": _REVIEWS.kind, "spec": {"resourceAttributes": about}}
        return bool((await self.create(review, _REVIEWS))["status"]["allowed"])

    # -- pods -------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def stream(
        self, resource: Resource, path: str, params: Mapping[str, str], silence: float
    ) -> AsyncGenerator[httpx.Response]:
        """An answer that goes on: a watch, or a followed log.

        Args:
            path: below the resource, e.g. "NAME/log"; empty for the resource itself.
            silence: seconds without a byte after which the connection counts as dead.
        """
        doing = f"read {resource.plural} {path}".rstrip()
        opening = self._api.call_api(
            "GET",
            version=resource.api_version,
            namespace=self.namespace,
            url="/".join(filter(None, (resource.plural, path))),
            params=dict(params),
            stream=True,
            timeout=httpx.Timeout(ANSWER_TIMEOUT, read=silence),
        )
        async with contextlib.AsyncExitStack() as stack:
            with self._explained(doing, *_UNREADABLE):
                answer = await stack.enter_async_context(opening)
            with self._explained(doing):  # what whoever reads it makes of it is not ours to explain
                yield answer

    async def last_lines(self, pod: str, container: str, *, previous: bool, lines: int = 5) -> list[str]:
        """The last lines a container, or its run before, has printed; none if they cannot be had."""
        params = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
        try:
            async with self.stream(PODS, f"{pod}/log", params, ANSWER_TIMEOUT) as answer:
                return (await answer.aread()).decode(errors="replace").splitlines()
        except ApiError:
            return []

    @contextlib.asynccontextmanager
    async def tunnel(self, pod: str, port: int) -> AsyncGenerator[httpx_ws.AsyncWebSocketSession]:
        """A websocket to a pod's port: what `kubectl port-forward` uses."""
        with self._explained(f"open a way to pod {pod}"):
            async with self._api.open_websocket(
                version=PODS.api_version,
                namespace=self.namespace,
                url=f"{PODS.plural}/{quote(pod, safe='')}/portforward",
                params={"ports": str(port)},
            ) as socket:
                yield socket

    async def run(self, pod: Object, container: str, command: list[str]) -> None:
        """Run a command in a container, and wait until it has ended, however it ends."""
        with self._explained(f"run a command in pod {pod['metadata']['name']}"):
            async with asyncio.timeout(COMMAND_TIMEOUT):
                await PodObject(pod, api=self._api).exec(command, container=container, check=False)

    # -- asking, and what goes wrong --------------------------------------------------------------------

    async def _ask(self, method: str, verb: str, resource: Resource, *path: str, **request: Any) -> Object:
        """Ask once; the answer is JSON. An error says with `verb` and what follows it what was asked for."""
        doing = f"{verb} {resource.kind} {path[0]}" if path else f"{verb} {resource.plural or resource.api_version}"
        namespace = self.namespace if resource.namespaced else ""
        call = partial(
            self._api.call_api,
            method,
            version=resource.api_version,
            namespace=namespace,
            url="/".join((resource.plural, *(quote(part, safe="") for part in path))),
            **request,
        )
        with self._explained(doing, *_UNREADABLE, within=namespace):
            async with call(raise_for_status=False) as answer:
                pass
            if answer.status_code == 401:  # what let us in has expired: kr8s logs in again
                async with call() as answer:
                    pass
            if answer.is_error:
                raise kr8s.ServerError("", response=answer)
            return dict(answer.json())

    async def _unless_gone(self, asking: Awaitable[_Answer]) -> _Answer | None:
        try:
            return await asking
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    @contextlib.contextmanager
    def _explained(self, doing: str, *more: type[Exception], within: str | None = None) -> Iterator[None]:
        """Turn what goes wrong inside into an ApiError."""
        caught: tuple[type[Exception], ...] = (*_BROKEN, *more)
        try:
            yield
        except caught as error:
            namespace = self.namespace if within is None else within
            raise self._explain(error, f"{doing} in namespace {namespace}" if namespace else doing) from error

    def _explain(self, error: Exception, doing: str) -> ApiError:
        what, fix = f"Kubernetes did not {doing}.", "python -m playground cluster status"
        if isinstance(error, kr8s.ServerError) and error.response is not None:
            status, message = error.response.status_code, _said(error.response)
            if status == 401:
                fix = f"Log in to the cluster again: context {self.context} in {self.kubeconfig}"
            elif status == 403 and "exceeded quota" in message:
                fix = "Remove services you no longer need, or ask who runs the cluster for a larger quota."
            elif status == 403:
                what = f"You may not {doing}."
                fix = (
                    "Ask who runs the cluster for the right, or for a namespace: they have "
                    "`python -m playground cluster adopt --learners N`."
                )
            elif status == 422 and ("immutable" in message or "updates to statefulset spec" in message):
                fix = (
                    "python -m playground cluster delete"
                    "    # it cannot be changed, only made anew; then the same command again"
                )
            return ApiError(status, what, f"Kubernetes says: {message}.", fix)
        if isinstance(error, TimeoutError | kr8s.APITimeoutError | httpx.TimeoutException):
            why = f"The cluster of context {self.context} does not answer in time."
        elif isinstance(error, httpx.ConnectError):
            why = f"Nobody answers for context {self.context}: the cluster is stopped or gone."
            fix += "    (after a restart of the machine: start its containers first)"
        else:
            why = f"The connection to the cluster broke: {type(error).__name__}: {error}"
        return ApiError(0, what, why, fix)


def _said(answer: httpx.Response) -> str:
    """Kubernetes' own words in an answer that is an error, or what is there instead.

    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
    """
    try:
        return str(answer.json()["message"]).rstrip(".")
    except httpx.StreamError:  # a stream that was refused, and not read
        return answer.reason_phrase
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}: {answer.text[:200]}"
