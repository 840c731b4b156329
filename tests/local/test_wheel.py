"""The package as pip installs it: a wheel, in an empty environment, without Jupyter and without Kubernetes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.local
ROOT = Path(__file__).parents[2]

ONE_HANDLER = """
from playground import Playground, Recording

SOURCE = '''
import restate

greeter = restate.Service("Greeter")


@greeter.handler()
async def greet(ctx: restate.Context, name: str) -> str:
    return await ctx.run_typed("ask", lambda: f"Hello {name}")
'''

with Playground.open() as pg:
    pg.deploy(name="greeter", source=SOURCE)
    invocation = pg.send("Greeter/greet", "ada")
    print(invocation.result())
    print(invocation)
    print(pg.atlas("Greeter/greet", "ada").holds())
    pg.recording.save("run.jsonl")
print(len(Recording.load("run.jsonl").invocations))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an empty environment in which only the wheel is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT), cwd=folder)
    run(sys.executable, "-m", "venv", str(folder / "venv"), cwd=folder)
    python = folder / "venv" / "bin" / "python"
    [wheel] = folder.glob("*.whl")
    run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel), cwd=folder)
    return python


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def test_it_runs_a_handler_and_crashes_it_at_every_point(python: Path, tmp_path: Path) -> None:
    said = run(str(python), "-c", ONE_HANDLER, cwd=tmp_path).stdout
    assert said.startswith("Hello ada\nGreeter/greet: completed, 1 attempt on 1 pod\n")
    assert said.endswith("True\n1\n")


def test_the_doctor_finds_nothing_in_the_way(python: Path, tmp_path: Path) -> None:
    said = run(str(python), "-m", "playground", "doctor", cwd=tmp_path).stdout
    assert "Nothing stands in the way" in said
    assert "durable-playground[lab]" in said.replace("\n", "").replace(" ", "")


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ('Playground.open(backend="knative")', "durable-playground[knative]"),
        ("Playground.open().dashboard()", "durable-playground[lab]"),
    ],
)
def test_what_an_extra_brings_is_named_when_it_is_missed(python: Path, tmp_path: Path, asked: str, names: str) -> None:
    script = f"from playground import Playground\n{asked}"
    done = subprocess.run([python, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f'-m pip install "{names}"' in done.stderr


def test_commands_for_a_cluster_name_their_extra(python: Path, tmp_path: Path) -> None:
    command = [str(python), "-m", "playground", "cluster", "create"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert '-m pip install "durable-playground[knative]"' in done.stderr
    assert "Traceback" not in done.stderr
