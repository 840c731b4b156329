"""What `doctor --cluster` looks at besides: the machine as somebody needs it who makes a cluster with kind.

The limits of inotify are those that kind recommends (https://kind.sigs.k8s.io/docs/user/known-issues/). Memory and
disk are estimates with room to spare: what the node, Knative, Restate and a few pods ask for, and their images.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from playground.backends.knative import config
from playground.backends.knative.kind import CommandFailed, find_engine, kind_version
from playground.backends.knative.versions import KIND_VERSION
from playground.core.check import Check
from playground.core.proxies import exempt_hosts
from playground.errors import SetupError

NEEDED_MEMORY = 4_000_000_000
NEEDED_DISK = 10_000_000_000
INOTIFY = {"max_user_watches": 524_288, "max_user_instances": 512}
"""What kind recommends; below it, pods die with "too many open files"."""
_INOTIFY_DIRECTORY = Path("/proc/sys/fs/inotify")


def check_engine() -> Check:
    """Docker or Podman runs, and we may use it."""
    try:
        engine = find_engine()
        return Check("container engine", True, f"{engine.name} {engine.version()}")
    except SetupError as error:
        return Check("container engine", False, error.why, error.fix)


def check_kind() -> Check:
    """kind is there, and not older than the node image."""
    wanted, version = ".".join(map(str, KIND_VERSION)), kind_version()
    fix = f"Install v{wanted} or newer: https://kind.sigs.k8s.io/docs/user/quick-start/#installation"
    if version is None:
        return Check("kind", False, "none on PATH that runs", fix)
    found = ".".join(map(str, version))
    if version < KIND_VERSION:
        return Check("kind", None, f"{found}; the node image is made for {wanted} and newer", fix)
    return Check("kind", True, found)


def check_kubectl() -> Check:
    """kubectl, which the playground does not need and a learner likes to have."""
    if shutil.which("kubectl") is None:
        fix = "Nothing to do. To look at the cluster by hand: https://kubernetes.io/docs/tasks/tools/"
        return Check("kubectl", None, "none on PATH; the playground does without", fix)
    done = subprocess.run(["kubectl", "version", "--client"], capture_output=True, text=True, timeout=20)
    version = re.search(r"v\d+\.\d+\.\d+", done.stdout)
    return Check("kubectl", True, version[0] if version else "of an unknown version")


def check_inotify() -> Check:
    """The kernel lets enough files be watched: every pod of the node counts against one user's limit."""
    if not sys.platform.startswith("linux"):
        return Check("inotify", True, "the engine's own machine, which has what it needs")
    limits = {name: int((_INOTIFY_DIRECTORY / name).read_text()) for name in INOTIFY}
    low = {name: limits[name] for name, needed in INOTIFY.items() if limits[name] < needed}
    if not low:
        return Check("inotify", True, ", ".join(f"{name} {limit}" for name, limit in limits.items()))
    found = ", ".join(f"fs.inotify.{name} is {limit}, {INOTIFY[name]} wanted" for name, limit in low.items())
    fix = "sudo sysctl " + " ".join(f"fs.inotify.{name}={INOTIFY[name]}" for name in low)
    return Check("inotify", None, found, f"{fix}   # until the next start; for good: /etc/sysctl.d/")


def check_cluster_memory() -> Check:
    """The engine has memory for a node with all that runs in it."""
    name = "memory for a cluster"
    form = "{{.MemTotal}}"
    try:
        engine = find_engine()
        total = int(engine.run("info", "--format", form if engine.name == "docker" else "{{.Host.MemTotal}}"))
    except (SetupError, CommandFailed, ValueError):
        return Check(name, None, "unknown: no engine tells", "See the container engine's line above.")
    found = f"{total / 1e9:.1f} GB"
    if total >= NEEDED_MEMORY:
        return Check(name, True, found)
    fix = "Give the engine more (Docker Desktop: Settings, Resources; podman machine set --memory)."
    return Check(name, False, f"{found}, {NEEDED_MEMORY / 1e9:.0f} GB needed", fix)


def check_cluster_disk() -> Check:
    """There is room where the engine keeps its images."""
    name = "disk for a cluster"
    try:
        engine = find_engine()
        form = "{{.DockerRootDir}}" if engine.name == "docker" else "{{.Store.GraphRoot}}"
        directory = Path(engine.run("info", "--format", form).strip())
        free = shutil.disk_usage(directory).free
    except (SetupError, CommandFailed):
        return Check(name, None, "unknown: no engine tells", "See the container engine's line above.")
    except OSError:
        # The engine runs in a machine of its own (macOS), or keeps its files from us.
        fix = f"See that {NEEDED_DISK / 1e9:.0f} GB are free there: {engine.name} system df"
        return Check(name, None, f"{directory} cannot be looked at", fix)
    found = f"{free / 1e9:.1f} GB free in {directory}"
    if free >= NEEDED_DISK:
        return Check(name, True, found)
    fix = f"{engine.name} system prune    # removes what no container uses; look first: {engine.name} system df"
    return Check(name, False, f"{found}, {NEEDED_DISK / 1e9:.0f} GB needed", fix)


def check_cluster_proxy() -> Check:
    """A proxy is one that the node can reach, too, and leaves the cluster's own names alone."""
    name = "proxy for a cluster"
    used = {scheme: url for scheme, url in urllib.request.getproxies().items() if scheme in ("http", "https", "all")}
    if not used:
        return Check(name, True, "none set")
    hosts = {urlsplit(url if "//" in url else f"http://{url}").hostname for url in used.values()}
    if hosts & {"127.0.0.1", "localhost", "::1"}:
        found = "it is on this machine's loopback, where the node cannot reach it"
        return Check(name, False, found, "Set HTTP_PROXY and HTTPS_PROXY to an address that containers reach, too.")
    exempt = exempt_hosts()
    wanted = [one for one in ("127.0.0.1", "localhost", ".svc", ".cluster.local") if one not in exempt]
    if wanted:
        fix = f'export NO_PROXY="{",".join(wanted)}${{NO_PROXY:+,$NO_PROXY}}"'
        return Check(name, None, f"NO_PROXY lacks {', '.join(wanted)}", fix)
    return Check(name, True, "the cluster is exempt")


def check_cluster() -> Check:
    """Which cluster the playground has."""
    file = config.path()
    if not file.is_file():
        return Check("cluster", None, "none yet", "python -m playground cluster create")
    where = config.load()
    return Check("cluster", True, f"context {where.context}, namespace {where.namespace} (more: cluster status)")


CLUSTER_CHECKS: tuple[Callable[[], Check], ...] = (
    check_engine,
    check_kind,
    check_kubectl,
    check_inotify,
    check_cluster_memory,
    check_cluster_disk,
    check_cluster_proxy,
    check_cluster,
)
