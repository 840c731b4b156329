"""Checking request bodies against the JSON schema of a handler, as its SDK has reported it to Restate."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from playground.errors import RequestError
from playground.restate.ingress import NO_BODY
from playground.restate.target import Target


def as_body(value: Any) -> Any:
    """A body in a form that a recording can keep."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return repr(value)


def check_body(target: Target, body: Any, services: Iterable[Mapping[str, Any]]) -> None:
    """Check a body against what a handler says it takes.

    Restate would accept a wrong body, and the handler would then fail on it, again on every retry.

    Args:
        target: the handler.
        body: the body, or NO_BODY.
        services: the deployed services, with each handler's `input` and `schema`.

    Raises:
        RequestError: the handler does not take such a body.
    """
    offered = {service["name"]: service for service in services}[target.service]
    handler = next(h for h in offered["handlers"] if h["name"] == target.handler)
    wants_none, schema = handler.get("input") == "none", handler.get("schema")
    if wants_none and body is not NO_BODY:
        raise RequestError(
            f"{target} takes no body, but one was given.",
            "Its handler has no parameter besides the context.",
            f"pg.send({str(target)!r})",
        )
    if body is NO_BODY and schema is not None:
        raise RequestError(
            f"{target} takes a body, but none was given.",
            f"Its handler expects {handler['input']}.",
            f"pg.send({str(target)!r}, {{...}})",
        )
    if schema is None or body is NO_BODY or isinstance(body, bytes):
        return
    error = _first_error(schema, as_body(body))
    if error is not None:
        raise RequestError(
            f"{target} does not take this body: {error.message[:300]}.",
            f"Its handler expects {handler['input']}"
            + (f", and at {error.json_path} found something else." if error.path else "."),
            "Correct the body. If it were sent like this, the handler would fail on every retry.",
        )


def _first_error(schema: Any, body: Any) -> Any:
    """What is wrong with a body, or None."""
    # For a format that is not checked here, jsonschema imports a package that takes two seconds to load, but does
    # without it if it is missing. A learner's first request should not have to wait for that.
    slow = "rfc3987_syntax"
    hidden = slow not in sys.modules
    if hidden:
        sys.modules[slow] = None  # type: ignore[assignment]
    try:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import best_match
    finally:
        if hidden:
            del sys.modules[slow]
    return best_match(Draft202012Validator(schema).iter_errors(body))
