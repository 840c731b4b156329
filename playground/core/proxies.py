"""Keeping loopback traffic away from proxies, whatever the environment says.

A company's laptop has HTTP_PROXY, HTTPS_PROXY or ALL_PROXY set, often without 127.0.0.1 in NO_PROXY. A proxy cannot
reach this machine's loopback, and everything in a playground is there: the Restate server could not reach its pods, a
handler could not reach the ledger, and a cell could not reach the ingress. So opening a playground exempts loopback in
the environment of this process, and everything that is started from it inherits that: the keeper, the server, pods,
the ledger, `!curl` in a cell. Existing exemptions stay, and all other traffic still goes through the proxy.

Programs disagree on whether `no_proxy` or `NO_PROXY` counts, so both are set to the same value.
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
    """The variables that name a proxy, in the spelling of the environment."""
    return sorted(name for name, value in environment.items() if name.lower() in PROXIES and value)


def exempt_hosts(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The hosts that are exempt from proxies."""
    listed = ",".join(environment.get(name, "") for name in EXEMPT)
    return list(dict.fromkeys(host.strip() for host in listed.split(",") if host.strip()))


def not_exempt(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The names of loopback that would go through a proxy; empty if there is no proxy."""
    if not proxies(environment):
        return []
    hosts = exempt_hosts(environment)
    return [] if hosts == [ALL] else [host for host in LOOPBACK[:2] if host not in hosts]


def exempt_loopback(*urls: str, environment: MutableMapping[str, str] = os.environ) -> None:
    """Exempt loopback from proxies, in this process and in everything that it starts from now on.

    Args:
        urls: other addresses to exempt if they are on loopback, such as 127.0.0.2.
        environment: what to change. If it names no proxy, nothing is changed.
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
