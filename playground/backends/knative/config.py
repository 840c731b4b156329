"""Which cluster a playground runs in, and where in it: one small file, which the cluster commands write.

A backend never looks for a cluster by itself, and never takes the context that `kubectl` happens to point
at: it uses the one that `cluster create` made or `cluster adopt` was told to use, or none.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from playground.backends.knative.versions import POD_IMAGE
from playground.core.paths import data_home
from playground.errors import StartError


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """What `cluster create` or `cluster adopt` has left for the backend.

    Attributes:
        kubeconfig: the file that says how to reach it; the user's default one only if adopt was told so.
        context: the context in it.
        namespace: the learner's namespace; Restate, the ledger and the services live in it.
        ingress_url, admin_url, ledger_url: loopback URLs that are mapped into the cluster (kind); None is
            reached by a port-forward.
        image: the pod image, as the nodes know it.
    """

    kubeconfig: Path
    context: str
    namespace: str
    ingress_url: str | None = None
    admin_url: str | None = None
    ledger_url: str | None = None
    image: str = POD_IMAGE

    @property
    def is_kind(self) -> bool:
        """Whether it is the cluster that `cluster create` makes, not an adopted one."""
        return self.kubeconfig == kind_kubeconfig()


def path() -> Path:
    """The file: `cluster.json` in the data home."""
    return data_home() / "cluster.json"


def kind_kubeconfig() -> Path:
    """The kubeconfig of the cluster that `cluster create` makes with kind, and of nothing else."""
    return data_home() / "kubeconfig"


def load() -> ClusterConfig:
    """What was saved last.

    Raises:
        StartError: none was, or the file cannot be read.
    """
    file = path()
    try:
        told = json.loads(file.read_text("utf-8"))
        known = {name: told[name] for name in (field.name for field in fields(ClusterConfig)) if name in told}
        return ClusterConfig(**{**known, "kubeconfig": Path(told["kubeconfig"])})
    except FileNotFoundError:
        raise StartError(
            "There is no cluster for this playground.",
            f"Neither `cluster create` nor `cluster adopt` has been run: there is no {file}.",
            "python -m playground cluster create    (or: python -m playground cluster adopt --context NAME)",
        ) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StartError(
            f"{file} does not say where the cluster is.",
            f"It cannot be read: {type(error).__name__}: {error}.",
            "python -m playground cluster create    (or: python -m playground cluster adopt --context NAME)",
        ) from error


def save(config: ClusterConfig) -> Path:
    """Remember it; returns the file."""
    file = path()
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = file.with_suffix(f".{os.getpid()}")
    whole.write_text(json.dumps({**asdict(config), "kubeconfig": str(config.kubeconfig)}, indent=2) + "\n", "utf-8")
    whole.replace(file)  # at once: whoever reads meanwhile sees the old one or the new, never half of it
    return file


def forget() -> None:
    """Forget it; the cluster is left as it is."""
    path().unlink(missing_ok=True)
