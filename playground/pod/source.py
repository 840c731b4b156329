"""From a source file to an ASGI app: load the module, find what Restate can serve, and ask what it offers.

A service's module defines `restate.Service`, `VirtualObject` or `Workflow` objects, and all of them are bound; or it
builds its own `app` with `restate.app(...)`, which is then served unchanged. What it offers is read from the app's
discovery document, just as Restate reads it.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import restate
from restate.service import Service
from restate.workflow import Workflow

from playground.pod.tap import App, AsgiEvent

DISCOVERY_TYPE = b"application/vnd.restate.endpointmanifest.v4+json"


class Refused(Exception):
    """A source that cannot become a service.

    Attributes:
        reason: "syntax", "raised", "no-service" or "duplicate".
        text: what Python or Restate said, in one line.
        trace: the traceback from the learner's first line on; may be empty.
    """

    def __init__(self, reason: str, text: str, trace: str = "") -> None:
        super().__init__(text)
        self.reason, self.text, self.trace = reason, text, trace


def load_app(path: Path) -> App:
    """Load a source file and return the ASGI app that serves it.

    Raises:
        Refused: it has a syntax error, raises while it is loaded, defines nothing to serve, or defines two services
            with the same name.
    """
    module = _load(path)
    app = getattr(module, "app", None)
    if callable(app) and not isinstance(app, type):
        return app  # type: ignore[no-any-return]
    services = {id(value): value for value in vars(module).values() if _is_service(value)}
    if not services:
        raise Refused("no-service", f"{path.name} defines no restate.Service, VirtualObject or Workflow")
    names = [service.name for service in services.values()]
    for name in names:
        if names.count(name) > 1:
            raise Refused("duplicate", f"{path.name} defines two services named {name!r}")
    empty = [service.name for service in services.values() if not service.handlers]
    if empty:
        raise Refused("no-service", f"the service {empty[0]!r} in {path.name} has no handlers")
    return restate.app(list(services.values()))  # type: ignore[no-any-return]


def _is_service(value: Any) -> bool:
    return isinstance(value, (Service, restate.VirtualObject, Workflow))


def _load(path: Path) -> ModuleType:
    # A name that no import statement can use, because a service may be named like any module: `json`, even `restate`.
    name = f"service:{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Refused("raised", f"{path.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic, dataclasses and pickle look up their module by name
    sys.dont_write_bytecode = True
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        trace = "".join(traceback.format_exception_only(error))
        raise Refused("syntax", f"{error.msg} (line {error.lineno})", trace) from error
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        first = next((n for n, frame in enumerate(frames) if frame.filename == str(path)), 0)
        lines = traceback.format_list(frames[first:]) + traceback.format_exception_only(error)
        raise Refused("raised", f"{type(error).__name__}: {error}", "".join(lines)) from error
    return module


async def discover(app: App) -> list[dict[str, Any]]:
    """What an app offers: [{"name", "type", "handlers": [{"name", "kind"}]}], as Restate discovers it.

    Raises:
        Refused: the app has no discovery document, for example because it is not a Restate app.
    """
    answer: dict[str, Any] = {"status": 0, "body": b""}

    async def receive() -> AsgiEvent:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: AsgiEvent) -> None:
        if event["type"] == "http.response.start":
            answer["status"] = event["status"]
        else:
            answer["body"] += event.get("body", b"")

    scope = {
        "type": "http",
        "http_version": "2",
        "method": "GET",
        "path": "/discover",
        "headers": [(b"accept", DISCOVERY_TYPE)],
    }
    try:
        await app(scope, receive, send)
    except Exception as error:
        raise Refused("no-service", f"`app` is not a restate.app: {type(error).__name__}: {error}") from error
    if answer["status"] != 200:
        raise Refused("no-service", f"`app` answered discovery with {answer['status']}; is it a restate.app?")
    return [
        {
            "name": service["name"],
            "type": service["ty"],
            "handlers": [
                {"name": handler["name"], "kind": handler.get("ty") or "SERVICE"} for handler in service["handlers"]
            ],
        }
        for service in json.loads(answer["body"])["services"]
    ]
