"""`python -m playground.pod SOURCE`: one pod, on either backend."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from playground.pod.emit import claim


def main(arguments: list[str]) -> int:
    """Run the pod and return its exit code.

    Args:
        arguments: the service's Python file.
    """
    if len(arguments) != 1:
        print("usage: python -m playground.pod SOURCE", file=sys.stderr)
        return 2

    claim()

    def serve() -> int:
        from playground.pod.serve import run

        return run(Path(arguments[0]))

    # Kubernetes gives a container its pod's name as host name.
    os.environ.setdefault("POD_NAME", socket.gethostname())
    if os.getpid() != 1:
        return serve()
    from playground.pod.init import supervise

    return supervise(serve)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
