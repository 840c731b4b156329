"""Loopback goes through no proxy, whatever the environment says of proxies.

A company's laptop has HTTP_PROXY, HTTPS_PROXY or ALL_PROXY set, often without naming 127.0.0.1 in NO_PROXY. A proxy
cannot reach this machine's loopback, and everything of a playground is there: the Restate server could not
reach its pods, a handler not the ledger, a cell not the ingress. So whoever opens a playground has loopback
exempted in this process's environment, once, and all that is started from it inherits that: the keeper, the
server, pods, the ledger, `!curl` in a cell. What was exempt already stays so, and what goes to anywhere else
goes through the proxy as before.

Programs disagree about whether `no_proxy` or `NO_PROXY` counts, so both are written, and alike.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, MutableMapping
from urllib.parse import urlsplit

PROXIES = ("http_proxy", "https_proxy", "all_proxy")
EXEMPT = ("no_proxy", "NO_PROXY")
ALL = "*"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def proxies(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The variables that name a proxy, as they are spelt there."""
    return sorted(name for name, value in environment.items() if name.lower() in PROXIES and value)


def exempt_hosts(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The hosts that go through no proxy."""
    told = ",".join(environment.get(name, "") for name in EXEMPT)
    return list(dict.fromkeys(host.strip() for host in told.split(",") if host.strip()))


def not_exempt(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The names of loopback that would go through a proxy; none if there is no proxy."""
    if not proxies(environment):
        return []
    hosts = exempt_hosts(environment)
    return [] if hosts == [ALL] else [host for host in LOOPBACK[:2] if host not in hosts]


def exempt_loopback(*urls: str, environment: MutableMapping[str, str] = os.environ) -> None:
    """See that loopback goes through no proxy from now on, here and in what is started from here.

    Args:
        urls: more that must not, if they are on loopback; 127.0.0.2 for example.
        environment: what is changed; nothing if it names no proxy.
    """
    if not proxies(environment):
        return
    hosts = exempt_hosts(environment)
    if hosts != [ALL]:
        more = [host for url in urls if (host := urlsplit(url).hostname) and _is_loopback(host)]
        hosts += [host for host in dict.fromkeys((*LOOPBACK, *more)) if host not in hosts]
    for name in EXEMPT:
        environment[name] = ",".join(hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
