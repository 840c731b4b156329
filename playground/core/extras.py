"""What is not installed with the core: the packages that an extra brings.

`pip install durable-playground` is for a service's own tests, and brings no Jupyter; `[lab]` brings what is alive in a
notebook, `[knative]` what talks to Kubernetes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from playground.errors import SetupError


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import what an extra brings.

    Args:
        name: the extra, as in `durable-playground[lab]`.

    Raises:
        SetupError: a package is missing; says what installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "playground").partition(".")[0] == "playground":
            raise
        raise SetupError(
            f"The package {error.name} is not installed.",
            f"It comes with the extra {name!r}, and {sys.prefix} was made without that.",
            f'{sys.executable} -m pip install "durable-playground[{name}]"',
        ) from None
