"""Kubernetes' API, as the cluster commands use it: apply, read, delete, and say why not.

Objects are dicts, as in YAML. They are *applied on the server* under one field manager: the first time makes
the object, every other time brings back the fields we set and leaves those that others set. That is what makes
the commands repeatable. What passes by itself (a webhook that is not up yet, a kind of object that was
defined a moment ago) is tried again until a deadline; everything else is an error with Kubernetes' own words.
"""

from __future__ import annotations

import asyncio
import json
import time
import warnings
from collections.abc import Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import httpx

from playground.backends.knative.kubeconfig import server_of
from playground.core.proxies import exempt_loopback
from playground.errors import ClusterError

if TYPE_CHECKING:
    from kr8s._api import Api

Object = dict[str, Any]
"""A Kubernetes object: apiVersion, kind, metadata and so on."""

FIELD_MANAGER = "durable-playground"
PART_OF = {"app.kubernetes.io/part-of": "durable-playground"}
"""The label on everything of ours; what has it may be deleted, what has not is never touched."""

CONNECT_SECONDS = 20.0
PASSING_SECONDS = 180.0
"""How long something that should pass by itself is tried again."""


_OPENED: ContextVar[list[Kubernetes] | None] = ContextVar("playground_opened", default=None)
_Result = TypeVar("_Result")


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a command's work to its end, and close what it has connected to."""

    async def whole() -> _Result:
        opened: list[Kubernetes] = []
        _OPENED.set(opened)
        try:
            return await work
        finally:
            for connected in opened:
                await connected.close()

    return asyncio.run(whole())


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object that the server has.

    Attributes:
        api_version: as in an object, e.g. "apps/v1".
        kind: as in an object, e.g. "Deployment".
        plural: as in a URL, e.g. "deployments".
        namespaced: whether its objects live in namespaces.
        verbs: what can be done, e.g. "list", "delete".
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]


class Kubernetes:
    """A connection to one cluster, by one context of one kubeconfig."""

    def __init__(self, api: Api, context: str) -> None:
        self.api, self.context = api, context
        self._resources: dict[str, list[Resource]] = {}

    @classmethod
    async def connect(cls, kubeconfig: Path, context: str) -> Kubernetes:
        """Connect, and see that somebody answers.

        Raises:
            ClusterError: there is no such file or context, nobody answers, or not to us.
        """
        server = server_of(kubeconfig, context)
        exempt_loopback(server)  # kr8s would ask a proxy for our own loopback
        import kr8s.asyncio

        fix = f"kubectl --kubeconfig {kubeconfig} --context {context} version    # until that answers"
        try:
            with warnings.catch_warnings():
                # It warns of every Kubernetes newer than itself; what we use of it is older than both.
                warnings.simplefilter("ignore", UserWarning)
                async with asyncio.timeout(CONNECT_SECONDS):
                    api = await kr8s.asyncio.api(kubeconfig=str(kubeconfig), context=context)
        except TimeoutError:
            raise ClusterError(
                f"The cluster of context {context} does not answer.",
                f"{server} said nothing for {CONNECT_SECONDS:.0f} s.",
                fix,
            ) from None
        except (httpx.HTTPError, OSError) as error:
            raise ClusterError(
                f"The cluster of context {context} cannot be reached.",
                f"{server}: {error or type(error).__name__}.",
                fix,
            ) from error
        except Exception as error:  # kr8s has no common base for what is wrong with a kubeconfig
            raise ClusterError(
                f"The cluster of context {context} lets nobody in.", f"{server}: {error}.", fix
            ) from error
        api.timeout = 30
        connected = cls(api, context)
        if (opened := _OPENED.get()) is not None:
            opened.append(connected)
        return connected

    async def close(self) -> None:
        """Close the connections."""
        session = self.api._session  # noqa: SLF001  (kr8s offers no way to close it)
        if session is not None:
            await session.aclose()

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self.api.auth.server)

    @property
    def certificate_authority(self) -> bytes | None:
        """The certificate that the API server is known by, in PEM; None if the system's are enough."""
        file = self.api.auth.server_ca_file
        return Path(str(file)).read_bytes() if file else None

    async def version(self) -> str:
        """The version of Kubernetes, e.g. "v1.36.1"."""
        return str((await self.api.version())["gitVersion"])

    async def resources(self, api_version: str) -> list[Resource]:
        """The kinds that the server has in one API version; none if it does not have that."""
        if not self._resources.get(api_version):
            base = "/apis" if "/" in api_version else "/api"
            answer = await self._call("GET", version="", base=base, url=api_version)
            listed = answer.json().get("resources", []) if answer.status_code == 200 else []
            self._resources[api_version] = [
                Resource(api_version, one["kind"], one["name"], one["namespaced"], frozenset(one["verbs"]))
                for one in listed
                if "/" not in one["name"]
            ]
        return self._resources[api_version]

    async def deletable(self) -> list[Resource]:
        """All kinds that live in namespaces and can be listed and deleted, each in its preferred version."""
        groups = (await self._call("GET", version="", base="/apis", url="")).json().get("groups", [])
        versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
        found = [resource for version in versions for resource in await self.resources(version)]
        return [one for one in found if one.namespaced and {"list", "delete"} <= one.verbs]

    async def apply(self, wanted: Object) -> Object:
        """Make an object, or bring it back to what is wanted.

        Returns:
            The object as the server has it now.

        Raises:
            ClusterError: the server does not take it, or what should have passed did not.
        """
        name, namespace = wanted["metadata"]["name"], wanted["metadata"].get("namespace")
        deadline = time.monotonic() + PASSING_SECONDS
        while True:
            why = ""
            try:
                if resource := await self._resource(wanted["apiVersion"], wanted["kind"]):
                    answer = await self._call(
                        "PATCH",
                        version=resource.api_version,
                        namespace=namespace if resource.namespaced else None,
                        url=f"{resource.plural}/{name}",
                        params={"fieldManager": FIELD_MANAGER, "force": "true"},
                        headers={"content-type": "application/apply-patch+yaml"},
                        content=json.dumps(wanted),
                    )
                    if answer.status_code < 300:
                        return cast(Object, answer.json())
                    why = said(answer)
                    if not _passes(answer.status_code, why):
                        raise _refused(answer.status_code, why, f"apply {wanted['kind']} {name}", namespace)
                else:
                    why = f"it has no {wanted['kind']} in {wanted['apiVersion']}"
            except httpx.TransportError as error:
                why = f"{type(error).__name__}: {error}"
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"Kubernetes did not take {wanted['kind']} {name} within {PASSING_SECONDS:.0f} s.",
                    f"It said last: {why}.",
                    "python -m playground cluster status    # then the same command again",
                )
            await asyncio.sleep(1)

    async def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """One object; None if it, or its kind, does not exist.

        Raises:
            ClusterError: it may not be read.
        """
        resource = await self._resource(api_version, kind)
        if resource is None:
            return None
        answer = await self._call(
            "GET",
            version=api_version,
            namespace=namespace if resource.namespaced else None,
            url=f"{resource.plural}/{name}",
        )
        if answer.status_code == 404:
            return None
        if answer.status_code >= 300:
            raise _refused(answer.status_code, said(answer), f"read {kind} {name}", namespace)
        return cast(Object, answer.json())

    async def find(
        self, api_version: str, kind: str, namespace: str | None = None, labels: dict[str, str] | None = None
    ) -> list[Object]:
        """The objects of a kind; none if the server does not have the kind.

        Args:
            api_version, kind: as in an object.
            namespace: None for all.
            labels: what they must carry.

        Raises:
            ClusterError: they may not be listed.
        """
        resource = await self._resource(api_version, kind)
        return [] if resource is None else await self.find_all(resource, namespace, labels)

    async def find_all(
        self, resource: Resource, namespace: str | None = None, labels: dict[str, str] | None = None
    ) -> list[Object]:
        """Like `find`, of a kind that `deletable` has found."""
        params = {"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())} if labels else {}
        answer = await self._call(
            "GET", version=resource.api_version, namespace=namespace, url=resource.plural, params=params
        )
        if answer.status_code == 404:
            return []
        if answer.status_code >= 300:
            raise _refused(answer.status_code, said(answer), f"list {resource.plural}", namespace)
        told: dict[str, Any] = answer.json()
        return [{"apiVersion": resource.api_version, "kind": resource.kind, **one} for one in told["items"]]

    async def delete(self, doomed: Object) -> bool:
        """Delete an object and what belongs to it; False if it was gone already.

        Raises:
            ClusterError: it may not be deleted.
        """
        meta = doomed["metadata"]
        resource = await self._resource(doomed["apiVersion"], doomed["kind"])
        if resource is None:
            return False
        answer = await self._call(
            "DELETE",
            version=resource.api_version,
            namespace=meta.get("namespace") if resource.namespaced else None,
            url=f"{resource.plural}/{meta['name']}",
            content=json.dumps({"propagationPolicy": "Background"}),
        )
        if answer.status_code >= 300 and answer.status_code != 404:
            what = f"delete {doomed['kind']} {meta['name']}"
            raise _refused(answer.status_code, said(answer), what, meta.get("namespace"))
        return answer.status_code != 404

    async def logs(self, pod: str, namespace: str, container: str, *, previous: bool, lines: int = 5) -> list[str]:
        """The last lines a container has printed; none if they cannot be had."""
        answer = await self._call(
            "GET",
            version="v1",
            namespace=namespace,
            url=f"pods/{pod}/log",
            params={"container": container, "tailLines": lines, "previous": str(previous).lower()},
        )
        return answer.text.splitlines() if answer.status_code == 200 else []

    async def may(self, namespace: str, verb: str, group: str, resource: str, subresource: str = "") -> bool:
        """Whether we may do something in a namespace."""
        attributes = {
            "namespace": namespace,
            "verb": verb,
            "group": group,
            "resource": resource,
            "subresource": subresource,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = await self.post("authorization.k8s.io/v1", "selfsubjectaccessreviews", review)
        return bool(answer["status"]["allowed"])

    async def post(self, api_version: str, url: str, body: Object, namespace: str | None = None) -> Object:
        """Ask something of the server that is no object to keep, such as a token.

        Raises:
            ClusterError: it says no.
        """
        answer = await self._call("POST", version=api_version, namespace=namespace, url=url, content=json.dumps(body))
        if answer.status_code >= 300:
            raise _refused(answer.status_code, said(answer), f"ask for {url}", namespace)
        return cast(Object, answer.json())

    async def _resource(self, api_version: str, kind: str) -> Resource | None:
        for resource in await self.resources(api_version):
            if resource.kind == kind:
                return resource
        self._resources.pop(api_version, None)  # it may be defined by the next time
        return None

    async def _call(self, method: str, **request: Any) -> httpx.Response:
        async with self.api.call_api(method, raise_for_status=False, **request) as answer:
            return answer


def said(answer: httpx.Response) -> str:
    """Kubernetes' own words in an answer that is an error, or what is there instead.

    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
    """
    try:
        return str(answer.json()["message"]).rstrip(".")
    except httpx.StreamError:  # a stream that was refused, and not read
        return answer.reason_phrase
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}: {answer.text[:200]}"


def _passes(status: int, message: str) -> bool:
    if status in (404, 409, 429) or status >= 500:
        return True  # a kind not served yet; somebody else wrote at the same moment; a webhook not up yet
    return status == 403 and "being terminated" in message


def _refused(status: int, message: str, what: str, namespace: str | None) -> ClusterError:
    where = f" in namespace {namespace}" if namespace else ""
    if status in (401, 403):
        return ClusterError(
            f"You may not {what}{where}.",
            f"Kubernetes says: {message}.",
            "Ask who runs the cluster for the right, or for a namespace: they have "
            "`python -m playground cluster adopt --learners N`.",
        )
    fix = "python -m playground cluster status"
    if status == 422 and ("immutable" in message or "updates to statefulset spec" in message):
        fix = (
            "python -m playground cluster delete    # it cannot be changed, only made anew; then the same command again"
        )
    return ClusterError(f"Kubernetes did not {what}{where}.", f"It says: {message}.", fix)
