"""A pod that can be killed and read. It holds only a name, and looks up everything else."""

from __future__ import annotations

from playground.errors import PodNotFound, RecordingError, WaitTimeout
from playground.recording import Pod as RecordedPod
from playground.runtime.host import Host


class Pod:
    """A pod: one running copy of a service's revision.

    Attributes:
        name: its name.
    """

    def __init__(self, host: Host, name: str) -> None:
        self._host = host
        self.name = name

    @property
    def service(self) -> str:
        """The service it belongs to."""
        return self.recorded.service

    @property
    def revision(self) -> str:
        """The revision it serves."""
        return self.recorded.revision

    @property
    def phase(self) -> str:
        """starting, ready, stopping, then stopped, killed, crashed, refused, or failed (it could not be started)."""
        return self.recorded.phase

    def kill(self) -> Pod:
        """End it at once (SIGKILL; on Kubernetes, delete with grace period 0). Returns itself when it is gone.

        Raises:
            PodNotFound: it is already gone.
        """
        if not self.recorded.alive:
            raise PodNotFound(f"The pod {self.name} is already gone ({self.phase}).", "", "pg.pods lists those alive.")
        self._host.do(self._host.backend.kill_pod(self.name), f"Killing the pod {self.name}")
        if not self._host.wait_until(lambda: not self.recorded.alive, 10):
            raise WaitTimeout(f"The pod {self.name} was killed but has not gone within 10 s.", "", "pg.pods")
        return self

    def logs(self) -> str:
        """Everything it has printed so far."""
        with self._host.recording.lock:
            return self.recorded.log

    @property
    def recorded(self) -> RecordedPod:
        """Everything that is recorded about it.

        Raises:
            RecordingError: no pod with that name was ever started here.
        """
        pod = self._host.recording.timeline.pods.get(self.name)
        if pod is None:
            raise RecordingError(
                f"The recording holds no pod {self.name}.", "It was never started here.", "pg.pods lists those alive."
            )
        return pod

    def __repr__(self) -> str:
        return f"{self.recorded.label} of {self.revision}, {self.phase}"
