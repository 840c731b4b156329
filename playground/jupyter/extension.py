"""An extension of Jupyter's server: Restate's UI and ingress, for a browser that is logged in to Jupyter.

On a hub, in a container or in a remote workspace, 127.0.0.1 is not the learner's machine, but their browser can reach
Jupyter. jupyter-server-proxy forwards requests to a Unix socket, which a note names (see `route`). Some headers are
removed on the way, because Restate stores the headers of a request, and Jupyter's cookies are none of its business.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from jupyter_core.paths import jupyter_runtime_dir
from jupyter_server.utils import url_path_join
from jupyter_server_proxy.handlers import ProxyHandler, RewritableResponse
from tornado import web

from playground.core.door import Door
from playground.jupyter.route import BASE, NOTES, find
from playground.restate.ui import at_prefix, is_ui

_CUT = ("Cookie", "Authorization", "X-Xsrftoken", "Accept-Encoding", "Origin", "Referer")
_HOP_BY_HOP = ("Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade")


class RestateHandler(ProxyHandler):  # type: ignore[misc]
    """`restate/ID/admin/…` and `restate/ID/ingress/…`."""

    def initialize(self, notes: Path) -> None:
        """Called by tornado before each request."""
        self._notes = notes
        self._path = ""
        # A lambda and not the method, because its arguments are found by name.
        self.rewrite_response = lambda response: self._rewritten(response)

    async def http_get(self, identity: str, name: str, path: str) -> None:
        """Forward any request. `prepare` has checked that somebody is logged in."""
        origin = self.request.headers.get("Origin")
        if origin and not self.check_origin(origin):
            raise web.HTTPError(403)
        door = find(self._notes, identity, name)
        if door is None:
            raise web.HTTPError(404, "There is no such playground; it may be closed.")
        self.proxy_base = f"restate/{identity}/{name}"
        # Unchanged: an escaped character in a path may be a slash that belongs to a key.
        self._path = self.request.path.partition(f"/{self.proxy_base}")[2] or "/"
        if self.request.method == "POST" and not self.request.body and "Content-Type" not in self.request.headers:
            await self._post_nothing(door)
            return
        self.unix_socket = None if door.socket is None else str(door.socket)
        url = urlsplit(door.url)
        host, port = ("localhost", 80) if door.socket is not None else (url.hostname, url.port)
        await self.proxy(host, port, self._path)

    post = put = delete = head = patch = options = http_get

    async def open(self, identity: str, name: str, path: str) -> None:
        """Restate has no websockets."""
        self.close()

    async def _post_nothing(self, door: Door) -> None:
        # Tornado's client declares a body without a content type to be a form, even if there is no body, and a handler
        # without input takes neither. There is no time limit, because the answer is the invocation's result.
        async with door.client(None) as client:
            headers = [*self.proxy_request_headers().get_all(), ("Accept-Encoding", "identity")]
            try:
                answer = await client.post(self._target, headers=headers)
            except httpx.TransportError:
                raise web.HTTPError(502, "Restate did not answer.") from None
        self.set_status(answer.status_code, answer.reason_phrase)
        self.clear_header("Content-Type")
        for name, value in answer.headers.multi_items():
            if name.title() not in (*_HOP_BY_HOP, "Content-Length"):
                self.set_header(name, value)
        if answer.content:
            self.write(answer.content)

    def get_client_uri(self, protocol: str, host: str, port: int, proxied_path: str) -> str:
        """Where the request is forwarded to."""
        return f"{protocol}://{host}:{port}{self._target}"

    @property
    def _target(self) -> str:
        return f"{self._path}?{self.request.query}" if self.request.query else self._path

    def proxy_request_headers(self) -> Any:
        """The headers that Restate gets."""
        headers = self.request.headers.copy()
        for name in (*_CUT, *_HOP_BY_HOP):
            headers.pop(name, None)
        return headers

    def _rewritten(self, response: RewritableResponse) -> None:
        if is_ui(self._path) and response.body:
            prefix = url_path_join(self.base_url, self.proxy_base)
            response.body = at_prefix(response.body, prefix)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "playground.jupyter.extension"}]


def _load_jupyter_server_extension(app: Any) -> None:
    notes = Path(jupyter_runtime_dir()) / "durable-playground"
    notes.mkdir(mode=0o700, parents=True, exist_ok=True)
    notes.chmod(0o700)
    base = app.web_app.settings["base_url"]
    route = url_path_join(base, r"/restate/([A-Za-z0-9_-]+)/(admin|ingress)(/.*)?")
    app.web_app.add_handlers(".*", [(route, RestateHandler, {"notes": notes})])
    os.environ[BASE], os.environ[NOTES] = base, str(notes)  # the kernels inherit them
