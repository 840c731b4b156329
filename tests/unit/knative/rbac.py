"""Kubernetes' RBAC, as far as a Role says it: what a request asks for, and whether rules allow it.

https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Rule = Mapping[str, Any]
WEBSOCKETS = ("exec", "portforward")
FOR_ALL = ("authorization.k8s.io", "authentication.k8s.io")
"""Groups in which everybody may ask what they may do."""


def permits(rules: Iterable[Rule], verb: str, group: str, resource: str, name: str = "") -> bool:
    """Whether one of the rules lets somebody do something with a resource, e.g. "pods" or "pods/log"."""

    def among(value: str, listed: list[str]) -> bool:
        return value in listed or "*" in listed

    return any(
        among(group, rule["apiGroups"])
        and among(resource, rule["resources"])
        and among(verb, rule["verbs"])
        and name in rule.get("resourceNames", [name])
        for rule in rules
    )


def allows(rules: Iterable[Rule], namespace: str, method: str, path: str, query: Mapping[str, Any]) -> bool:
    """Whether somebody with these rules in a namespace may make a request."""
    _, *parts = path.strip("/").split("/")
    group, rest = ("", parts[1:]) if path.startswith("/api/") else (parts[0] if parts else "", parts[2:])
    if not rest or group in FOR_ALL:
        return True  # which kinds there are, and what one may do, is for everybody to know
    if rest[0] != "namespaces" or rest[1] != namespace:
        return False
    if len(rest) > 2:
        rest = rest[2:]
    resource, name, *below = (*rest, "") if len(rest) == 1 else rest
    wanted = "/".join((resource, *below))
    if set(below) & set(WEBSOCKETS):
        verbs = ["get", "create"]  # of a websocket: the first by older versions of Kubernetes, both by newer ones
    elif method == "GET":
        verbs = ["watch" if "watch" in query else "get" if name else "list"]
    elif method == "PATCH":
        verbs = ["patch", "create"]  # an apply makes what is not there
    elif method == "DELETE":
        verbs = ["delete" if name else "deletecollection"]
    else:
        verbs = ["create"]
    return all(permits(rules, verb, group, wanted, name) for verb in verbs)
