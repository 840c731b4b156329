"""`python -m benchmarks [NAME …]`: print the README's figures as Markdown, with the machine they are of.

`python -m benchmarks soak` takes arguments of its own, and is not among those that run by default.
"""

from __future__ import annotations

import importlib
import sys
import time

from benchmarks import soak
from benchmarks.measure import machine

BENCHMARKS = {
    "playground": "benchmarks.playground_figures",
    "atlas": "benchmarks.atlas",
    "lens": "benchmarks.lens",
    "memory": "benchmarks.memory",
}


def main() -> None:
    """Run the benchmarks that are named, or all but the soak."""
    if sys.argv[1:2] == ["soak"]:
        print(f"Measured on {time.strftime('%Y-%m-%d')}: {machine()}")
        soak.main(sys.argv[2:])
        return
    names = sys.argv[1:] or list(BENCHMARKS)
    print(f"Measured on {time.strftime('%Y-%m-%d')}: {machine()}")
    for name in names:
        print(f"\n### {name}\n\n{importlib.import_module(BENCHMARKS[name]).run()}", flush=True)


if __name__ == "__main__":
    main()
