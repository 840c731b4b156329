"""The guard: a pod answers Restate and nobody else.

A pod listens on loopback, where every user of the machine and every page in the learner's browser can send requests to
it. Restate only registers http(s) addresses, so a Unix socket is not an option. Instead, each revision has a secret.
Restate gets it with the deployment, as a header that it sends with every request. The pod gets it in POD_SECRET, which
is removed from the environment before the learner's source is loaded. A request without the secret gets an empty 403
before anything of it is read, whether it is for a handler, discovery or health. The guard removes the header, so a
handler does not see it in `ctx.request()`.

Anybody can still make a pod start by connecting, because the caller is only known once a request arrives. The pod then
refuses it.

On Kubernetes there is no POD_SECRET, and so no guard. There, services are also registered by hand (in lessons 11 and
12, or with `restate deployments register`), and their addresses exist only inside the cluster. To keep the cluster's
other pods away from them, use a NetworkPolicy.
"""

from __future__ import annotations

import os
from hmac import compare_digest
from typing import Any

VARIABLE = "POD_SECRET"
HEADER = "authorization"


def headers(secret: str) -> dict[str, str]:
    """The headers that let a request in."""
    return {HEADER: f"Bearer {secret}"}


def take_secret() -> str:
    """Take this pod's secret out of the environment; empty if it has none."""
    return os.environ.pop(VARIABLE, "")


class Guard:
    """ASGI middleware that lets in only requests with the secret.

    Args:
        app: the app behind it.
        secret: this pod's secret; must not be empty.
    """

    def __init__(self, app: Any, secret: str) -> None:
        if not secret:
            raise ValueError("a guard needs a secret")
        self._app = app
        self._name, self._value = HEADER.encode(), headers(secret)[HEADER].encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        values = [value for name, value in scope["headers"] if name.lower() == self._name]
        if len(values) != 1 or not compare_digest(values[0], self._value):
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        passed = [(name, value) for name, value in scope["headers"] if name.lower() != self._name]
        await self._app({**scope, "headers": passed}, receive, send)
