"""Handles: the objects a notebook gets for an invocation, a pod, a key or the outside world, and how they are shown.

What they can do is in the runtime. Here they get their looks: text everywhere, and live widgets in a notebook.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground.core.extras import extra
from playground.errors import WaitTimeout
from playground.recording import Effect
from playground.recording import Pod as RecordedPod
from playground.runtime import invocation, pod
from playground.runtime.deploying import Deployed
from playground.runtime.revisions import RevisionInUse
from playground.runtime.runtime import Runtime
from playground.views import text

if TYPE_CHECKING:
    from playground.views.bundle import Bundle
    from playground.views.lens import Lens


class Journal(list[dict[str, Any]]):
    """The journal of an invocation as Restate's server has it, entry by entry."""

    target: str = ""

    def __repr__(self) -> str:
        return text.journal_table(self.target, self)


class Invocation(invocation.Invocation):
    """One request to a handler, from the moment it is sent.

    Attributes:
        id: the invocation id that Restate assigned.
        target: what it was sent to.
        is_new: False if its idempotency key belonged to an earlier one, which this then is.
    """

    def __init__(self, runtime: Runtime, invocation_id: str, target: str, *, is_new: bool = True) -> None:
        super().__init__(runtime, invocation_id, target, is_new=is_new)
        self._runtime = runtime

    @property
    def journal(self) -> Journal:
        """Its journal, read from Restate's server now."""
        journal = Journal(self.read_journal())
        journal.target = self.target
        return journal

    def export(self, path: str | PathLike[str]) -> Path:
        """Write a self-contained page with the replay lens of this invocation. Returns the path.

        Raises:
            RecordingError: the file cannot be written.
        """
        return self._lens().export(path)

    def _lens(self) -> Lens:
        with extra("lab"):
            from playground.views.lens import Lens

        return Lens(self._runtime.recording, self.id, self._runtime)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Bundle:
        return self._lens()._repr_mimebundle_()

    def __repr__(self) -> str:
        recording = self._runtime.recording
        with recording.lock:
            return text.invocation_table(self.trace, recording.timeline)


class Invocations(list[Invocation]):
    """Invocations in the order in which they were first seen: a line each."""

    def __repr__(self) -> str:
        return text.invocations_table([each.trace for each in self], len(self))


class Pods(list[pod.Pod]):
    """The pods that exist now, in the order in which they started.

    Args:
        failed: pods that could not be started, one for each revision that has no pod for that reason.
    """

    def __init__(self, pods: Iterable[pod.Pod] = (), failed: Iterable[RecordedPod] = ()) -> None:
        super().__init__(pods)
        self._failed = list(failed)

    def __repr__(self) -> str:
        return text.pods_table([each.recorded for each in self], self._failed)


class State(dict[str, Any]):
    """The K/V state of an object: name -> value. It is a copy; changing it does not change the object."""

    service: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return text.state_table(self.service, self.key, self)


class Queue:
    """The lock and the queue of a key, at one moment.

    Attributes:
        holder: the id of the invocation that holds the lock; empty if the lock is free.
        waiting: the ids of the invocations that wait for it, in order.
    """

    def __init__(self, runtime: Runtime, service: str, key: str, holder: str, waiting: list[str]) -> None:
        self._runtime = runtime
        self.service, self.key, self.holder, self.waiting = service, key, holder, waiting

    def __len__(self) -> int:
        return len(self.waiting)

    def __repr__(self) -> str:
        named = [self._name(invocation) for invocation in (self.holder, *self.waiting)]
        return text.queue_table(self.service, self.key, named[0], named[1:])

    def _name(self, invocation: str) -> str:
        trace = self._runtime.recording.timeline.invocations.get(invocation)
        return trace.target if trace else invocation


class Service(Deployed):
    """A deployed service: its latest revision and what it offers.

    Attributes:
        name: the name given to `%%service` or `pg.deploy`.
        revision: the revision that serves new requests.
        services: the Restate services in it: [{"name", "type", "handlers"}].
        is_new: False if the source was unchanged and nothing was deployed.
    """

    __slots__ = ()

    @classmethod
    def of(cls, deployed: Deployed) -> Service:
        """A deployed service that shows itself."""
        return cls(deployed.name, deployed.revision, deployed.services, deployed.is_new)

    def __repr__(self) -> str:
        shown = text.services_table(self.name, self.revision, self.services)
        return shown if self.is_new else f"{shown}\nThe source is unchanged; nothing was deployed."


class Revisions(list[RevisionInUse]):
    """The deployed revisions, in the order they were deployed."""

    def __repr__(self) -> str:
        rows = [(each.name, each.newest, len(each.unfinished)) for each in self]
        return text.revisions_table(rows)


class Entries(list[Effect]):
    """The requests that reached the outside world, in order."""

    ordinals: dict[str, str]

    def __repr__(self) -> str:
        return text.ledger_table(self, self.ordinals)


class Ledger:
    """The outside world: which effects reached it, and how it misbehaves."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def url(self) -> str:
        """Its address for this machine. Handlers find theirs in LEDGER_URL."""
        return self._runtime.ledger.url

    def entries(self, kind: str | None = None) -> Entries:
        """The requests that reached the outside world since it was last cleared, including repeated and refused ones.

        Args:
            kind: only this kind, e.g. "email".
        """
        self._runtime.ledger.sync()
        recording = self._runtime.recording
        with recording.lock:
            timeline = recording.timeline
            entries = Entries(
                effect
                for effect in timeline.effects
                if effect.number > timeline.forgotten and (kind is None or effect.kind == kind)
            )
            entries.ordinals = {name: pod.label for name, pod in timeline.pods.items()}
        return entries

    def count(self, kind: str | None = None) -> int:
        """How often something really happened. Repeated and refused requests do not count.

        Args:
            kind: only this kind, e.g. "email".
        """
        return sum(not (effect.repeated or effect.refused) for effect in self.entries(kind))

    def wait_for(self, kind: str, count: int = 1, timeout: float = 30) -> Entries:
        """Wait until something has happened `count` times. Returns the entries of its kind.

        Args:
            kind: e.g. "email".
            count: how often it must have happened, at least.
            timeout: seconds.

        Raises:
            WaitTimeout: it did not happen that often in time.
        """

        def there() -> bool:
            timeline = self._runtime.recording.timeline
            return count <= sum(
                effect.kind == kind and effect.number > timeline.forgotten and not (effect.repeated or effect.refused)
                for effect in timeline.effects
            )

        if not self._runtime.wait_until(there, timeout):
            raise WaitTimeout(
                f"{kind!r} did not happen {count} time(s) within {timeout:g} s.",
                f"It has happened {self.count(kind)} time(s) so far.",
                "pg.ledger shows what has happened, and pg.invocations what is running.",
            )
        return self.entries(kind)

    def clear(self) -> None:
        """Forget all entries and idempotency keys. Faults stay as they are."""
        self._runtime.ledger.clear()

    def misbehave(
        self,
        kind: str,
        *,
        fail: int | bool = 0,
        lose_answer: int | bool = 0,
        slow: float = 0.0,
        down: bool = False,
    ) -> None:
        """Make one kind of effect misbehave. Called without faults, it behaves again.

        Args:
            kind: e.g. "email".
            fail: how many requests are refused before anything happens; True for all.
            lose_answer: for how many requests the effect happens but the answer is an error; True for all.
            slow: seconds that each request takes.
            down: whether nobody answers.

        Raises:
            PlaygroundError: the name of the kind is not allowed.
        """
        self._runtime.ledger.misbehave(kind, fail=fail, lose_answer=lose_answer, slow=slow, down=down)

    def behave(self) -> None:
        """Let all kinds behave again."""
        self._runtime.ledger.behave()

    def __repr__(self) -> str:
        return repr(self.entries())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        with extra("lab"):
            from playground.views.bundle import in_a_notebook
            from playground.views.panels.board import Panels

        data = {"text/plain": repr(self)}
        if not in_a_notebook():
            return data
        board = Panels(self._runtime.recording, self._runtime).ledger()._repr_mimebundle_()
        return {**(board[0] if board else {}), **data}
