"""`python -m playground doctor`: what this machine has, what it lacks, and what helps.

A check is a function that looks at one thing and returns a `Check`. It changes nothing, needs no network and raises
nothing. A check fails only if a lesson cannot run; anything that makes lessons slower, or may surprise, is a warning.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import resource
import shutil
import socket
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import psutil
from rich.table import Column, Table
from rich.text import Text

from playground.backends.local.binary import find_server, server_package
from playground.backends.local.leftovers import data_dirs, strays
from playground.backends.local.npm import npm_commands
from playground.core.check import Check
from playground.core.paths import CHECKOUT, cache_dir
from playground.core.proxies import LOOPBACK, not_exempt, proxies
from playground.errors import PlaygroundError

ROOT = CHECKOUT
"""The checkout: where requirements.txt and the notebooks are."""
IN_CHECKOUT = (ROOT / "requirements.txt").is_file()
"""Whether there is a checkout: the package may also be installed by pip, for somebody's own project."""

NEEDED_PYTHON = (3, 11)
NEEDED_MEMORY = 1_000_000_000
NEEDED_DISK = 500_000_000
NEEDED_FILES = 1024
_CGROUP = Path("/sys/fs/cgroup")


def run_checks(*, cluster: bool = False) -> list[Check]:
    """All checks, in the order in which a learner should fix what fails.

    Args:
        cluster: also check what is needed to make a Kubernetes cluster here.
    """
    checks = CHECKS
    if cluster:
        from playground.cli.cluster_checks import CLUSTER_CHECKS

        checks += CLUSTER_CHECKS
    return [_run(check) for check in checks]


def table(checks: list[Check]) -> Table:
    """The checks as a table for a terminal: a sign, the name, what was found, and what helps."""
    drawn = Table("", "check", Column("found", overflow="fold"), box=None, pad_edge=False)
    signs = {True: Text("ok", "green"), None: Text("note", "yellow"), False: Text("FAIL", "bold red")}
    for check in checks:
        found = Text(check.found)
        if check.fix:
            found.append(f"\nfix: {check.fix}", "bold")
        drawn.add_row(signs[check.ok], check.name, found)
    return drawn


def _run(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:
        name = check.__name__.removeprefix("check_")
        return Check(name, False, f"the check itself failed: {type(error).__name__}: {error}", "Please report this.")


def check_python() -> Check:
    """Python is 3.11 or newer."""
    found = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    if tuple(sys.version_info) < NEEDED_PYTHON:
        return Check("Python", False, found, "Install Python 3.11 or newer, then: rm -r .venv; make lab")
    return Check("Python", True, found)


def check_environment() -> Check:
    """The project's own virtual environment is in use."""
    if Path(sys.prefix).resolve() == (ROOT / ".venv").resolve():
        return Check("environment", True, "the project's .venv")
    if not IN_CHECKOUT:
        return Check("environment", True, sys.prefix)
    return Check("environment", None, sys.prefix, "make lab   # makes .venv and uses it: .venv/bin/python")


def check_packages() -> Check:
    """The packages are the locked ones; those that the code imports itself must be."""
    lock = ROOT / "requirements.txt"
    if not lock.is_file():
        return Check(
            "packages", None, "installed without the lock", "For the lessons, git clone the project, then: make lab"
        )
    # A pin with a marker may be meant for another platform.
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;]+)$", lock.read_text(), re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked_for = [*project["dependencies"], *project["optional-dependencies"]["lab"]]
    direct = {re.split(r"[^\w.-]", line)[0] for line in asked_for}
    wrong = {name: _installed(name) for name, version in locked.items() if _installed(name) != version}
    if not wrong:
        return Check("packages", True, f"{len(locked)} as locked")
    lines = [f"{name} {found or 'missing'}, not {locked[name]}" for name, found in wrong.items()]
    more = f" and {len(lines) - 4} more" if len(lines) > 4 else ""
    ok = False if direct & set(wrong) else None
    return Check("packages", ok, "; ".join(lines[:4]) + more, f"{sys.executable} -m pip install -r requirements.txt")


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_server() -> Check:
    """A restate-server of the pinned version is here, or can be fetched."""
    try:
        server = find_server(fetch=False)
    except PlaygroundError as error:
        # A wrong one is an error. If there is none, it only has to be downloaded.
        ok = None if not os.environ.get("PLAYGROUND_RESTATE_SERVER") and npm_commands() else False
        found = error.what if ok is None else f"{error.what} {error.why}"
        return Check("restate-server", ok, found, error.fix)
    notes = "".join(f" ({note})" for note in server.notes)
    return Check("restate-server", True, f"{server.version} from {server.source}: {server.path}{notes}")


def check_npm() -> Check:
    """There is an npm, in case the server still has to be fetched."""
    commands = npm_commands()
    if commands:
        return Check("npm", True, commands[0][-1])
    try:
        find_server(fetch=False)
        return Check("npm", True, "none, and none needed: the server is here")
    except PlaygroundError:
        pass
    try:
        package = server_package()
    except PlaygroundError as error:
        return Check("npm", False, error.what, error.fix)
    fix = f"{sys.executable} -m pip install -r requirements.txt   # brings an npm, to fetch {package.spec}"
    return Check("npm", False, "none on PATH, none in this environment", fix)


def check_loopback() -> Check:
    """Ports on 127.0.0.1 can be opened and reached."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
            for listening in (one, two):
                socket.create_connection(listening.getsockname(), timeout=2).close()
    except OSError as error:
        fix = "Allow programs to listen on and connect to 127.0.0.1 (firewall, sandbox, `ip link set lo up`)."
        return Check("loopback", False, f"127.0.0.1 cannot be used: {error}", fix)
    return Check("loopback", True, "ports on 127.0.0.1 can be opened and reached")


def check_proxy() -> Check:
    """Loopback is exempt from any proxy in the environment, because a proxy could not reach it."""
    used = proxies()
    if not used:
        return Check("proxy", True, "none set")
    names = ", ".join(used)
    hosts = not_exempt()
    if not hosts:
        return Check("proxy", True, f"{names} set; loopback is exempt")
    found = (
        f"{names} set, and {' and '.join(hosts)} not exempt. A playground exempts loopback for itself and everything it"
        " starts, but what you run in a terminal would ask the proxy for it"
    )
    return Check("proxy", None, found, f'export NO_PROXY="{",".join(LOOPBACK)}${{NO_PROXY:+,$NO_PROXY}}"')


def check_memory() -> Check:
    """There is enough memory for a server, pods and JupyterLab, also within a container's limit."""
    free = psutil.virtual_memory().available
    try:
        limit, used = (int((_CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        free = min(free, limit - used)
    except (OSError, ValueError):
        pass  # not in a container, or in one without a limit
    if free >= NEEDED_MEMORY:
        return Check("memory", True, f"{free / 1e9:.1f} GB free")
    found = f"{free / 1e9:.1f} GB free, {NEEDED_MEMORY / 1e9:.0f} GB needed"
    return Check(
        "memory", False, found, "Close other programs or notebooks' kernels, or give the container more memory."
    )


def check_disk() -> Check:
    """There is room on disk for data and the server."""
    temporary, cache = Path(tempfile.gettempdir()), cache_dir()
    while not cache.exists():
        cache = cache.parent
    for place, variable in ((temporary, "TMPDIR"), (cache, "XDG_CACHE_HOME")):
        fix = f"Free some space there, or: export {variable}=/a/directory/with/room"
        if (free := shutil.disk_usage(place).free) < NEEDED_DISK:
            return Check("disk", False, f"{free / 1e6:.0f} MB free in {place}, {NEEDED_DISK / 1e6:.0f} needed", fix)
        if not os.access(place, os.W_OK) or not place.is_dir():
            return Check("disk", None, f"{place} cannot be written", f"export {variable}=/a/directory/of/yours")
    return Check("disk", True, f"{shutil.disk_usage(temporary).free / 1e9:.1f} GB free in {temporary}")


def check_temporary() -> Check:
    """The temporary directory can be written to."""
    place = tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"x" * 4096)
    except OSError as error:
        return Check("temporary files", False, f"{place} cannot be written: {error.strerror}", "export TMPDIR=~/tmp")
    return Check("temporary files", True, place)


def check_files() -> Check:
    """A process may open enough files: each connection and each table of the server is one."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit >= NEEDED_FILES or limit == resource.RLIM_INFINITY:
        return Check("open files", True, "unlimited" if limit == resource.RLIM_INFINITY else str(limit))
    return Check("open files", False, f"at most {limit}, {NEEDED_FILES} needed", "ulimit -n 4096   # then start again")


def check_fork() -> Check:
    """Pods can be forked. If not, each is a new interpreter, which takes longer."""
    if hasattr(os, "fork") and sys.platform != "darwin":
        return Check("fork", True, "pods start by fork")
    return Check(
        "fork",
        None,
        "not safe here: a pod takes 0.3 s to start, not 0.05 s",
        "Nothing to do. On Linux, pods start by fork.",
    )


def check_strays() -> Check:
    """No process or directory of a dead playground is left over."""
    processes, directories = strays(), [directory for directory in data_dirs() if not directory.alive]
    if processes:
        names = ", ".join(f"{stray.name} (pid {stray.pid})" for stray in processes)
        return Check(
            "leftovers", None, f"of a dead playground: {names}", f"kill -9 {' '.join(str(s.pid) for s in processes)}"
        )
    if directories:
        size = sum(directory.size for directory in directories)
        found = f"{len(directories)} data directories of dead playgrounds, {size / 1e6:.1f} MB"
        return Check("leftovers", None, found, "python -m playground clean --keep-server")
    return Check("leftovers", True, "none")


def check_jupyter() -> Check:
    """JupyterLab is installed, and its Python kernel is this interpreter."""
    fix = f"{sys.executable} -m pip install -r requirements.txt"
    if importlib.util.find_spec("jupyterlab") is None:
        if not IN_CHECKOUT:
            extra = f'{sys.executable} -m pip install "durable-playground[lab]"    # only for notebooks'
            return Check("JupyterLab", None, "not installed", extra)
        return Check("JupyterLab", False, "not installed", fix)
    version = importlib.metadata.version("jupyterlab")
    if not (Path(sys.executable).parent / "jupyter-lab").is_file():
        return Check("JupyterLab", False, f"{version}, without the command jupyter-lab", f"{fix} --force-reinstall")
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        kernel = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return Check("JupyterLab", False, f"{version}, without a Python kernel", f"{fix} --force-reinstall")
    if kernel.argv[0] != sys.executable and not kernel.resource_dir.startswith(sys.prefix):
        found = f"{version}, but the kernel python3 is {kernel.argv[0]} (from {kernel.resource_dir})"
        return Check("JupyterLab", None, found, f"rm -r '{kernel.resource_dir}'   # it hides this environment's kernel")
    return Check("JupyterLab", True, version)


CHECKS: tuple[Callable[[], Check], ...] = (
    check_python,
    check_environment,
    check_packages,
    check_jupyter,
    check_server,
    check_npm,
    check_loopback,
    check_proxy,
    check_memory,
    check_disk,
    check_temporary,
    check_files,
    check_fork,
    check_strays,
)
