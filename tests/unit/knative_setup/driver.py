"""`python driver.py DIRECTORY ARGUMENT...`: the command line, with small release files in place of Knative's."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from playground import __main__ as command_line
from playground.backends.knative import create, versions
from playground.backends.knative.versions import Manifest


def manifest(file: Path) -> Manifest:
    """A release file with the checksum it has."""
    content = file.read_bytes()
    return Manifest(file.name, "test/test", hashlib.sha256(content).hexdigest(), len(content))


def main(directory: Path, arguments: list[str]) -> None:
    """Run the command line on the release files in a directory."""
    versions.SERVING = (manifest(directory / "serving.yaml"),)
    versions.KOURIER = (manifest(directory / "kourier.yaml"),)
    versions.EVENTING = ()
    create._answers = lambda made: None  # nobody listens at the ports that the fake engine maps
    sys.argv = ["playground", *arguments]
    command_line.main()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
