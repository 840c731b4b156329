"""kind and the container engine under it: a node is a container, which these commands make, fill and remove.

Whether a node is whole cannot be seen from outside: kind makes its container first and fills it for a minute.
But kind writes the kubeconfig last. So a node whose kubeconfig is there is whole; one without was
interrupted, and is made anew. The kubeconfig is a file of our own: `~/.kube/config` and its current
context are never read and never written.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from playground.backends.knative.config import kind_kubeconfig
from playground.backends.knative.versions import KIND_VERSION
from playground.core.paths import CHECKOUT
from playground.errors import ClusterError, SetupError

CONFIG = CHECKOUT / "kind-config.yaml"
PROVIDER = "KIND_EXPERIMENTAL_PROVIDER"
"""kind's own variable that chooses the engine."""
ENGINES = ("docker", "podman")
QUICK = 60.0
"""Seconds for a command that only asks something."""


class CommandFailed(Exception):
    """A command ended with another status than 0, or did not end. The text is what it said last."""


@dataclass(frozen=True, slots=True)
class Engine:
    """The container engine.

    Attributes:
        name: of its command: docker or podman.
    """

    name: str

    def run(self, *arguments: str, timeout: float = QUICK) -> str:
        """Run one of its commands; return what it printed.

        Raises:
            CommandFailed: it says no.
        """
        return run_command([self.name, *arguments], timeout=timeout)

    def version(self) -> str:
        """The version of what runs the containers, not of the command.

        Raises:
            CommandFailed: it does not run.
        """
        form = "{{.ServerVersion}}" if self.name == "docker" else "{{.Version.Version}}"
        return self.run("info", "--format", form).strip()


def find_engine() -> Engine:
    """The engine that kind is told to use, or the first that runs.

    Raises:
        SetupError: none runs.
    """
    wanted = os.environ.get(PROVIDER)
    if wanted and wanted not in ENGINES:
        raise SetupError(
            f"{PROVIDER}={wanted} is not supported here.", "docker and podman are.", f"export {PROVIDER}=docker"
        )
    reasons = []
    for name in [wanted] if wanted else ENGINES:
        if shutil.which(name) is None:
            reasons.append(f"There is no {name} on PATH.")
            continue
        try:
            Engine(name).version()
            return Engine(name)
        except CommandFailed as error:
            reasons.append(f"{name} does not run: {error}")
    raise SetupError(
        "There is no container engine.",
        " ".join(reasons),
        "Install and start Docker or Podman; with Docker on Linux, see that you may use it: docker info",
    )


class Kind:
    """The cluster of this checkout's kind-config.yaml.

    Args:
        engine: what runs its node.
        config: the file.
    """

    def __init__(self, engine: Engine, config: Path = CONFIG) -> None:
        self.engine, self.config = engine, config
        told = read_config(config)
        self.name: str = told["name"]
        self.node_image: str = told["nodes"][0]["image"]

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of this cluster, and of nothing else."""
        return kind_kubeconfig()

    @property
    def context(self) -> str:
        """The context in it."""
        return f"kind-{self.name}"

    @property
    def node(self) -> str:
        """The node's name, which is the container's."""
        return f"{self.name}-control-plane"

    def containers(self) -> list[str]:
        """The containers of the cluster, running or not, whole or not."""
        label = f"label=io.x-k8s.kind.cluster={self.name}"
        return self.engine.run("ps", "--all", "--filter", label, "--format", "{{.Names}}").split()

    def is_whole(self) -> bool:
        """Whether the cluster is there, and kind had finished it."""
        return bool(self.containers()) and self.kubeconfig.is_file()

    def create(self, now: Callable[[str], None]) -> None:
        """Make the node.

        Args:
            now: told what kind is doing.

        Raises:
            ClusterError: kind could not.
        """
        self.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        self.kubeconfig.unlink(missing_ok=True)
        arguments = ["create", "cluster", "--config", str(self.config), "--kubeconfig", str(self.kubeconfig)]
        try:
            self._kind(arguments, now)
        except CommandFailed as error:
            raise _creation_failed(str(error), self) from None

    def start(self) -> None:
        """Start the node's container, if it was stopped, as after a restart of the machine."""
        for container in self.containers():
            try:
                self.engine.run("start", container)
            except CommandFailed as error:
                raise ClusterError(
                    f"The node {container} cannot be started.",
                    str(error),
                    "python -m playground cluster delete    # then create it again",
                ) from None

    def delete(self) -> bool:
        """Remove the cluster, whole or not, and its kubeconfig; False if there was none.

        Raises:
            ClusterError: the engine does not remove its containers.
        """
        there = self.containers()
        if there and shutil.which("kind"):
            try:
                # Without --kubeconfig it would tidy up in the user's own.
                self._kind(["delete", "cluster", "--name", self.name, "--kubeconfig", str(self.kubeconfig)], _ignore)
            except CommandFailed:
                pass  # what is left is removed below
        if left := self.containers():
            try:
                self.engine.run("rm", "--force", "--volumes", *left, timeout=120)
            except CommandFailed as error:
                fix = f"{self.engine.name} rm --force --volumes {' '.join(left)}"
                raise ClusterError(f"The node {', '.join(left)} cannot be removed.", str(error), fix) from None
        self.kubeconfig.unlink(missing_ok=True)
        return bool(there)

    def load(self, archive: Path) -> None:
        """Bring the images of an archive (`docker save`) into the node.

        Raises:
            ClusterError: kind could not.
        """
        try:
            self._kind(["load", "image-archive", str(archive), "--name", self.name], _ignore)
        except CommandFailed as error:
            raise ClusterError(
                f"The images in {archive} could not be loaded into the node.",
                str(error),
                "See that it was made by `docker save`, for this machine's architecture, and that the disk has room.",
            ) from None

    def ports(self) -> dict[int, int]:
        """The ports of loopback by those of the node that they are mapped to; none if the node does not run."""
        told = json.loads(self.engine.run("inspect", "--format", "{{json .NetworkSettings.Ports}}", self.node))
        mapped = {}
        for port, places in (told or {}).items():
            number, _, protocol = port.partition("/")
            if protocol == "tcp" and places:
                mapped[int(number)] = int(places[0]["HostPort"])
        return mapped

    def _kind(self, arguments: Sequence[str], now: Callable[[str], None]) -> None:
        run_command(["kind", *arguments], environment={PROVIDER: self.engine.name}, now=now, timeout=None)


def kind_version() -> tuple[int, ...] | None:
    """The version of kind; None if there is none that runs."""
    if shutil.which("kind") is None:
        return None
    try:
        found = re.search(r"v(\d+)\.(\d+)\.(\d+)", run_command(["kind", "version"], timeout=QUICK))
    except CommandFailed:
        return None
    return tuple(int(part) for part in found.groups()) if found else None


def require_kind() -> str:
    """See that there is a kind; returns a note if it is older than the node image.

    Raises:
        SetupError: there is none.
    """
    wanted = ".".join(map(str, KIND_VERSION))
    version = kind_version()
    if version is None:
        raise SetupError(
            "There is no kind on PATH.",
            "It makes the cluster's node.",
            f"Install v{wanted} or newer: https://kind.sigs.k8s.io/docs/user/quick-start/#installation "
            "(macOS: brew install kind)",
        )
    if version < KIND_VERSION:
        return f"kind {'.'.join(map(str, version))} is older than the {wanted} that the node image is made for."
    return ""


def read_config(config: Path) -> dict[str, Any]:
    """What kind-config.yaml says.

    Raises:
        ClusterError: it is not there, or lacks what is needed.
    """
    fix = "git checkout kind-config.yaml"
    try:
        told: dict[str, Any] = yaml.safe_load(config.read_text("utf-8"))
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", told["name"]) or not told["nodes"][0]["image"]:
            raise KeyError("name")
        return told
    except OSError as error:
        raise ClusterError(f"{config} cannot be read.", f"{error.strerror}.", fix) from error
    except (yaml.YAMLError, KeyError, IndexError, TypeError) as error:
        why = f"It needs a name and a node with an image: {type(error).__name__}: {error}."
        raise ClusterError(f"{config} cannot be used.", why, fix) from error


def _creation_failed(said: str, kind: Kind) -> ClusterError:
    what = "kind could not make the cluster's node."
    again = "then: python -m playground cluster create"
    if "already allocated" in said or "address already in use" in said:
        return ClusterError(what, said, f"Choose another hostPort in {kind.config.name}, or none; {again}")
    if "failed to pull image" in said or "failed to resolve reference" in said:
        fix = (
            f"Look at the network and the proxy, {again}. Without a network: {kind.engine.name} load the image "
            f"{kind.node_image.partition('@')[0]} from an archive first (docs/cluster.md)."
        )
        return ClusterError(what, said, fix)
    return ClusterError(what, said, f"python -m playground doctor --cluster    # {again}")


def run_command(
    argv: Sequence[str],
    *,
    timeout: float | None,
    environment: dict[str, str] | None = None,
    now: Callable[[str], None] | None = None,
) -> str:
    """Run a command, told line by line to `now`; what it printed on stdout, or all of it if there is a `now`."""
    env = {**os.environ, **(environment or {})}
    try:
        if now is None:
            done = subprocess.run(
                argv,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
            )
            code, told, said = done.returncode, done.stdout, done.stderr or done.stdout
        else:
            lines: deque[str] = deque(maxlen=200)
            with subprocess.Popen(
                argv,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as process:
                assert process.stdout is not None
                try:
                    for line in process.stdout:
                        if line.strip():
                            lines.append(line.rstrip())
                            now(line.strip(" •✓\n"))
                except BaseException:
                    # A Ctrl-C: nothing of ours goes on in the background.
                    process.terminate()
                    process.wait(10)
                    raise
            code, told = process.returncode, "\n".join(lines)
            said = told
    except OSError as error:
        raise CommandFailed(f"{argv[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"{argv[0]} {argv[1]} did not end within {timeout:.0f} s.") from None
    if code != 0:
        last = [line for line in said.strip().splitlines() if line.strip()][-8:]
        raise CommandFailed("\n  ".join(last) or f"{argv[0]} {argv[1]} ended with status {code}.")
    return told


def _ignore(_line: str) -> None:
    return None
