"""The ways to Restate: Unix sockets that are their owner's alone, and a TCP door only for whoever asks for one."""

from __future__ import annotations

import contextlib
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from playground import Playground
from playground.backends.local import sockets
from playground.errors import PlaygroundClosed
from tests.local.conftest import SIGNUP, Holder, eventually

pytestmark = pytest.mark.local

CALLER = """
import os, httpx, restate
caller = restate.Service("Caller")

@caller.handler()
async def call(ctx: restate.Context, target: str) -> dict:
    return httpx.post(os.environ["RESTATE_INGRESS_URL"] + target, timeout=10).json()
"""


@pytest.fixture(scope="module")
def pg() -> Iterator[Playground]:
    with Playground.open() as playground:
        playground.deploy(name="signup", source=SIGNUP)
        playground.call("User/ada/initialize", {"username": "ada"})
        yield playground


def keeper(pg: Playground) -> psutil.Process:
    return psutil.Process(pg.runtime.backend.keeper_pid)  # type: ignore[attr-defined]


def server(pg: Playground) -> psutil.Process:
    return next(child for child in keeper(pg).children() if child.name() == "restate-server")


def listening(process: psutil.Process) -> list[tuple[str, int]]:
    found = [c for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    return [(c.laddr.ip, c.laddr.port) for c in found]


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_the_server_listens_on_no_port(pg: Playground) -> None:
    assert listening(server(pg)) == []
    for process in keeper(pg).children(recursive=True):
        assert {ip for ip, _ in listening(process)} <= {"127.0.0.1"}


def test_its_sockets_are_its_owners_alone(pg: Playground) -> None:
    ingress, admin = pg.runtime.backend.ingress.socket, pg.runtime.backend.admin.socket
    assert ingress is not None
    assert admin is not None
    assert stat.S_ISSOCK(ingress.stat().st_mode)
    assert stat.S_ISSOCK(admin.stat().st_mode)
    assert mode(pg.runtime.directory) == "0o700"
    assert mode(pg.runtime.directory / "restate") == "0o700"


def test_in_a_directory_that_others_may_enter_the_sockets_are_closed_to_them(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o777)
    (data / "restate").mkdir(mode=0o777)
    data.chmod(0o777)
    (data / "restate").chmod(0o777)
    with Playground.open(data_dir=data) as pg:
        assert mode(data / "restate") == "0o700"
        assert pg.runtime.backend.ingress.socket.resolve().parent.parent == data / "restate"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["d" * 200, "größe 数据 " * 4, "with space", "50%25#?"])
def test_a_data_directory_may_have_any_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def ours() -> set[Path]:
        """The shortcuts that lead here: other playgrounds come and go meanwhile."""
        return {each for each in sockets.shortcuts() if tmp_path in (each / sockets.LINK).readlink().parents}

    with Playground.open(data_dir=tmp_path / name) as pg:
        (made,) = ours()
        assert mode(made) == "0o700"
        pg.deploy(name="signup", source=SIGNUP)
        pg.call("User/ada/initialize", {"username": "ada"})
        pg.kill_server()
        assert pg.call("User/ada/get") == {"username": "ada"}
    assert not ours()
    with Playground.open(data_dir=tmp_path / name) as pg:  # by another way in
        pg.deploy(name="signup", source=SIGNUP)
        assert pg.call("User/ada/get") == {"username": "ada"}
    assert not ours()


def test_no_shortcut_outlives_a_kernel_that_is_killed(holder: Callable[[str], Holder], tmp_path: Path) -> None:
    def ours() -> set[Path]:
        return {each for each in sockets.shortcuts() if tmp_path in (each / sockets.LINK).readlink().parents}

    script = f"""
import time
from playground import Playground
pg = Playground.open(data_dir={str(tmp_path / ("d" * 200))!r})
print("open")
time.sleep(60)
"""
    held = holder(script)
    assert held.says() == "open"
    assert ours()
    held.kill()
    eventually(lambda: not ours())


def test_a_client_of_the_ingress(pg: Playground) -> None:
    assert pg.http is pg.http
    assert pg.http.post("/User/ada/get").json() == {"username": "ada"}
    assert pg.http.get("/restate/health").status_code == 200
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: pg.http.post("/User/ada/get").json(), range(60)))
    assert answers == [{"username": "ada"}] * 60
    killed = server(pg)
    killed.kill()
    killed.wait(10)
    assert pg.http.post("/User/ada/get").json() == {"username": "ada"}


def test_the_client_is_closed_with_the_playground() -> None:
    with Playground.open() as pg:
        client = pg.http
        assert client.get("/restate/health").is_success
    assert client.is_closed
    with pytest.raises(PlaygroundClosed):
        _ = pg.http


def test_curl_with_the_socket(pg: Playground) -> None:
    curl = ["curl", "-s", "--unix-socket", str(pg.ingress_socket), "-X", "POST", "http://restate/User/ada/get"]
    assert subprocess.check_output(curl) == b'{"username": "ada"}'


def test_a_door_on_a_port_is_opened_for_whoever_asks(pg: Playground) -> None:
    url = pg.ingress_url
    assert url == pg.ingress_url
    assert url.startswith("http://127.0.0.1:")
    with httpx.Client(base_url=url, trust_env=False) as client:
        for _ in range(3):
            assert client.post("/User/ada/get").json() == {"username": "ada"}
        assert client.get("/nothing/here").status_code == 404
    curl = ["curl", "-s", "--noproxy", "*"]
    assert subprocess.check_output([*curl, "-X", "POST", f"{url}/User/ada/get"]) == b'{"username": "ada"}'
    assert subprocess.check_output([*curl, f"{pg.admin_url}/health", "-w", "%{http_code}"]).endswith(b"200")
    big = {"username": "x" * 300_000}
    assert httpx.post(f"{url}/User/big/initialize", json=big, trust_env=False).is_success
    assert httpx.post(f"{url}/User/big/get", trust_env=False).json() == big


def test_the_door_is_open_to_nobody_else(pg: Playground) -> None:
    url = httpx.URL(pg.ingress_url)
    bare = f"http://127.0.0.1:{url.port}"
    secret = url.path
    path = "/User/ada/get"

    def answer(base: str, **headers: str) -> int:
        return httpx.post(base + path, headers=headers, trust_env=False).status_code

    assert answer(bare + secret) == 200
    assert answer(bare + secret, host=f"localhost:{url.port}", origin=bare) == 200
    assert answer(bare) == 404
    assert answer(bare + "/" + "x" * (len(secret) - 1)) == 404
    assert answer(bare + secret[:-1]) == 404
    assert answer(bare + secret + "x") == 404
    assert answer(bare + secret, host="evil.example") == 403
    assert answer(bare + secret, host=f"evil.example:{url.port}") == 403
    assert answer(bare + secret, origin="https://evil.example") == 403
    assert answer(bare + secret, origin="null") == 403
    assert pg.invocations  # it is not harmed


@pytest.mark.parametrize("first", ["connection: keep-alive\r\n", ""])
@pytest.mark.parametrize("prefix", ["", "{secret}"])
def test_a_second_request_does_not_get_by_behind_the_first(pg: Playground, first: str, prefix: str) -> None:
    body = '{{"username": "eve"}}'
    answer = raw(
        pg,
        "GET {secret}/restate/health HTTP/1.1\r\nhost: {host}\r\n" + first + "\r\n"
        "POST " + prefix + "/User/eve/initialize HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body) - 2}\r\n\r\n" + body,
    )
    assert answer.count(b"HTTP/1.1") <= 1
    assert pg.state("User", "eve") == {}


def test_a_refusal_is_heard_although_the_body_is_not_read(pg: Playground) -> None:
    wrong = pg.ingress_url[:-1]
    for _ in range(10):
        for url in (pg.ingress_url, wrong):
            assert httpx.post(url + "/Nobody/home", json="x" * 5_000_000, trust_env=False).status_code == 404


@pytest.mark.parametrize(
    ("request_of", "status"),
    [
        ("GET http://{host}{secret}/restate/health HTTP/1.1\r\nhost: {host}\r\n\r\n", b"404"),
        ("GET {secret}/restate/health HTTP/1.1\r\n\r\n", b"403"),
        ("GET {secret}/restate/health HTTP/1.1\r\nhost: {host}\r\nhost: evil\r\n\r\n", b"403"),
        ("GET {secret}/restate/health HTTP/1.1\r\nhost: {host}\r\n folded: x\r\n\r\n", b"400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
        ("nonsense\r\n\r\n", b"400"),
    ],
)
def test_what_is_no_request_is_refused(pg: Playground, request_of: str, status: bytes) -> None:
    assert raw(pg, request_of).split(b" ")[1] == status


def raw(pg: Playground, request: str) -> bytes:
    url = httpx.URL(pg.ingress_url)
    with socket.create_connection(("127.0.0.1", url.port or 0)) as connection:
        connection.sendall(request.format(secret=url.path, host=f"127.0.0.1:{url.port}").encode())
        connection.settimeout(10)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while data := connection.recv(65536):
                answer += data
        return answer


def test_a_door_leads_to_the_server_after_it_was_killed(pg: Playground) -> None:
    url = pg.ingress_url
    pg.kill_server()
    assert httpx.post(f"{url}/User/ada/get", trust_env=False, timeout=20).json() == {"username": "ada"}


def test_the_doors_are_closed_with_the_playground() -> None:
    with Playground.open() as pg:
        ports = [httpx.URL(url).port for url in (pg.ingress_url, pg.admin_url)]
    for port in ports:
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port or 0)):
            pass


def test_a_handler_reaches_the_ingress(pg: Playground) -> None:
    pg.deploy(name="caller", source=CALLER)
    assert pg.call("Caller/call", "/User/ada/get") == {"username": "ada"}


def test_nothing_of_the_server_is_left_in_the_temporary_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with Playground.open(data_dir=tmp_path / "data") as pg:
        pg.kill_server()
        assert [path.name for path in tmp_path.iterdir()] == ["data"]
        assert len(list((tmp_path / "data" / "tmp").iterdir())) <= 1
