"""Knative's release files: brought here once, verified, and set for teaching before they are applied.

A file is used only if its checksum is the pinned one, wherever it comes from: a directory that was carried
over (`--manifests`), the cache, or the release page. Settings are changed in the objects before they are applied, not
patched in afterwards, so there is no moment in which Knative runs with others, and to apply them again changes
nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import yaml

from playground.backends.knative.manifests import NODE_PORTS
from playground.backends.knative.objects import Object
from playground.backends.knative.versions import KNATIVE_VERSION, Manifest
from playground.core.paths import cache_dir
from playground.errors import ClusterError

TEACHING: dict[tuple[str, str], dict[str, str]] = {
    ("knative-serving", "config-autoscaler"): {
        "enable-scale-to-zero": "true",
        # The shortest that Knative allows (6 s): a learner sees a pod go while still looking.
        "stable-window": "6s",
        "scale-to-zero-grace-period": "6s",
        # So that a deploy may start without a pod, to show the first one come with the first request.
        "allow-zero-initial-scale": "true",
    },
    ("knative-serving", "config-defaults"): {
        # A step may take as long as its stream: `timeoutSeconds` of a service may be up to an hour.
        "max-revision-timeout-seconds": "3600",
    },
    ("knative-serving", "config-deployment"): {
        # Images that were loaded into the nodes are in no registry that could be asked for a digest.
        "registries-skipping-tag-resolving": "kind.local,ko.local,dev.local",
        # A service that cannot start is told within a minute, not within ten.
        "progress-deadline": "45s",
    },
    ("knative-serving", "config-network"): {"ingress-class": "kourier.ingress.networking.knative.dev"},
}
"""What is changed in Knative's ConfigMaps, by namespace and name."""

CPU_REQUEST = "10m"
"""What each of Knative's own pods asks for. As released they ask for two cores together; a laptop may have no more."""


def collect(
    manifests: Iterable[Manifest], directory: Path | None, progress: Callable[[str], None]
) -> dict[Manifest, Path]:
    """Bring the files here, and verify them.

    Args:
        manifests: which.
        directory: has them all, under their names; nothing is downloaded. None uses the cache, then the network.
        progress: told what is being downloaded.

    Raises:
        ClusterError: one cannot be had, or is not the pinned one.
    """
    if directory is not None:
        return {manifest: _given(manifest, directory) for manifest in manifests}
    cache = cache_dir() / f"knative-{KNATIVE_VERSION}"
    files = {}
    for manifest in manifests:
        file = cache / manifest.name
        if not file.is_file() or _sha256(file.read_bytes()) != manifest.sha256:
            progress(f"{manifest.name} ({manifest.size / 1000:.0f} kB)")
            _download(manifest, file)
        files[manifest] = file
    return files


def objects(files: Iterable[Path], *, node_ports: bool) -> list[Object]:
    """The objects in release files, set for teaching, in the order in which they are to be applied.

    Args:
        files: the files, verified.
        node_ports: whether Kourier's port is open on the nodes (kind).
    """
    found: dict[tuple[str, str, str], Object] = {}
    for file in files:
        for read in yaml.load_all(file.read_bytes(), Loader=_LOADER):
            if read:  # a document may hold nothing but the licence
                meta = read["metadata"]
                # Serving's two files both have the definitions of its kinds; the first to come is enough.
                found.setdefault((read["kind"], meta.get("namespace", ""), meta["name"]), read)
    for one in found.values():
        _set_for_teaching(one, node_ports)
    return list(found.values())


def _set_for_teaching(one: Object, node_ports: bool) -> None:
    meta = one["metadata"]
    place = (meta.get("namespace", ""), meta["name"])
    if one["kind"] == "ConfigMap" and place in TEACHING:
        one.setdefault("data", {}).update(TEACHING[place])
    elif one["kind"] in ("Deployment", "StatefulSet"):
        for container in one["spec"]["template"]["spec"]["containers"]:
            requests: dict[str, Any] = container.setdefault("resources", {}).setdefault("requests", {})
            requests["cpu"] = CPU_REQUEST
    elif one["kind"] == "Service" and place == ("kourier-system", "kourier") and node_ports:
        # As released it asks a cloud for a load balancer, which kind has not.
        one["spec"]["type"] = "NodePort"
        for port in one["spec"]["ports"]:
            if port["name"] == "http2":
                port["nodePort"] = NODE_PORTS["kourier"]


def _given(manifest: Manifest, directory: Path) -> Path:
    file = directory / manifest.name
    if not file.is_file():
        raise ClusterError(
            f"{manifest.name} is not in {directory}.",
            "With --manifests nothing is downloaded.",
            f"On a machine with a network: curl -fLO {manifest.url}",
        )
    _verify(manifest, file.read_bytes(), str(file))
    return file


def _download(manifest: Manifest, file: Path) -> None:
    fix = (
        f"Look at the network and the proxy, then the same command again. Without a network: curl -fLO {manifest.url} "
        "elsewhere, carry the files over, and name their directory with --manifests."
    )
    try:
        answer = httpx.get(manifest.url, follow_redirects=True, timeout=60).raise_for_status()
        _verify(manifest, answer.content, manifest.url)
        file.parent.mkdir(parents=True, exist_ok=True)
        whole = file.with_suffix(f".{os.getpid()}")
        whole.write_bytes(answer.content)
        whole.replace(file)
    except httpx.HTTPError as error:
        raise ClusterError(f"{manifest.url} cannot be downloaded.", f"{error or type(error).__name__}.", fix) from error
    except OSError as error:
        why = f"{error.strerror or error}."
        raise ClusterError(f"{file} cannot be written.", why, "Set XDG_CACHE_HOME to another directory.") from error


def _verify(manifest: Manifest, content: bytes, source: str) -> None:
    if (found := _sha256(content)) != manifest.sha256:
        raise ClusterError(
            f"{manifest.name} is not the file of Knative {KNATIVE_VERSION}.",
            f"{source} has the checksum {found[:12]}…, not the pinned {manifest.sha256[:12]}…: another version, "
            "damaged, or changed on its way.",
            f"curl -fLO {manifest.url}",
        )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is
