"""What a playground is opened on: a data directory and a backend."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from playground.backends.backend import Backend
from playground.core.extras import extra
from playground.core.paths import DIRECTORY_PREFIX, PID_FILE
from playground.core.settings import Settings
from playground.errors import StartError
from playground.recording import Recording


def asked_for() -> str:
    """The backend that is used if a notebook names none: what PLAYGROUND_BACKEND says, or "local"."""
    return os.environ.get("PLAYGROUND_BACKEND") or "local"


def features_asked_for() -> tuple[str, ...]:
    """The Restate features that PLAYGROUND_RESTATE_FEATURES names, e.g. "vqueues,protocol-v7"."""
    named = os.environ.get("PLAYGROUND_RESTATE_FEATURES", "").lower().replace("-", "_").split(",")
    return tuple(filter(None, map(str.strip, named)))


def data_directory(data_dir: str | os.PathLike[str] | None) -> Path:
    """The directory in which a playground keeps its data: the one that was named, or a new one.

    Raises:
        StartError: it cannot be created.
    """
    if data_dir is not None:
        path = Path(data_dir).absolute()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartError(
                f"The data directory {path} cannot be used.",
                f"{error.strerror}.",
                "Name a directory that you can write to: Playground.open(data_dir=...)",
            ) from error
        return path
    try:
        path = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))
        (path / PID_FILE).write_text(str(os.getpid()))
        return path
    except OSError as error:
        raise StartError(
            "A data directory could not be created.", f"{error.strerror}: {tempfile.gettempdir()}.", "export TMPDIR=..."
        ) from error


def make_backend(name: str, directory: Path, remove: bool, settings: Settings, recording: Recording) -> Backend:
    """The backend with this name. Only this function knows which ones there are.

    Raises:
        StartError: there is none with that name.
        SetupError: what it needs is not installed.
    """
    if name == "local":
        from playground.backends.local.backend import LocalBackend

        return LocalBackend(directory, remove=remove, settings=settings, record=recording.append)
    if name == "knative":
        with extra("knative"):
            from playground.backends.knative.backend import KnativeBackend

        return KnativeBackend(directory, remove=remove, settings=settings, record=recording.append)
    raise StartError(
        f"There is no backend {name!r}.",
        "Playground.open(backend=...) or the variable PLAYGROUND_BACKEND asks for it.",
        'Playground.open(backend="local"), or Playground.open(backend="knative")',
    )
