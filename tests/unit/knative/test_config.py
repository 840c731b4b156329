"""Which cluster it is: saved, read again, or said to be nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from playground.backends.knative import config
from playground.backends.knative.config import ClusterConfig
from playground.errors import StartError


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path


def test_what_is_saved_is_read_again(data: Path) -> None:
    there = ClusterConfig(
        data / "kubeconfig", "kind-playground", "learner", ingress_url="http://127.0.0.1:8080", image="i:1"
    )
    file = config.save(there)
    assert file == data / "durable-playground" / "cluster.json"
    assert config.load() == there
    config.save(ClusterConfig(data / "kubeconfig", "other", "n"))
    assert config.load().context == "other"
    assert list(file.parent.iterdir()) == [file], "nothing half-written is left"
    config.forget()
    config.forget()
    with pytest.raises(StartError, match="no cluster for this playground"):
        config.load()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"kubeconfig": "k"}', "{nonsense", '{"kubeconfig": 1}'])
def test_a_file_that_says_nothing(content: str) -> None:
    config.path().parent.mkdir()
    config.path().write_text(content, "utf-8")
    with pytest.raises(StartError) as error:
        config.load()
    assert "cluster create" in error.value.fix


def test_what_a_newer_version_has_saved_more_is_left_out(data: Path) -> None:
    file = config.save(ClusterConfig(data / "k", "c", "n"))
    file.write_text(file.read_text("utf-8").replace("{", '{"colour": "blue",', 1), "utf-8")
    assert config.load() == ClusterConfig(data / "k", "c", "n")
