"""Targets, written exactly as in Restate's ingress URL: `Service/handler`, `Object/key/handler`.

Restate's own answer to a wrong target is short. A playground knows what is deployed, so it can say what was probably
meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from playground.errors import RequestError


@dataclass(frozen=True, slots=True)
class Target:
    """A handler to call, with a key if it belongs to an object or a workflow."""

    service: str
    handler: str
    key: str | None = None

    @property
    def path(self) -> str:
        """Its path in the ingress URL, percent-encoded."""
        parts = [self.service, *([self.key] if self.key is not None else []), self.handler]
        return "/".join(quote(part, safe="") for part in parts)

    def __str__(self) -> str:
        return "/".join(part for part in (self.service, self.key, self.handler) if part is not None)


def parse_target(text: str, offered: Iterable[Mapping[str, Any]]) -> Target:
    """Parse a target and check it against what is deployed.

    Args:
        text: "Service/handler", "Object/key/handler" or "Workflow/key/run". Parts may be percent-encoded, as they must
            be when a key contains a slash.
        offered: the deployed services, each {"name", "type", "handlers": [{"name"}]}.

    Raises:
        RequestError: there is no such service or handler, or a key is missing or superfluous.
    """
    services = {service["name"]: service for service in offered}
    parts = [unquote(part) for part in str(text).strip("/").split("/")]
    service = services.get(parts[0])
    if service is None:
        raise RequestError(
            f"There is no service {parts[0]!r} to send {text!r} to.",
            f"Deployed are: {', '.join(services) or 'none'}.",
            _meant(parts[0], services) or "Deploy it first, with %%service or pg.deploy.",
        )
    keyed = service["type"] != "SERVICE"
    shape = f"{service['name']}/{'<key>/' if keyed else ''}<handler>"
    kind = {"VIRTUAL_OBJECT": "a virtual object", "WORKFLOW": "a workflow"}.get(service["type"], "a service")
    if len(parts) != (3 if keyed else 2) or not all(parts):
        raise RequestError(
            f"{text!r} is not a target.",
            f"{service['name']} is {kind}: it is addressed as {shape}.",
            f"One of: {', '.join(_examples(service, keyed))}",
        )
    handlers = [handler["name"] for handler in service["handlers"]]
    if parts[-1] not in handlers:
        raise RequestError(
            f"{service['name']} has no handler {parts[-1]!r}.",
            f"Its handlers are: {', '.join(handlers)}.",
            _meant(parts[-1], handlers) or f"One of: {', '.join(_examples(service, keyed))}",
        )
    return Target(parts[0], parts[-1], parts[1] if keyed else None)


def _examples(service: Mapping[str, Any], keyed: bool) -> list[str]:
    key = "some-key/" if keyed else ""
    return [f"{service['name']}/{key}{handler['name']}" for handler in service["handlers"]]


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f"Did you mean {close[0]!r}?" if close else ""
