"""Taking away what a playground made in a cluster: this one's at its end, an earlier one's before the next begins.

Everything is found by its label, so nothing of anybody else's is ever touched.
"""

from __future__ import annotations

import asyncio

from playground.backends.knative.api import Kubernetes
from playground.backends.knative.objects import (
    CLAIMS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    KSERVICES,
    REVISIONS,
    SERVICES,
    STATEFUL_SETS,
)
from playground.backends.knative.revision import LAB
from playground.errors import StartError

GONE_TIMEOUT = 30.0
"""Seconds that what an earlier playground left may take to go."""


async def clear(kubernetes: Kubernetes, whose: str) -> None:
    """Take away what an earlier playground left, and wait until its names are free again.

    Args:
        whose: a label selector.

    Raises:
        ApiError: the cluster refuses.
        StartError: something does not go.
    """
    await remove(kubernetes, whose)
    deadline = asyncio.get_running_loop().time() + GONE_TIMEOUT
    # Their names are going to be used again. A revision's name belongs to its first owner; and a claim that is on its
    # way out cannot be made anew: it goes when the last pod that uses it has gone, and leaves the new one without.
    lab = f"{whose},{LAB}=true"
    for resource, labels in ((KSERVICES, whose), (REVISIONS, whose), (STATEFUL_SETS, lab), (CLAIMS, lab)):
        while left := await kubernetes.find(resource, labels):
            if asyncio.get_running_loop().time() > deadline:
                names = ", ".join(each["metadata"]["name"] for each in left)
                raise StartError(
                    f"What an earlier playground left in the namespace {kubernetes.namespace} does not go.",
                    f"Deleted, but still there after {GONE_TIMEOUT:.0f} s: {resource.plural} {names}.",
                    "python -m playground cluster status    (the cluster's controllers have to let them go)",
                )
            await asyncio.sleep(0.2)


async def remove(kubernetes: Kubernetes, whose: str) -> None:
    """Delete what has these labels; of servers only a lab's own, for the namespace's are made to stay."""
    for resource in (KSERVICES, CONFIG_MAPS):
        await kubernetes.delete_all(resource, whose)
    for resource in (STATEFUL_SETS, DEPLOYMENTS, SERVICES, CLAIMS):
        for each in await kubernetes.find(resource, f"{whose},{LAB}=true"):
            await kubernetes.delete(resource, each["metadata"]["name"])
