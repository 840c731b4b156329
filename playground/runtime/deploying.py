"""Deploying: a source becomes a revision, and the revision becomes a Restate deployment.

A deployment that fails or is interrupted leaves everything as it was. Only once Restate has been asked to register it,
an interrupt comes too late, and the deployment is completed. New requests go to the newest revision; an invocation that
has begun stays pinned to the revision it began on (https://docs.restate.dev/services/versioning). A playground that
opens the data directory of an earlier one revives its revisions.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.backends.backend import Backend, Started
from playground.errors import DeployError, PlaygroundError, RequestError
from playground.recording import Event, Recording
from playground.restate.admin import Admin

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
"""Kubernetes' rule for names, short enough to leave room for a revision's suffix."""
DEPLOYMENT = "deployment"
"""The file beside a revision's source that holds the id of its Restate deployment."""
ADDRESS = "address"
"""The file that holds the address Restate was asked to register, in case the answer to that never arrived."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployed service: its latest revision and what it offers.

    Attributes:
        name: the name it was deployed under.
        revision: the revision that serves new requests.
        services: the Restate services in it: [{"name", "type", "handlers"}].
        is_new: False if the source was unchanged and nothing was deployed.
    """

    name: str
    revision: str
    services: list[dict[str, Any]]
    is_new: bool = True


class Deployer:
    """Deploys sources and remembers what is deployed. Lives on the engine's loop.

    Attributes:
        services: what is deployed, by name.
        refused: why the latest deployment of a name failed, for the names for which it did.
    """

    def __init__(self, directory: Path, backend: Backend, admin: Admin, recording: Recording) -> None:
        self.services: dict[str, Deployed] = {}
        self.refused: dict[str, PlaygroundError] = {}
        self._directory = directory / "services"
        self._backend, self._admin, self._recording = backend, admin, recording
        self._digests: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._committing = asyncio.Lock()

    def offered(self) -> list[dict[str, Any]]:
        """All Restate services that can be called now."""
        return [offered for service in self.services.values() for offered in service.services]

    async def deploy(self, name: str, source: str, *, breaking: bool) -> Deployed:
        """Deploy a source under a name, unless exactly this source is already deployed.

        Raises:
            DeployError: the name or the source is not usable, or the change would break what is running.
        """
        interrupted = f"The service {name!r} was not deployed: that was interrupted."
        self.refused[name] = DeployError(interrupted, "", f"Run the cell with %%service {name} again.")
        try:
            deployed = await self._deploy(name, source, breaking)
        except PlaygroundError as error:
            self.refused[name] = error
            raise
        del self.refused[name]
        return deployed

    async def _deploy(self, name: str, source: str, breaking: bool) -> Deployed:
        if not _NAME.fullmatch(name):
            raise DeployError(
                f"{name!r} cannot name a service.",
                "Names follow Kubernetes' rule: lower-case letters, digits and hyphens, a letter first, 40 at most.",
                f"For example: {re.sub('[^a-z0-9]+', '-', name.lower()).strip('-0123456789')[:40] or 'signup'}",
            )
        digest = _digest(source)
        if self._digests.get(name) == digest:
            known = self.services[name]
            return Deployed(name, known.revision, known.services, is_new=False)
        # Like Knative's generations, a number is never reused, not even if its source did not load.
        self._counts[name] = self._counts.get(name, 0) + 1
        revision = f"{name}-{self._counts[name]:05d}"
        path = self._directory / revision / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, "utf-8")
        started = await self._backend.start_revision(name, revision, path)
        # From here on it is all or nothing: nobody knows what Restate has made of half a registration.
        commit = asyncio.ensure_future(self._commit(name, started, source, digest, breaking))
        commit.add_done_callback(lambda done: done.cancelled() or done.exception())  # the caller may be interrupted
        return await asyncio.shield(commit)

    async def _commit(self, name: str, started: Started, source: str, digest: str, breaking: bool) -> Deployed:
        revision = started.revision
        async with self._committing:
            try:
                self._check_names(name, started)
                if not breaking:
                    await self._check_handlers(name, started)
                (self._directory / revision / ADDRESS).write_text(started.address.rstrip("/"), "utf-8")
                deployment = await self._register(name, started, breaking)
            except BaseException:
                await self._backend.discard_revision(revision)
                raise
        self._deployed(name, started, deployment, source)
        self._digests[name] = digest
        return self.services[name]

    def _deployed(self, name: str, started: Started, deployment: Mapping[str, Any], source: str) -> None:
        revision = started.revision
        (self._directory / revision / DEPLOYMENT).write_text(deployment["id"], "utf-8")
        services = _with_schemas(started.services, deployment["services"])
        self._recording.append(
            Event.now(
                "revision.deployed",
                service=name,
                revision=revision,
                deployment=deployment["id"],
                services=services,
                source=source,
            )
        )
        self.services[name] = Deployed(name, revision, services, is_new=True)

    async def revive(self) -> None:
        """Start again what was deployed on this data directory before: the latest revisions, and those still in use.

        The earlier playground left its invocations with Restate, each pinned to a deployment, and its sources on
        disk. Its addresses are gone. So each revision gets a new address, and its deployment is moved there.
        """
        folders = sorted(self._directory.glob("*-[0-9][0-9][0-9][0-9][0-9]"))
        if not folders:
            return
        known = await self._admin.deployments()
        in_use = {row.get("pinned_deployment_id") for row in await self._admin.unfinished()}
        ids = {folder: _text(folder / DEPLOYMENT) for folder in folders}
        unclaimed = {address: deployment for deployment, address in known.items() if deployment not in ids.values()}
        for folder in folders:
            ids[folder] = ids[folder] or unclaimed.pop(_text(folder / ADDRESS), "")
        names = {folder: folder.name[: -len("-00001")] for folder in folders}
        latest = {names[folder]: folder for folder in folders if ids[folder] in known}
        for folder, name in names.items():
            self._counts[name] = int(folder.name[-5:])
            if ids[folder] in known and (ids[folder] in in_use or latest[name] is folder):
                await self._revive(folder, name, ids[folder])

    async def _revive(self, folder: Path, name: str, deployment: str) -> None:
        path = folder / f"{name}.py"
        try:
            started = await self._backend.start_revision(name, folder.name, path)
        except DeployError:
            return  # it does not load on this machine any more; deploying it again says why
        source = _text(path)
        moved = await self._admin.move(deployment, started.address, headers=started.headers)
        self._deployed(name, started, moved, source)
        self._digests[name] = _digest(source)

    def _check_names(self, name: str, started: Started) -> None:
        taken = {offered["name"]: s.name for s in self.services.values() if s.name != name for offered in s.services}
        for offered in started.services:
            if owner := taken.get(offered["name"]):
                raise DeployError(
                    f"The service {name!r} was not deployed: {owner!r} already has a {offered['name']}.",
                    "Restate finds a service by its name, so the new one would silently replace the old one.",
                    f"Rename it, or change {owner!r} instead: %%service {owner}",
                )

    async def _check_handlers(self, name: str, started: Started) -> None:
        """Refuse to remove a handler that has unfinished invocations."""
        if name not in self.services:
            return
        now = {(s["name"], h["name"]) for s in started.services for h in s["handlers"]}
        before = {(s["name"], h["name"]) for s in self.services[name].services for h in s["handlers"]}
        missing = before - now
        if not missing:
            return
        unfinished = [
            row
            for row in await self._admin.unfinished()
            if (row["target_service_name"], row["target_handler_name"]) in missing
        ]
        if unfinished:
            row = unfinished[0]
            handler = f"{row['target_service_name']}/{row['target_handler_name']}"
            raise DeployError(
                f"The service {name!r} was not deployed: its source no longer has {handler}.",
                f"It has {len(unfinished)} unfinished invocation(s), first {row['id']} ({row['status']}). Those that"
                " have begun would finish on the old revision, but those that are waiting would find no handler.",
                "Keep the handler until they are done, or cancel them, or: pg.deploy(..., breaking=True)",
            )

    async def _register(self, name: str, started: Started, breaking: bool) -> dict[str, Any]:
        try:
            return await self._admin.register(started.address, headers=started.headers, breaking=breaking)
        except RequestError as error:
            raise DeployError(
                f"The service {name!r} was not deployed: Restate did not accept it at {started.address}.",
                error.why,
                "If the change is meant to break callers: pg.deploy(..., breaking=True), or %%service --breaking",
            ) from error


def _digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _with_schemas(started: list[dict[str, Any]], registered: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the pod offers, together with what Restate knows about the input of each handler."""
    inputs = {(service["name"], handler["name"]): handler for service in registered for handler in service["handlers"]}
    services = []
    for service in started:
        handlers = []
        for handler in service["handlers"]:
            known = inputs.get((service["name"], handler["name"]), {})
            handlers.append(
                {**handler, "input": known.get("input_description", ""), "schema": known.get("input_json_schema")}
            )
        services.append({**service, "handlers": handlers})
    return services
