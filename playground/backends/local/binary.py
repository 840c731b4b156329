"""Find the restate-server, or fetch it.

There are four places to look, in this order. The first that has the pinned version wins:

1. The file named by PLAYGROUND_RESTATE_SERVER. Whoever sets that means it, so anything wrong with it is an error.
2. PATH. Another version, or a script around the server, is skipped, with a note.
3. An earlier download in the user's cache directory.
4. The npm package for this platform. It is verified against a checksum pinned here, and moved into the cache with a
   single rename, so that two processes may do this at once, and an interrupted one leaves nothing behind.

A file's version is what `restate-server --version` says. That takes 15 ms, so nothing is cached.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from playground.backends.local.npm import FetchFailed, Package, Progress, fetch_file, progress_bar
from playground.core.paths import cache_dir
from playground.errors import ServerNotFound, ServerVersion
from playground.restate.version import SERVER_VERSION

ENVIRONMENT = "PLAYGROUND_RESTATE_SERVER"
"""The environment variable that names a restate-server to use."""

_MEMBER = "package/bin/restate-server"
# A new version needs new sizes and checksums: `npm pack --json @restatedev/restate-server-<platform>@<version>`.
_PACKAGES = {
    ("linux", "x64"): (
        80_974_439,
        "sha512-URotJ1AIqaSCDkRMl4OrQfTLH+NYuOZb3ZsP7wxxiuAB6pncgPhTUYSvegTF5PTrAShnNyHNpju9kjf2O3QxoA==",
    ),
    ("linux", "arm64"): (
        78_312_994,
        "sha512-aV7YxWvPhp88MjQtObGDhDCTwCBa68wwZOAMmJqDreO0auHYuSfOqabEx4I90coZsx3zShNusppbTPKprOa+dw==",
    ),
    ("darwin", "arm64"): (
        75_394_577,
        "sha512-pHrZMaaeBJxXTgI19WG/aJvxuUDQ2nhSDEEJVseTZQiTEdJ7hboPlhvYacgXIE2iMnLMmWkN5XIlXqosHK8Byg==",
    ),
    ("darwin", "x64"): (
        79_353_029,
        "sha512-ZRS1kk3S4pzIiup2IRRQ3eHoKJSZ43FG4rDe7UbGFWwZ/Yz0xSDa4/3/kiuwaMHXWs/CsKtJe0shx8JCR0DO1g==",
    ),
}
_ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class ServerBinary:
    """A restate-server of the pinned version.

    Attributes:
        path: the executable.
        version: what it says about itself.
        source: where it was found, in words.
        notes: what was skipped on the way, one sentence each.
    """

    path: Path
    version: str
    source: str
    notes: tuple[str, ...] = ()


def find_server(*, fetch: bool = True, progress: Progress | None = None) -> ServerBinary:
    """Find the restate-server of the pinned version, or download it.

    Args:
        fetch: whether it may be downloaded.
        progress: called with the progress of a download; by default, a bar is drawn on stderr.

    Raises:
        ServerNotFound: there is none, and it could not be fetched; says what was tried.
        ServerVersion: PLAYGROUND_RESTATE_SERVER names one of another version.
    """
    if named := os.environ.get(ENVIRONMENT):
        return _from_environment(Path(named).expanduser())
    notes: list[str] = []
    if on_path := shutil.which("restate-server"):
        if _is_script(Path(on_path)):
            # npm's umbrella package puts one on PATH. The server would be its child, and survive when it is killed.
            notes.append(f"{on_path} on PATH is a script that starts a server, not the server.")
        elif server := _pinned(Path(on_path), "PATH", notes):
            return server
    else:
        notes.append("There is no restate-server on PATH.")
    cached = cache_dir() / f"restate-server-{SERVER_VERSION}" / "restate-server"
    if cached.exists():
        if server := _pinned(cached, "an earlier download", notes):
            return server
    else:
        notes.append(f"There is no earlier download in {cached.parent}.")
    if not fetch:
        fix = "Fetch it now: python -m playground server --fetch"
        raise _not_found("None was fetched, as asked.", notes, fix, _by_hand(server_package()))
    return _fetch(cached, notes, progress)


def server_package() -> Package:
    """The npm package that holds the server for this machine.

    Raises:
        ServerNotFound: Restate does not publish one for this platform.
    """
    system, machine = sys.platform, platform.machine().lower()
    key = (system, _ARCHITECTURES.get(machine, machine))
    if key not in _PACKAGES:
        raise ServerNotFound(
            f"There is no restate-server package for {system} on {machine}.",
            "Restate publishes it for Linux and macOS, each on x86-64 and arm64.",
            f"On Windows use WSL 2. Elsewhere build restate-server {SERVER_VERSION} and set {ENVIRONMENT} to the file.",
        )
    size, integrity = _PACKAGES[key]
    return Package(f"@restatedev/restate-server-{key[0]}-{key[1]}", SERVER_VERSION, size, integrity)


class _Unusable(Exception):
    """A file cannot be run as a server. Says why, and what helps."""

    def __init__(self, why: str, fix: str = "") -> None:
        super().__init__(why)
        self.fix = fix


def _version_of(path: Path) -> str:
    if not path.exists():
        raise _Unusable(f"{path} is not there.")
    if not path.is_file():
        raise _Unusable(f"{path} is not a file.")
    if not os.access(path, os.X_OK):
        raise _Unusable(f"{path} is not executable.", f"chmod +x {path}")
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, errors="replace", timeout=20)
    except OSError as error:
        raise _Unusable(f"{path} does not run on this machine ({error.strerror}).") from error
    except subprocess.TimeoutExpired as error:
        raise _Unusable(f"{path} --version gave no answer for 20 s.") from error
    if not (match := re.match(r"restate-server (\d\S*)", done.stdout)):
        output = (done.stdout or done.stderr).strip().splitlines()
        says = output[0][:80] if output else "nothing"
        raise _Unusable(f"{path} --version says {says!r}: that is not a restate-server.")
    return match[1]


def _from_environment(path: Path) -> ServerBinary:
    otherwise = f"Or `unset {ENVIRONMENT}`, to have {SERVER_VERSION} found or fetched."
    try:
        version = _version_of(path)
    except _Unusable as error:
        fix = error.fix or f"Set {ENVIRONMENT} to the path of restate-server {SERVER_VERSION}."
        raise ServerNotFound(
            f"{ENVIRONMENT} names no usable restate-server.", str(error), f"{fix} {otherwise}"
        ) from None
    if version != SERVER_VERSION:
        raise ServerVersion(
            f"{ENVIRONMENT} names restate-server {version}, not {SERVER_VERSION}.",
            f"{path} is of another version; journals and messages differ between versions, and so would the lessons.",
            f"Set {ENVIRONMENT} to the path of restate-server {SERVER_VERSION}. {otherwise}",
        )
    return ServerBinary(path, version, ENVIRONMENT)


def _pinned(path: Path, source: str, notes: list[str]) -> ServerBinary | None:
    try:
        version = _version_of(path)
    except _Unusable as error:
        notes.append(str(error))
        return None
    if version != SERVER_VERSION:
        notes.append(f"{path} is version {version}.")
        return None
    # Worth a note is what was skipped, not where nothing was.
    return ServerBinary(path, version, source, tuple(note for note in notes if not note.startswith("There is no ")))


def _is_script(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _fetch(target: Path, notes: list[str], progress: Progress | None) -> ServerBinary:
    package = server_package()
    cache = cache_dir()
    title = f"restate-server {SERVER_VERSION} from the npm package {package.name}, once, into {cache}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # Work inside the cache: a rename is atomic only within one file system.
        with (
            tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache, ignore_cleanup_errors=True) as work,
            nullcontext(progress) if progress else progress_bar(title) as report,
        ):
            unpacked = fetch_file(package, _MEMBER, Path(work), report)
            target.parent.mkdir(exist_ok=True)
            os.replace(unpacked, target)
    except FetchFailed as error:
        raise _not_found(
            str(error),
            [*notes, f"npm could not fetch {package.spec}."],
            "Check the network, then: python -m playground server --fetch",
            "Without any npm: install Node.js, or run `make lab`, which installs one into .venv.",
            _by_hand(package),
        ) from None
    except OSError as error:
        raise _not_found(
            f"It could not be written to {cache}: {error.strerror or error}.",
            notes,
            f"Make room or give yourself the right to write there, or set XDG_CACHE_HOME to a directory you can write "
            f"to, or set {ENVIRONMENT} to the path of a restate-server {SERVER_VERSION}.",
        ) from error
    if server := _pinned(target, f"the npm package {package.name}", notes):
        return server
    raise _not_found(
        "The downloaded one does not work here.",
        notes,
        f"It needs a Linux with glibc, or macOS, and a directory whose files may be executed: set XDG_CACHE_HOME to "
        f"another directory, or {ENVIRONMENT} to the path of a restate-server {SERVER_VERSION} that runs here.",
    )


def _by_hand(package: Package) -> str:
    return (
        f"Without a network: on a machine that has one, run `npm pack {package.spec}`, carry the file over, "
        f"`tar xzf` it, and set {ENVIRONMENT} to the path of its {_MEMBER}."
    )


def _not_found(why: str, tried: list[str], *fixes: str) -> ServerNotFound:
    return ServerNotFound(
        f"There is no restate-server {SERVER_VERSION} on this machine.",
        "\n  ".join([why, "Tried, in this order:", *(f"- {line}" for line in tried)]),
        "\n  ".join(fixes),
    )
