"""`python -m playground.pod SOURCE`: one pod, on either backend."""

from __future__ import annotations

import sys
from pathlib import Path

from playground.pod.serve import run


def main(arguments: list[str]) -> int:
    """Run the pod and return its exit code.

    Args:
        arguments: the service's Python file.
    """
    if len(arguments) != 1:
        print("usage: python -m playground.pod SOURCE", file=sys.stderr)
        return 2
    return run(Path(arguments[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
