"""Release files: only the pinned ones are used, wherever they come from."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from playground.backends.knative import release
from playground.backends.knative.readiness import workloads
from playground.backends.knative.versions import EVENTING, KOURIER, SERVING, Manifest
from playground.errors import ClusterError

CONTENT = b"""# a licence
---
# nothing but a comment
---
apiVersion: v1
kind: Namespace
metadata: {name: a}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d, namespace: a}
spec: {replicas: 0, template: {spec: {containers: [{name: c}]}}}
"""


class Site:
    """Where releases are downloaded from.

    Attributes:
        content: of the one file that there is; None is an error of the server.
        asked: how many times.
    """

    def __init__(self) -> None:
        self.content: bytes | None = CONTENT
        self.asked = 0


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    told = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked += 1
            self.send_response(503 if told.content is None else 200)
            self.end_headers()
            self.wfile.write(told.content or b"")

        def log_message(self, format: str, *args: Any) -> None:
            return None

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        url = f"http://127.0.0.1:{server.server_port}/file.yaml"
        monkeypatch.setattr(Manifest, "url", property(lambda _self: url))
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield told
        server.shutdown()
        thread.join()


MANIFEST = Manifest("file.yaml", "a/b", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


def collect(directory: Path | None = None) -> Path:
    return release.collect([MANIFEST], directory, lambda _text: None)[MANIFEST]


def test_downloaded_once(site: Site) -> None:
    assert collect().read_bytes() == CONTENT
    collect()
    assert site.asked == 1


def test_a_damaged_copy_is_downloaded_again(site: Site) -> None:
    file = collect()
    file.write_bytes(b"half")
    assert collect().read_bytes() == CONTENT
    assert site.asked == 2


def test_another_file_than_the_pinned_one_is_not_kept(site: Site) -> None:
    site.content = CONTENT + b"# changed on its way"
    with pytest.raises(ClusterError) as raised:
        collect()
    assert "changed on its way" in raised.value.why
    site.content = CONTENT
    assert collect().read_bytes() == CONTENT


def test_no_network(site: Site) -> None:
    site.content = None
    with pytest.raises(ClusterError) as raised:
        collect()
    assert "503" in raised.value.why
    assert "--manifests" in raised.value.fix


def test_a_directory_means_no_network(site: Site, tmp_path: Path) -> None:
    with pytest.raises(ClusterError) as raised:
        collect(tmp_path)
    assert raised.value.what == f"file.yaml is not in {tmp_path}."
    (tmp_path / "file.yaml").write_bytes(CONTENT)
    assert collect(tmp_path) == tmp_path / "file.yaml"
    (tmp_path / "file.yaml").write_bytes(CONTENT[:-1])
    with pytest.raises(ClusterError, match=r"is not the file of Knative"):
        collect(tmp_path)
    assert site.asked == 0


def test_objects_and_what_is_waited_for(site: Site) -> None:
    objects = release.objects([collect(), collect()], node_ports=False)
    assert [one["kind"] for one in objects] == ["Namespace", "Deployment"]
    assert workloads(objects) == []  # it has no pods


@pytest.mark.parametrize("manifest", [*SERVING, *KOURIER, *EVENTING], ids=lambda manifest: manifest.name)
def test_what_is_pinned_is_whole(manifest: Manifest) -> None:
    assert len(bytes.fromhex(manifest.sha256)) == 32
    assert manifest.url.startswith("https://github.com/knative")
    assert manifest.url.endswith(f"/knative-v1.23.0/{manifest.name}")
