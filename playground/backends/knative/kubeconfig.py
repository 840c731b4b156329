"""kubeconfigs, as files to choose from: which contexts they have, and which one a user means.

A cluster is only ever reached by a context that was named, or by the current one of a file that was named. The
current context of `~/.kube/config` says where somebody last worked, not where a playground should go.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from playground.errors import ClusterError


@dataclass(frozen=True, slots=True)
class Context:
    """A context of a kubeconfig.

    Attributes:
        server: the URL of its API server.
        namespace: its default namespace; may be empty.
    """

    server: str
    namespace: str


def read_kubeconfig(kubeconfig: Path) -> dict[str, Context]:
    """The contexts of a kubeconfig, by name.

    Raises:
        ClusterError: the file is not there, or is no kubeconfig.
    """
    told = _read(kubeconfig)
    try:
        servers = {one["name"]: one["cluster"]["server"] for one in told.get("clusters") or []}
        return {
            one["name"]: Context(servers.get(one["context"].get("cluster"), ""), one["context"].get("namespace") or "")
            for one in told.get("contexts") or []
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise _no_kubeconfig(kubeconfig, error) from error


def current_context(kubeconfig: Path) -> str:
    """The context that a kubeconfig says is the current one; may be empty.

    Raises:
        ClusterError: the file is not there, or is no kubeconfig.
    """
    return str(_read(kubeconfig).get("current-context") or "")


def server_of(kubeconfig: Path, context: str) -> str:
    """The URL of a context's API server.

    Raises:
        ClusterError: there is no such file, or no such context in it.
    """
    contexts = read_kubeconfig(kubeconfig)
    if context not in contexts:
        known = ", ".join(sorted(contexts)) or "none"
        raise ClusterError(
            f"There is no context {context}.",
            f"{kubeconfig} has: {known}.",
            "Name one of these with --context, or another file with --kubeconfig.",
        )
    return contexts[context].server


def choose(kubeconfig: Path | None, context: str, namespace: str) -> tuple[Path, str, str]:
    """What a user has named, completed: the kubeconfig, the context, and the namespace.

    Args:
        kubeconfig: named by the user; by default the one of KUBECONFIG, or the user's, that has the context.
        context: empty takes the current one, but only of a file that was named.
        namespace: empty takes the context's, or "playground".

    Raises:
        ClusterError: none has the context, or none was named.
    """
    told = os.environ.get("KUBECONFIG", "")
    defaults = [Path(one) for one in told.split(os.pathsep) if one] or [Path.home() / ".kube" / "config"]
    files = [kubeconfig] if kubeconfig else [file for file in defaults if file.is_file()]
    known: dict[str, str] = {}
    for file in files:
        if kubeconfig and not context:
            context = current_context(file)
        contexts = read_kubeconfig(file)
        if context in contexts:
            return file.absolute(), context, namespace or contexts[context].namespace or "playground"
        known |= dict.fromkeys(contexts, "")
    raise ClusterError(
        f"There is no context {context}." if context else "Which cluster? No context was named.",
        f"{', '.join(map(str, files or defaults))} has: {', '.join(sorted(known)) or 'none'}.",
        "Name one of these with --context, or another file with --kubeconfig. "
        "The current context is never taken by itself.",
    )


def _read(kubeconfig: Path) -> dict[str, Any]:
    try:
        told = yaml.safe_load(kubeconfig.read_text("utf-8")) or {}
    except OSError as error:
        raise ClusterError(
            f"The kubeconfig {kubeconfig} cannot be read.",
            f"{error.strerror}.",
            "Name another with --kubeconfig, or make a cluster: python -m playground cluster create",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _no_kubeconfig(kubeconfig, error) from error
    if not isinstance(told, dict):
        raise _no_kubeconfig(kubeconfig, TypeError("it is no mapping"))
    return told


def _no_kubeconfig(kubeconfig: Path, error: Exception) -> ClusterError:
    why = f"{type(error).__name__}: {error}."
    return ClusterError(f"{kubeconfig} is no kubeconfig.", why, "Name another with --kubeconfig.")
