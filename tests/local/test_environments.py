"""The environments of real people: each runs one whole life of a playground in a process of its own."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import playground
from playground.backends.local.binary import find_server
from tests.local import smoke

pytestmark = pytest.mark.local

DEAD = "http://127.0.0.1:9"  # the discard port: nobody is there
NOBODY = 65534
ODD = "Müller & Söhne/das 実験 $HOME 'x' \"y\""
TRAP = "raise SystemExit(f'{__name__} is not meant: it only has the name of something')\n"
OURS = ("recording", "ledger", "pod", "errors", "session", "events", "keeper", "server", "views", "proxies")
"""Names of our own modules, which a learner's may have, too."""


@dataclass
class Place:
    """Where a playground is opened, and how.

    Attributes:
        home: an empty directory of this test.
        work: the working directory, somewhere in it.
        variables: of the environment, besides this process's.
        command: what runs the script.
        before: called in the process before it becomes Python.
    """

    home: Path
    work: Path
    variables: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=lambda: [sys.executable])
    before: Callable[[], object] | None = None

    def start(self, *script: str) -> subprocess.Popen[str]:
        dropped = ("PYTHONPATH", "PLAYGROUND_PODS", *(name for name in os.environ if name.lower().endswith("_proxy")))
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        return subprocess.Popen(
            [*self.command, *(script or [smoke.__file__])],
            cwd=self.work,
            env={**kept, **self.variables},
            preexec_fn=self.before,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    def modules(self, *names: str) -> Path:
        """A directory of modules that must not be imported."""
        directory = self.home / "modules"
        directory.mkdir()
        for name in names:
            (directory / f"{name}.py").write_text(TRAP)
        return directory


def plain(place: Place) -> None:
    """As it is."""


def spawned(place: Place) -> None:
    place.variables["PLAYGROUND_PODS"] = "spawn"


def proxies(place: Place) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        place.variables |= {name: DEAD, name.upper(): DEAD}


def proxies_and_spawned(place: Place) -> None:
    proxies(place)
    spawned(place)


def a_proxy_with_exceptions(place: Place) -> None:
    place.variables |= {"HTTP_PROXY": DEAD, "NO_PROXY": ".corp,10.0.0.0/8"}


def a_socks_proxy(place: Place) -> None:
    place.variables["ALL_PROXY"] = "socks5://127.0.0.1:9"


def few_files(place: Place) -> None:
    place.before = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


def a_narrow_umask(place: Place) -> None:
    place.before = lambda: os.umask(0o077)


def the_c_locale(place: Place) -> None:
    place.variables |= {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    place.variables["PYTHONIOENCODING"] = "ascii:backslashreplace"


def far_away(place: Place) -> None:
    place.variables["TZ"] = "Pacific/Kiritimati"


def optimised(place: Place) -> None:
    """Assertions and docstrings are stripped, here and in what is started."""
    place.command.append("-OO")
    place.variables["PYTHONOPTIMIZE"] = "2"


def developers(place: Place) -> None:
    place.variables |= {"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error", "PYTHONASYNCIODEBUG": "1"}


def another_hash_seed(place: Place) -> None:
    place.variables["PYTHONHASHSEED"] = "4711"


def modules_named_like_ours(place: Place) -> None:
    place.variables["PYTHONPATH"] = str(place.modules(*OURS))


def files_of_any_name_in_the_working_directory(place: Place) -> None:
    place.work = place.modules(*OURS, "email", "json", "restate", "playground", "httpx", "sitecustomize")


def a_long_temporary_directory(place: Place) -> None:
    temporary = place.home.joinpath(*["a-rather-long-name-of-a-folder"] * 6)
    temporary.mkdir(parents=True)
    place.variables["TMPDIR"] = str(temporary)


def odd_paths(place: Place) -> None:
    """Blanks, quotes, and more than ASCII in every path there is: checkout, server, home, temporary files."""
    odd = place.home / ODD
    package = odd / "checkout" / "playground"
    shutil.copytree(Path(playground.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    server = odd / "restate-server"
    server.symlink_to(find_server().path)
    temporary = odd / "tmp"
    temporary.mkdir()
    place.work = odd
    place.variables |= {
        "PYTHONPATH": str(package.parent),
        "PLAYGROUND_RESTATE_SERVER": str(server),
        "TMPDIR": str(temporary),
        "HOME": str(odd),
        "XDG_CACHE_HOME": str(odd / "cache"),
    }


def somebody_else_than_root(place: Place) -> None:
    if os.geteuid() != 0:
        return  # all tests run as somebody else
    if shutil.which("setpriv") is None:
        pytest.skip("there is no setpriv to become somebody else with")
    # Reading is allowed, as what is to be run may be in root's own directory. Nothing else is.
    reading = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    somebody = ["--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", *reading]
    place.command = ["setpriv", *somebody, "--", *place.command]
    for directory in (place.home, place.work):
        os.chown(directory, NOBODY, NOBODY)
    server = place.home / "restate-server"
    try:
        server.hardlink_to(find_server().path)
    except OSError:
        shutil.copy2(find_server().path, server)
    place.variables |= {
        "HOME": str(place.home),
        "TMPDIR": str(place.home),
        "XDG_CACHE_HOME": str(place.home / "cache"),
        "PLAYGROUND_RESTATE_SERVER": str(server),
    }


ENVIRONMENTS = [
    plain,
    spawned,
    proxies,
    proxies_and_spawned,
    a_proxy_with_exceptions,
    a_socks_proxy,
    few_files,
    a_narrow_umask,
    the_c_locale,
    far_away,
    optimised,
    developers,
    another_hash_seed,
    modules_named_like_ours,
    files_of_any_name_in_the_working_directory,
    a_long_temporary_directory,
    odd_paths,
    somebody_else_than_root,
]


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    home = tmp_path_factory.mktemp("home")
    ours = [each for each in home.parents if "pytest-of-" in str(each)]
    for directory in (home, *ours):  # somebody else must come in, too
        directory.chmod(directory.stat().st_mode | 0o011)
    work = home / "work"
    work.mkdir()
    return Place(home, work)


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda environment: environment.__name__)
def test_a_playground_lives_in(environment: Callable[[Place], None], place: Place) -> None:
    environment(place)
    running = place.start()
    said = told(running)
    assert said == "OK", said


def test_two_playgrounds_at_once(place: Place) -> None:
    both = [place.start(), place.start()]
    assert [told(running) for running in both] == ["OK", "OK"]


def test_a_source_can_import_what_lies_in_the_working_directory(place: Place) -> None:
    (place.work / "helpers.py").write_text("GREETING = 'Good day'\n")
    (place.work / "restate.py").write_text(TRAP)
    source = """
import restate
from helpers import GREETING

greeter = restate.Service("Greeter")

@greeter.handler()
async def greet(ctx: restate.Context) -> str:
    return GREETING
"""
    script = f"""
from playground import Playground
with Playground.open() as pg:
    pg.deploy(name="greeter", source={source!r})
    print(pg.call("Greeter/greet"))
"""
    for environment in (plain, spawned):
        environment(place)
        assert told(place.start("-c", script)) == "Good day"


def told(running: subprocess.Popen[str]) -> str:
    """What it said, if that is not only that all is well."""
    try:
        said, _ = running.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        running.kill()
        said, _ = running.communicate()
        return f"it does not end; it said:\n{said}"
    lines = said.strip().splitlines()
    # A debugging loop tells of slow callbacks; that is not what is looked for here.
    return lines[-1] if running.returncode == 0 and lines else f"exit code {running.returncode}:\n{said}"
