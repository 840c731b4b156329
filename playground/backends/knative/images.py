"""The pod image: built here, saved to an archive, loaded from it into the cluster's node.

An archive is the one way that works with docker and podman alike, and it is how images come to a room without a
network. kind's nodes do not see the engine's own images.
"""

from __future__ import annotations

import json
import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from playground.backends.knative.kind import CommandFailed, Engine, Kind, run_command
from playground.core.paths import CHECKOUT
from playground.errors import ClusterError

ROOT = CHECKOUT
DOCKERFILE = Path(__file__).parent / "image" / "Dockerfile"


def build(engine: Engine, image: str, now: Callable[[str], None]) -> str:
    """Build the pod image; returns its id, which changes with its content.

    Args:
        engine: what builds it.
        image: its name.
        now: told what is being done.

    Raises:
        ClusterError: it cannot be built.
    """
    argv = [engine.name, "build", "--tag", image, "--file", str(DOCKERFILE), str(ROOT)]
    # Attestations would make a list of images of it, and such a list is not always loaded whole.
    plain = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1", "BUILDKIT_PROGRESS": "plain"}
    try:
        run_command(argv, timeout=None, environment=plain, now=now)
        return engine.run("image", "inspect", "--format", "{{.Id}}", image).strip()
    except CommandFailed as error:
        raise ClusterError(
            f"The pod image {image} could not be built.",
            str(error),
            "Look at the network and the proxy, then the same command again. "
            "Without a network: cluster load ARCHIVE, of an image built elsewhere.",
        ) from None


def load(kind: Kind, image: str) -> None:
    """Bring an image of the engine into the node.

    Raises:
        ClusterError: it cannot be saved or loaded.
    """
    with tempfile.TemporaryDirectory(prefix="durable-playground-image-") as work:
        archive = Path(work) / "image.tar"
        try:
            kind.engine.run("save", "--output", str(archive), image, timeout=600)
        except CommandFailed as error:
            why = str(error)
            fix = f"{kind.engine.name} image ls    # and see that {tempfile.gettempdir()} has room"
            raise ClusterError(f"The image {image} could not be saved.", why, fix) from None
        kind.load(archive)


def archives(directory: Path) -> list[Path]:
    """The archives in a directory.

    Raises:
        ClusterError: there are none.
    """
    found = sorted(path for path in directory.glob("*.tar*") if path.is_file()) if directory.is_dir() else []
    if not found:
        raise ClusterError(
            f"There are no image archives in {directory}.",
            "They are the files *.tar that `docker save` makes.",
            "docs/cluster.md says how to make them on a machine with a network.",
        )
    return found


def names_in(archive: Path) -> list[str]:
    """The names of the images in an archive.

    Raises:
        ClusterError: it is no such archive.
    """
    try:
        with tarfile.open(archive) as tar:
            manifest = tar.extractfile("manifest.json")
            assert manifest is not None
            return [name for image in json.load(manifest) for name in image.get("RepoTags") or []]
    except (OSError, tarfile.TarError, KeyError, ValueError, AssertionError) as error:
        raise ClusterError(
            f"{archive} is no archive of images.",
            f"It has no manifest.json that can be read: {type(error).__name__}.",
            f"docker save --output {os.path.basename(archive)} IMAGE...",
        ) from error
