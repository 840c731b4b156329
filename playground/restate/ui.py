"""Serving Restate's own UI under another path.

It is built for the path `/ui/`, and queries the admin API at the root of its origin. Behind Jupyter or a secret, both
have a prefix. So the paths of its files are rewritten as they pass. What the page fetches from its origin is
redirected to the prefix, invisibly to the page, because it compares paths with the ones it expects.
"""

from __future__ import annotations

import re

_UI = re.compile(rb"""(?<=["'`(])/ui(?=["'`/])""")
_PREFIX = re.compile(r"[A-Za-z0-9/_.~%@+-]*")
_FETCH = """<script>(() => {
  const prefix = "PREFIX", real = window.fetch;
  window.fetch = async (input, init) => {
    const request = new Request(input, init), url = new URL(request.url);
    if (url.origin !== location.origin || url.pathname.startsWith(prefix + "/")) return real(request);
    url.pathname = prefix + url.pathname;
    const { method, headers, signal } = request;
    const body = ["GET", "HEAD"].includes(method) ? undefined : await request.arrayBuffer();
    return real(url, { method, headers, signal, body });
  };
})();</script>"""


def is_ui(path: str) -> bool:
    """Whether a path of the admin API belongs to the UI."""
    return path == "/ui" or path.startswith("/ui/")


def at_prefix(body: bytes, prefix: str) -> bytes:
    """A file of the UI, adapted to a prefix such as "/user/ada/restate/x/admin"."""
    if not _PREFIX.fullmatch(prefix):  # it is inserted into scripts
        raise ValueError(f"not a prefix of a path: {prefix!r}")
    body = _UI.sub(prefix.encode() + b"/ui", body)
    if body.startswith(b"<!DOCTYPE html>"):
        body = body.replace(b"<head>", b"<head>" + _FETCH.replace("PREFIX", prefix).encode(), 1)
    return body
