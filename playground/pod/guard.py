"""The guard: a pod answers Restate, and nobody else.

A pod listens on loopback, where every user of the machine and every page in the learner's browser can send
requests to it; Restate registers http(s) addresses only, so a Unix socket will not do. So each revision has a secret.
Restate is given it with the deployment, as a header that it sends with every request; the pod is given it in
POD_SECRET, which is taken out of the environment before the learner's source is loaded. A request without it gets a
403 with nothing in it, before anything of it is read, whatever it is for: a handler, discovery, health. The header
goes no further than the guard, so the handler's `ctx.request()` does not have it.

Whoever connects can still make a pod start, which then refuses them: who is calling is known only from what they say.

On Kubernetes there is no POD_SECRET, and so no guard. There a service is registered by hand as well (lessons 11 and 12
do so, and `restate deployments register`), and has an address that exists inside the cluster only; what keeps the
cluster's other pods away from it is the cluster's to say, with a NetworkPolicy.
"""

from __future__ import annotations

import os
from hmac import compare_digest
from typing import Any

VARIABLE = "POD_SECRET"
HEADER = "authorization"


def headers(secret: str) -> dict[str, str]:
    """The headers of a request that is let in."""
    return {HEADER: f"Bearer {secret}"}


def take_secret() -> str:
    """This pod's secret, which is not in the environment any more; empty if it was given none."""
    return os.environ.pop(VARIABLE, "")


class Guard:
    """ASGI middleware that lets in who knows the secret.

    Args:
        app: what is behind it.
        secret: this pod's; not empty.
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
        told = [value for name, value in scope["headers"] if name.lower() == self._name]
        if len(told) != 1 or not compare_digest(told[0], self._value):
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        passed = [(name, value) for name, value in scope["headers"] if name.lower() != self._name]
        await self._app({**scope, "headers": passed}, receive, send)
