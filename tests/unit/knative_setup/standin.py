"""A stand-in for Kubernetes' API server, and for kind and the container engine: as much as the commands ask for.

It keeps objects in memory, applies what is applied, and says of every workload that it is ready. It proves what
our commands ask for and how they go on after a failure; whether Kubernetes and Knative agree is for the cluster
tests. `refuse` makes it say no.
"""

from __future__ import annotations

import json
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.unit.knative import rbac

Object = dict[str, Any]
Key = tuple[str, str, str, str]
TOKEN = "token-of-"

KINDS = {
    "v1": ["Namespace", "Service", "Pod", "Event", "ConfigMap", "PersistentVolumeClaim", "Endpoints"],
    "apps/v1": ["Deployment", "StatefulSet", "DaemonSet"],
    "rbac.authorization.k8s.io/v1": ["Role", "RoleBinding"],
    "serving.knative.dev/v1": ["Service"],
}
KINDS["v1"] += ["ServiceAccount", "ResourceQuota", "LimitRange"]
ALONE = {"Namespace"}


def plural(kind: str) -> str:
    """As in a URL."""
    return kind.lower() if kind.endswith("s") else kind.lower() + "s"


class Cluster:
    """What the stand-in knows.

    Attributes:
        objects: by API version, plural, namespace and name.
        asked: the method and path of every request, in order.
        refuse: a method and a part of a path, and the status and message that such requests get.
        forbidden: resources that may not be used.

    Who has a learner's token may do what the Role in the namespace says; anybody else may do everything.
    """

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.asked: list[str] = []
        self.refuse: dict[tuple[str, str], tuple[int, str]] = {}
        self.forbidden: set[str] = set()
        self.kinds = {version: list(kinds) for version, kinds in KINDS.items()}
        self.url = ""

    def put(self, thing: Object) -> None:
        """Have an object that somebody else has made."""
        meta = thing["metadata"]
        self.objects[thing["apiVersion"], plural(thing["kind"]), meta.get("namespace", ""), meta["name"]] = thing

    def names(self, kind: str) -> list[str]:
        """Of all objects of a kind, with their namespaces."""
        return sorted(f"{key[2]}/{key[3]}".lstrip("/") for key in self.objects if key[1] == plural(kind))

    def kubeconfig(self, context: str = "test", namespace: str = "") -> Object:
        """A kubeconfig for it."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": context, "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
            "current-context": context,
        }

    def answer(
        self, method: str, path: str, query: dict[str, list[str]], body: Object, token: str = ""
    ) -> tuple[int, Object]:
        """One request."""
        self.asked.append(f"{method} {path}")
        learner = token.removeprefix(TOKEN) if token.startswith(TOKEN) else ""
        if learner and not rbac.allows(self._rules(learner), learner, method, path, query):
            return 403, {"message": f"{learner} may not {method} {path}"}
        for (refused, part), told in self.refuse.items():
            if refused == method and part in path:
                return told[0], {"message": told[1]}
        parts = path.strip("/").split("/")
        if path.strip("/") == "version":
            return 200, {"gitVersion": "v1.36.1"}
        if path.strip("/") == "apis":
            versions = [version for version in self.kinds if "/" in version]
            return 200, {"groups": [{"preferredVersion": {"groupVersion": version}} for version in versions]}
        version, rest = (parts[1], parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
        if rest == ["selfsubjectaccessreviews"]:
            attributes = body["spec"]["resourceAttributes"]
            asked_for = "/".join(filter(None, (attributes["resource"], attributes["subresource"])))
            about = (attributes["verb"], attributes["group"], asked_for)
            granted = not learner or rbac.permits(self._rules(learner), *about)
            return 201, {"status": {"allowed": granted and asked_for not in self.forbidden}}
        if version not in self.kinds:
            return 404, {"message": "the server could not find the requested resource"}
        if not rest:
            return 200, {"resources": [_resource(kind) for kind in self.kinds[version]]}
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        if rest[0] in self.forbidden:
            return 403, {"message": f"{rest[0]} is forbidden"}
        if rest[-1] == "token":
            return 201, {"status": {"token": f"{TOKEN}{namespace}", "expirationTimestamp": "2030-01-01T00:00:00Z"}}
        return self._object(method, version, rest, namespace, query, body)

    def _rules(self, learner: str) -> list[Object]:
        rules: list[Object] = self.objects["rbac.authorization.k8s.io/v1", "roles", learner, "learner"]["rules"]
        return rules

    def _object(
        self, method: str, version: str, rest: list[str], namespace: str, query: dict[str, list[str]], body: Object
    ) -> tuple[int, Object]:
        if len(rest) == 1:
            wanted = [pair.partition("=") for pair in query.get("labelSelector", [""])[0].split(",") if pair]
            found = [
                one
                for key, one in self.objects.items()
                if key[:2] == (version, rest[0])
                and namespace in ("", key[2])
                and all(
                    name in labels and value in ("", labels[name])
                    for labels in [one["metadata"].get("labels") or {}]
                    for name, _, value in wanted
                )
            ]
            return 200, {"metadata": {"resourceVersion": "1"}, "items": found}
        key = (version, rest[0], namespace, rest[1])
        if method == "PATCH":
            assert query["fieldManager"] == ["durable-playground"]
            assert body["metadata"]["name"] == rest[1]
            self.objects[key] = _as_if_ready(body)
        elif key not in self.objects:
            return 404, {"message": f"{rest[0]} {rest[1]!r} not found"}
        elif method == "DELETE":
            gone = self.objects.pop(key)
            if rest[0] == "namespaces":
                self.objects = {other: one for other, one in self.objects.items() if other[2] != rest[1]}
            return 200, gone
        return 200, self.objects[key]


def _resource(kind: str) -> Object:
    verbs = ["list", "get", "delete"]
    return {"kind": kind, "name": plural(kind), "namespaced": kind not in ALONE, "verbs": verbs}


def _as_if_ready(thing: Object) -> Object:
    if thing["kind"] not in ("Deployment", "StatefulSet"):
        return thing
    return {**thing, "status": {"readyReplicas": 1, "updatedReplicas": 1, "observedGeneration": 1}}


@contextmanager
def serve() -> Iterator[Cluster]:
    """Serve one on loopback."""
    cluster = Cluster()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            url = urlsplit(self.path)
            sent = self.rfile.read(int(self.headers.get("content-length", 0)))
            token = self.headers.get("authorization", "").removeprefix("Bearer ")
            query = parse_qs(url.query)
            status, told = cluster.answer(self.command, url.path, query, json.loads(sent or b"{}"), token)
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve

        def log_message(self, format: str, *args: Any) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        cluster.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield cluster
        finally:
            server.shutdown()
            thread.join()


FAKE = f"""#!{sys.executable} -IS
import json, pathlib, sys, time
home = pathlib.Path(__file__).parent
name, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
with (home / "asked.jsonl").open("a") as log:
    log.write(json.dumps([name, *arguments]) + "\\n")
script = json.loads((home / "script.json").read_text())
words = " ".join([name, *arguments])
for rule in script["rules"]:
    if rule["when"] in words:
        print(rule.get("out", ""), flush=True)
        print(rule.get("err", ""), file=sys.stderr, flush=True)
        time.sleep(rule.get("sleep", 0))
        if rule.get("once"):
            script["rules"].remove(rule)
            (home / "script.json").write_text(json.dumps(script))
        if rule.get("leaves") is not None:
            (home / "nodes").write_text(rule["leaves"])
        sys.exit(rule.get("exit", 0))
nodes = home / "nodes"
if words.startswith("kind create"):
    nodes.write_text("durable-playground-control-plane\\n")
    print("Creating cluster ...", flush=True)
    kubeconfig = arguments[arguments.index("--kubeconfig") + 1]
    pathlib.Path(kubeconfig).write_text(json.dumps(script["kubeconfig"]))
elif words.startswith("kind delete") or " rm --force" in words:
    nodes.write_text("")
elif words == "kind version":
    print("kind v0.32.0 go1.26 linux/amd64")
elif " ps " in words:
    print(nodes.read_text() if nodes.exists() else "")
elif " inspect --format {{{{json .NetworkSettings.Ports}}}}" in words:
    mapped = [(port, [{{"HostIp": "127.0.0.1", "HostPort": host}}]) for port, host in script["ports"]]
    print(json.dumps({{f"{{port}}/tcp": places for port, places in mapped}}))
elif " info " in words:
    print("99.0")
elif " image inspect " in words:
    print("sha256:0123")
elif " save " in words:
    pathlib.Path(arguments[arguments.index("--output") + 1]).write_bytes(b"image")
"""


class Machine:
    """A directory for PATH with a kind, a docker and whatever else is put there, all of them the same fake.

    Args:
        home: an empty directory.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.script: dict[str, Any] = {"rules": [], "kubeconfig": {}, "ports": []}
        self.write()
        for name in ("kind", "docker"):
            self.install(name)

    def install(self, name: str) -> None:
        """Have a program of that name."""
        program = self.home / name
        program.write_text(FAKE)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def write(self) -> None:
        """Tell the programs what the script says."""
        (self.home / "script.json").write_text(json.dumps(self.script))

    def rule(self, when: str, **rule: Any) -> None:
        """Say what happens when a command line has `when` in it."""
        self.script["rules"].append({"when": when, **rule})
        self.write()

    def forget(self) -> None:
        """No rules any more."""
        self.script["rules"] = []
        self.write()

    @property
    def asked(self) -> list[list[str]]:
        """The command lines, in order."""
        log = self.home / "asked.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def lines(self, start: str) -> list[str]:
        """The command lines that begin so, as text."""
        return [line for line in (" ".join(one) for one in self.asked) if line.startswith(start)]


def write_kubeconfig(file: Path, told: Object) -> Path:
    """A kubeconfig as a file."""
    file.write_text(yaml.safe_dump(told))
    return file
