"""One pod's log, followed to its end: nothing lost, nothing twice.

Kubernetes serves a log line by line and puts the time in front of each if asked
(https://kubernetes.io/docs/concepts/cluster-administration/logging/). A connection may end at any moment,
even in the middle of a line. Then the log is asked for again, from a little before the last line that was
read whole, and the lines read since then are left out. Times are not enough to tell lines apart, and lines of
standard output and standard error may be out of order by a little, so it is whole lines that are compared.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from playground.backends.knative.api import ApiError, Kubernetes
from playground.backends.knative.objects import PODS

AGAIN = 2.0
"""Seconds of the log that are read again after a break."""
SILENCE = 60.0
"""Seconds without a byte after which the log is asked for anew: nobody says that a connection is dead."""
PAUSE = 0.2
"""Seconds between two tries, e.g. until the container has started."""
_STAMPED = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d) ")


class PodLog:
    """The log of one container of one pod.

    Args:
        take: called with bytes of the log, whole lines only.
        over: whether the container has ended: then the end of the log is the end.

    Attributes:
        opened: whether it could be read at all.
    """

    def __init__(
        self, kubernetes: Kubernetes, pod: str, container: str, take: Callable[[bytes], None], over: Callable[[], bool]
    ) -> None:
        self._kubernetes, self._pod, self._container = kubernetes, pod, container
        self._take, self._over = take, over
        self.opened = False
        self._latest: datetime | None = None  # whole seconds
        self._since: datetime | None = None
        self._recent: deque[tuple[datetime, bytes]] = deque()
        self._known: Counter[bytes] = Counter()
        self._rest = b""

    async def follow(self) -> None:
        """Follow until the container has ended and all it said is read, or the pod is gone."""
        while True:
            over = self._over()
            try:
                await self._read()
            except ApiError as error:
                # Not found is also what the kubelet says of a pod it has yet to begin with.
                if error.status == 404 and self._over():
                    return
            else:
                if over:
                    return
            await asyncio.sleep(PAUSE)

    async def _read(self) -> None:
        params = {"container": self._container, "follow": "true", "timestamps": "true"}
        if self._latest is not None:
            self._since = self._latest - timedelta(seconds=AGAIN)  # whole seconds: Kubernetes knows no others
            params["sinceTime"] = self._since.strftime("%Y-%m-%dT%H:%M:%SZ")
        self._known = Counter(line for _, line in self._recent)
        self._rest = b""
        async with self._kubernetes.stream(PODS, f"{self._pod}/log", params, SILENCE) as answer:
            self.opened = True
            async for data in answer.aiter_bytes():
                self._feed(data)
        if self._over():
            self._feed(b"\n" if self._rest else b"")  # the last line, if it never got its end

    def _feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        new = b""
        for line in lines:
            stamp = _STAMPED.match(line)
            if stamp is None:
                continue  # the kubelet's own words, e.g. that it lost the file
            at = datetime.fromisoformat((stamp[1] + stamp[3]).decode()).astimezone(UTC)
            if self._since is not None and at < self._since:
                continue  # read before
            if self._known[line] > 0:
                self._known[line] -= 1
                continue
            self._remember(at, line)
            new += line[stamp.end() :] + b"\n"
        if new:
            self._take(new)

    def _remember(self, at: datetime, line: bytes) -> None:
        self._latest = max(at, self._latest or at)
        self._recent.append((at, line))
        while self._recent and self._recent[0][0] < self._latest - timedelta(seconds=AGAIN + 1):
            self._recent.popleft()
