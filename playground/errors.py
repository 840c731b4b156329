"""What can go wrong, as a tree.

Every error says three things: what happened, why, and the command or line that fixes it. A notebook shows exactly that,
without a traceback, whose frames would be ours and teach nothing.

* PlaygroundError
    * SetupError             this machine lacks something
        * ServerNotFound     no restate-server, and none could be fetched
        * ServerVersion      a restate-server, but not of the pinned version
    * StartError             the playground could not start (port, data directory, server)
    * ClusterError           a Kubernetes cluster could not be prepared, read or cleaned
    * DeployError            a source could not become a service
    * RequestError           a request that Restate would refuse or has refused
    * InvocationFailed       the invocation ended with a terminal error
    * WaitTimeout            a wait ran out; says what it was waiting for
    * PodNotFound            no such pod is running
    * AtlasError             an atlas that cannot be made, or a point that it does not have
        * NothingObserved    a claim about something that no run of the atlas has shown
    * RecordingError         a recording could not be read or written
    * PlaygroundClosed       the playground is closed
"""

from __future__ import annotations


class PlaygroundError(Exception):
    """An error that a learner can act on.

    Args:
        what: what happened, in one sentence.
        why: the reason, if it is known.
        fix: the command or line that fixes it.
    """

    def __init__(self, what: str, why: str = "", fix: str = "") -> None:
        self.what, self.why, self.fix = what, why, fix
        super().__init__(what, why, fix)

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"Why: {self.why}")
        if self.fix:
            lines.append(f"Fix: {self.fix}")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        # IPython calls this before it formats a traceback of its own.
        return f"{type(self).__name__}: {self}".splitlines()


class SetupError(PlaygroundError):
    """This machine lacks something that the playground needs."""


class ServerNotFound(SetupError):
    """There is no restate-server here, and none could be fetched."""


class ServerVersion(SetupError):
    """A restate-server was found, but not of the pinned version."""


class StartError(PlaygroundError):
    """The playground could not start: a port, the data directory, or the server itself."""


class ClusterError(PlaygroundError):
    """A Kubernetes cluster could not be prepared, read or cleaned."""


class DeployError(PlaygroundError):
    """A source could not become a service."""


class RequestError(PlaygroundError):
    """A request that Restate would refuse or has refused."""


class InvocationFailed(PlaygroundError):
    """The invocation ended with a terminal error.

    Attributes:
        code: the error's code, an HTTP status by convention.
        message: the text that the handler raised.
    """

    def __init__(self, what: str, why: str = "", fix: str = "", *, code: int = 500, message: str = "") -> None:
        super().__init__(what, why, fix)
        self.code, self.message = code, message


class WaitTimeout(PlaygroundError, TimeoutError):
    """A wait ran out. The error says what it was waiting for; nothing was cancelled."""


class PodNotFound(PlaygroundError):
    """No such pod is running."""


class AtlasError(PlaygroundError):
    """An atlas that cannot be made, or a point that it does not have."""


class NothingObserved(AtlasError):
    """A claim about something that an atlas has not observed. It would hold whatever the code does."""


class RecordingError(PlaygroundError):
    """A recording could not be read or written."""


class PlaygroundClosed(PlaygroundError):
    """The playground is closed."""


class Interrupted(KeyboardInterrupt):
    """Somebody interrupted a call that was waiting: the stop button, or Ctrl-C. In a notebook it is one line."""

    def __str__(self) -> str:
        return "the cell no longer waits. What it had asked for goes on; pg.invocations shows it."

    def _render_traceback_(self) -> list[str]:
        return [f"Interrupted: {self}"]
