"""Durable execution you can see: the public names and nothing else.

A name is loaded when it is first used, because a pod imports `playground.pod` from this package, and must neither load
nor need what only a notebook needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playground.session import Playground
    from playground.shown import Recording

__all__ = ["Playground", "Recording"]
_HOMES = {"Playground": "playground.session", "Recording": "playground.shown"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext playground`: register the `%%service` magic. `Playground.open()` does this too."""
    from playground.current import current
    from playground.magic import register

    register(shell, lambda **options: current().deploy(**options))
