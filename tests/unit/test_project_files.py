"""What tools and services read of this checkout: it parses, and what it names exists."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^(\w+):", MAKEFILE, re.MULTILINE))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DEVCONTAINER = ROOT / ".devcontainer" / "devcontainer.json"


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def named_targets(text: str) -> set[str]:
    return set(re.findall(r"\bmake (\w+)", text))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_and_runs_daily(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    # YAML 1.1 reads the key `on` as true.
    assert {"pull_request", "schedule"} <= set(workflow[True])
    assert all("permissions" not in job for job in workflow["jobs"].values())
    assert all(job["timeout-minutes"] for job in workflow["jobs"].values())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_pins_what_it_uses(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    for step in steps(workflow):
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", step["uses"])
    runners = [job["runs-on"] for job in workflow["jobs"].values()]
    assert not any("latest" in runner for runner in runners)
    # What a pull request says of itself never becomes part of a script.
    assert not any("${{ github.event" in step.get("run", "") for step in steps(workflow))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_what_exists(path: Path) -> None:
    from playground.cli.cluster import app

    commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    text = "\n".join(step.get("run", "") for step in steps(yaml.safe_load(path.read_text())))
    assert named_targets(text) <= TARGETS
    assert set(re.findall(r"playground cluster (\w+)", text)) <= commands
    for named in re.findall(r"(?:\.ci|tests)/\w+", text):
        assert (ROOT / named).exists(), named


def test_both_workflows_are_there() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "cluster.yml"]
    assert "bash .ci/run" in WORKFLOWS[0].read_text()
    assert "pytest -m cluster" in WORKFLOWS[1].read_text()


def test_the_kind_of_the_workflow_is_the_one_that_is_asked_for() -> None:
    from playground.backends.knative.versions import KIND_VERSION

    [version] = re.findall(r"kind/releases/download/v([\d.]+)/", WORKFLOWS[1].read_text())
    assert version == ".".join(map(str, KIND_VERSION))


def test_the_devcontainer() -> None:
    told = json.loads(DEVCONTAINER.read_text())
    named = named_targets(f"{told['postCreateCommand']} {told['postAttachCommand']}")
    assert named
    assert named <= TARGETS
    assert "forwardPorts" not in told
    assert told["otherPortsAttributes"] == {"onAutoForward": "silent"}
    for opened in told["customizations"]["codespaces"]["openFiles"]:
        assert (ROOT / opened).is_file()


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_what_a_page_names_exists(path: Path) -> None:
    from playground.cli.cluster import app

    text = path.read_text()
    assert named_targets(text) <= TARGETS
    commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    assert set(re.findall(r"playground cluster (\w+)", text)) <= commands
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (path.parent / target).exists(), target
    for option in set(re.findall(r"(?<![\w-])--(?:manifests|images|learners|forget|force|no-eventing)\b", text)):
        assert option.removeprefix("--").replace("-", "_").removeprefix("no_") in _options()


def _options() -> set[str]:
    import inspect

    from playground.cli import cluster as commands

    return {
        name
        for command in commands.app.registered_commands
        if command.callback is not None
        for name in inspect.signature(command.callback).parameters
    }
