"""`python -m playground.pod SOURCE`: one pod, for both backends.

The address comes from the environment: `POD_FD`, an inherited listening socket (embedded backend),
or `PORT`, as Knative Serving sets it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from playground.pod.serve import run


def main() -> int:
    """Run the pod; see the module."""
    if len(sys.argv) != 2:
        print("usage: python -m playground.pod SOURCE", file=sys.stderr)
        return 2
    # Inside a container the pod's own network is the boundary, so every interface is right there.
    bind = f"fd://{os.environ['POD_FD']}" if "POD_FD" in os.environ else f"0.0.0.0:{os.environ.get('PORT', '9080')}"
    return run(Path(sys.argv[1]), bind)


if __name__ == "__main__":
    sys.exit(main())
