"""Packages that are not installed with the core, but with an extra.

`pip install durable-playground` is for the tests of a service, and comes without Jupyter. `[lab]` adds what a notebook
needs, and `[knative]` what talks to Kubernetes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from playground.errors import SetupError


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import packages of an extra in this context.

    Args:
        name: the extra, as in `durable-playground[lab]`.

    Raises:
        SetupError: a package is missing; says how to install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "playground").partition(".")[0] == "playground":
            raise
        raise SetupError(
            f"The package {error.name} is not installed.",
            f"It comes with the extra {name!r}, which is not installed in {sys.prefix}.",
            f'{sys.executable} -m pip install "durable-playground[{name}]"',
        ) from None
