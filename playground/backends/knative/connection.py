"""The Kubernetes API as the backend uses it: a few verbs on plain dicts, and errors with a cause and a remedy.

kr8s does authentication, TLS and websockets. Objects go in and come out as the JSON they are, so a
manifest in the code looks as it does in the documentation. Writing is server-side apply, which may be
repeated (https://kubernetes.io/docs/reference/using-api/server-side-apply/).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import httpx_ws
import kr8s
from kr8s.asyncio.objects import Pod as PodObject

from playground.backends.knative.api import FIELD_MANAGER, Kubernetes, Object, said
from playground.backends.knative.place import Place
from playground.errors import ClusterError

ANSWER_TIMEOUT = 15.0
"""Seconds the API server may take for an answer that is not a stream."""
CLOSING = 0.05
"""Seconds the event loop takes to see closed TLS connections off; it may be stopped right after."""


class Resource(NamedTuple):
    """A kind of object: its API version and its plural name."""

    version: str
    plural: str

    @property
    def group(self) -> str:
        """Its API group; empty for the core's."""
        return self.version.rpartition("/")[0]


KSERVICES = Resource("serving.knative.dev/v1", "services")
REVISIONS = Resource("serving.knative.dev/v1", "revisions")
CONFIG_MAPS = Resource("v1", "configmaps")
PODS = Resource("v1", "pods")
SERVICES = Resource("v1", "services")
CLAIMS = Resource("v1", "persistentvolumeclaims")
STATEFUL_SETS = Resource("apps/v1", "statefulsets")
DEPLOYMENTS = Resource("apps/v1", "deployments")


class ApiError(ClusterError):
    """The API server refused something, or could not be reached.

    Attributes:
        status: its HTTP status; 0 if there was no answer.
    """

    def __init__(self, status: int, why: str, fix: str) -> None:
        super().__init__("Kubernetes did not do what it was asked to.", why, fix)
        self.status = status


_BROKEN = (
    kr8s.ServerError,
    kr8s.APITimeoutError,
    kr8s.ConnectionClosedError,
    httpx.HTTPError,
    httpx.StreamError,
    httpx_ws.HTTPXWSException,
    OSError,
)
"""What kr8s lets through when a cluster, or the way to it, is not as it should be."""
_UNREADABLE = (ValueError, KeyError)
"""What comes of an answer that is not Kubernetes' own, e.g. the page of a proxy in between."""


class Connection:
    """A cluster's API, in one namespace. Lives on the engine's loop; `connect` makes one."""

    def __init__(self, kubernetes: Kubernetes, place: Place) -> None:
        self.kubernetes, self.place = kubernetes, place

    @classmethod
    async def connect(cls, place: Place) -> Connection:
        """Connect to the place's context, and to no other.

        Raises:
            ClusterError: the kubeconfig has no such context, or the cluster does not answer.
        """
        return cls(await Kubernetes.connect(place.kubeconfig, place.context), place)

    async def close(self) -> None:
        """Close all connections; streams end."""
        await self.kubernetes.close()
        await asyncio.sleep(CLOSING)

    async def get(self, resource: Resource, name: str) -> Object | None:
        """An object; None if there is none of that name."""
        try:
            return await self._ask("GET", resource, name)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def listed(self, resource: Resource, labels: str) -> tuple[list[Object], str]:
        """The objects with these labels, and the resource version of the list."""
        told = await self._ask("GET", resource, params={"labelSelector": labels})
        return told.get("items") or [], told["metadata"]["resourceVersion"]

    async def apply(self, resource: Resource, wanted: Object, *, manager: str = FIELD_MANAGER) -> Object:
        """Make an object as it is wanted, whether it is there or not; returns it.

        Args:
            wanted: the object, or the part of it that is the manager's to decide.
            manager: whom these fields belong to; fields of other managers stay as they are.
        """
        return await self._ask(
            "PATCH",
            resource,
            wanted["metadata"]["name"],
            params={"fieldManager": manager, "force": "true"},
            content=json.dumps({"apiVersion": resource.version, **wanted}),
            headers={"content-type": "application/apply-patch+yaml"},  # JSON is YAML
        )

    async def create(self, resource: Resource, wanted: Object) -> Object:
        """Make a new object; returns it."""
        return await self._ask("POST", resource, content=json.dumps({"apiVersion": resource.version, **wanted}))

    async def patch(self, resource: Resource, name: str, change: Object) -> Object:
        """Merge a change into an object; returns it (https://www.rfc-editor.org/rfc/rfc7386)."""
        headers = {"content-type": "application/merge-patch+json"}
        return await self._ask("PATCH", resource, name, content=json.dumps(change), headers=headers)

    async def delete(self, resource: Resource, name: str, *, grace: int | None = None) -> None:
        """Delete an object, if it is there.

        Args:
            grace: seconds it is given to end by itself; by default what its own specification says.
        """
        try:
            await self._ask("DELETE", resource, name, content=json.dumps(_delete_options(grace)))
        except ApiError as error:
            if error.status != 404:
                raise

    async def delete_all(self, resource: Resource, labels: str) -> None:
        """Delete the objects with these labels, and only those."""
        if not labels:  # an empty selector selects everything there is, whoever it belongs to
            raise ValueError("objects are deleted by their labels")
        await self._ask("DELETE", resource, params={"labelSelector": labels}, content=json.dumps(_delete_options(None)))

    async def served(self, resource: Resource) -> bool:
        """Whether the cluster has such objects at all."""
        try:
            told = await self._ask("GET", Resource(resource.version, ""), of="")
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return any(each["name"] == resource.plural for each in told["resources"])

    async def may(self, verb: str, group: str, resource: str, subresource: str = "") -> bool:
        """Whether we are allowed to do something in the namespace."""
        with _explained(self.place, *_UNREADABLE):
            return await self.kubernetes.may(self.place.namespace, verb, group, resource, subresource)

    @contextlib.asynccontextmanager
    async def stream(
        self, resource: Resource, path: str, params: Mapping[str, str], silence: float
    ) -> AsyncGenerator[httpx.Response]:
        """An answer that goes on: a watch, or a followed log.

        Args:
            path: below the resource, e.g. "NAME/log"; empty for the resource itself.
            silence: seconds without a byte after which the connection counts as dead.
        """
        opening = self.kubernetes.api.call_api(
            "GET",
            version=resource.version,
            namespace=self.place.namespace,
            url="/".join(filter(None, (resource.plural, path))),
            params=dict(params),
            stream=True,
            timeout=httpx.Timeout(ANSWER_TIMEOUT, read=silence),
        )
        async with contextlib.AsyncExitStack() as stack:
            with _explained(self.place, *_UNREADABLE):
                answer = await stack.enter_async_context(opening)
            with _explained(self.place):  # what whoever reads it makes of it is not ours to explain
                yield answer

    @contextlib.asynccontextmanager
    async def tunnel(self, pod: str, port: int) -> AsyncGenerator[httpx_ws.AsyncWebSocketSession]:
        """A websocket to a pod's port: what `kubectl port-forward` uses."""
        with _explained(self.place):
            async with self.kubernetes.api.open_websocket(
                version=PODS.version,
                namespace=self.place.namespace,
                url=f"{PODS.plural}/{quote(pod, safe='')}/portforward",
                params={"ports": str(port)},
            ) as socket:
                yield socket

    async def run(self, pod: Object, container: str, command: list[str]) -> None:
        """Run a command in a container, and wait until it has ended, however it ends."""
        with _explained(self.place):
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await PodObject(pod, api=self.kubernetes.api).exec(command, container=container, check=False)

    async def _ask(
        self, method: str, resource: Resource, name: str = "", *, of: str | None = None, **options: Any
    ) -> Object:
        """Ask once. `of`: another namespace than the place's; empty for what is in none."""
        with _explained(self.place, *_UNREADABLE):
            async with self.kubernetes.api.call_api(
                method,
                version=resource.version,
                namespace=self.place.namespace if of is None else of,
                url="/".join(filter(None, (resource.plural, quote(name, safe="")))),
                timeout=ANSWER_TIMEOUT,
                **options,
            ) as answer:
                return dict(answer.json())


def _delete_options(grace: int | None) -> Object:
    options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    return options if grace is None else {**options, "gracePeriodSeconds": grace}


@contextlib.contextmanager
def _explained(place: Place, *more: type[Exception]) -> Iterator[None]:
    """Turn what goes wrong inside into an ApiError."""
    caught: tuple[type[Exception], ...] = (*_BROKEN, *more)
    try:
        yield
    except caught as error:
        raise _explain(error, place) from error


def _explain(error: Exception, place: Place) -> ApiError:
    """What an error means for somebody who uses this place."""
    status_command = "python -m playground cluster status"
    if isinstance(error, kr8s.ServerError) and error.response is not None:
        status = error.response.status_code
        why = f"The API server says: {said(error.response)} ({status})."
        if status == 401:
            return ApiError(status, why, f"Log in to the cluster again: context {place.context} in {place.kubeconfig}")
        if status == 403:
            return ApiError(
                status,
                why,
                f"Ask who runs the cluster for this right in the namespace {place.namespace}; they have"
                " `python -m playground cluster adopt`.",
            )
        return ApiError(status, why, status_command)
    if isinstance(error, TimeoutError | kr8s.APITimeoutError | httpx.TimeoutException):
        return ApiError(0, f"The cluster of context {place.context} does not answer in time.", status_command)
    if isinstance(error, httpx.ConnectError):
        why = f"Nobody answers for context {place.context}: the cluster is stopped or gone."
        return ApiError(0, why, f"{status_command}    (after a restart of the machine: start its containers first)")
    return ApiError(0, f"The connection to the cluster broke: {type(error).__name__}: {error}", status_command)
