"""Restate's own UI, at another path than its own.

It is built for the path `/ui/`, and asks the admin API of its own origin. Behind a path of Jupyter's, or behind a
secret, both have that as a prefix. So the paths of its files are rewritten as they pass; and what the page fetches from
its origin is fetched behind the prefix, without the page's knowing: it compares paths with those it expects.
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
    """Whether a path of the admin API is the UI's."""
    return path == "/ui" or path.startswith("/ui/")


def at_prefix(body: bytes, prefix: str) -> bytes:
    """A file of the UI for use behind a prefix, e.g. "/user/ada/restate/x/admin"."""
    if not _PREFIX.fullmatch(prefix):  # it goes into scripts
        raise ValueError(f"no prefix of a path: {prefix!r}")
    body = _UI.sub(prefix.encode() + b"/ui", body)
    if body.startswith(b"<!DOCTYPE html>"):
        body = body.replace(b"<head>", b"<head>" + _FETCH.replace("PREFIX", prefix).encode(), 1)
    return body
