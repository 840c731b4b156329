"""A board: panels side by side in one widget, following one recording. A panel alone is a board of one.

All of the page's requests come through here: `requests.send`, `pods.kill`, `pods.whole` … are the panels' own;
`watch` keeps a key's state recorded while the board is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypedDict

import traitlets

from playground.errors import PlaygroundError
from playground.recording import Recording, Timeline
from playground.recording.changes import Change
from playground.views.actions import Actions
from playground.views.asked import answers
from playground.views.assets import css, esm
from playground.views.live import LiveWidget
from playground.views.messages import Delta, Nothing, Picture
from playground.views.panels.awakeables import AwakeablesPanel
from playground.views.panels.invocations import InvocationsPanel
from playground.views.panels.ledger import LedgerPanel
from playground.views.panels.panel import Panel
from playground.views.panels.pods import PodsPanel
from playground.views.panels.queues import QueuePanel
from playground.views.panels.requests import RequestsPanel
from playground.views.panels.state import Key, OfKey, StatePanel, item_id

WATCHED = 8
"""Keys a board watches at once: those asked for last."""


Items = Mapping[str, Mapping[str, object]]
"""By panel: its items by id, which are of the panel's own type."""


class BoardValues(TypedDict):
    """Whether there is anything that acts."""

    live: bool


class Board(LiveWidget[BoardValues, Items, Items]):
    """Panels of a playground, or of a recording alone: then they show, and do nothing.

    Args:
        recording: what is shown.
        columns: the panels, side by side and below each other; on a narrow page all below each other.
        actions: what does what is asked for.
    """

    _esm = esm("panels")
    _css = css("live.css", "panels.css")
    columns = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    pinned = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(
        self, recording: Recording, columns: Sequence[Sequence[Panel[object]]], actions: Actions | None = None
    ) -> None:
        panels = [panel for column in columns for panel in column]
        self._panels = {panel.name: panel for panel in panels}
        self._actions = actions
        self._watched: dict[Key, Callable[[], None] | None] = {}
        keys = [key for panel in panels if isinstance(panel, StatePanel | QueuePanel) for key in panel.keys]
        self._watched.update(dict.fromkeys(keys[-WATCHED:]))
        names = [[panel.name for panel in column] for column in columns]
        super().__init__(recording, columns=names, pinned=[item_id(*key) for key in dict.fromkeys(keys)])

    def picture(self, timeline: Timeline) -> Picture[BoardValues, Items]:
        """Every panel's items."""
        tables = {panel.name: panel.items(timeline) for panel in self._panels.values()}
        return {"values": {"live": self._actions is not None}, "tables": tables}

    def delta(self, timeline: Timeline, changes: Collection[Change]) -> Delta[BoardValues, Items] | None:
        """The items that changes touch."""
        tables = {panel.name: panel.changed(timeline, changes) for panel in self._panels.values()}
        told = {name: items for name, items in tables.items() if items}
        return {"tables": told} if told else None

    def act(self, name: str, data: Mapping[str, object]) -> object:
        """Do what a panel was asked for.

        Raises:
            PlaygroundError: it cannot be done; says why, and what can.
        """
        scope, _, verb = name.partition(".")
        panel = self._panels.get(scope)
        if verb == "whole" and panel:
            return panel.act(self.recording, verb, data)
        if self._actions is None:
            raise PlaygroundError(
                "A saved recording can only be looked at.", "No playground is behind it.", "pg.dashboard()"
            )
        return panel.act(self._actions, verb, data) if panel else super().act(name, data)

    @answers("watch")
    def watch(self, asked: OfKey) -> Nothing:
        """Keep a key's state recorded while the board is looked at."""
        self._watch((asked["service"], asked["key"]))
        return {}

    def _watch(self, key: Key) -> None:
        with self._gate:  # a click may come on any thread
            if stop := self._watched.pop(key, None):
                stop()
            self._watched[key] = self._begin(key)
            while len(self._watched) > WATCHED:
                if stop := self._watched.pop(next(iter(self._watched))):
                    stop()

    def _begin(self, key: Key) -> Callable[[], None] | None:
        return self._actions.watch_key(*key) if self._actions else None

    # Keys are watched only while somebody looks, as the recording is only listened to while somebody does.

    def _listen(self) -> None:
        for key, stop in self._watched.items():
            self._watched[key] = stop or self._begin(key)
        super()._listen()

    def _pause(self) -> None:
        for key, stop in self._watched.items():
            if stop:
                stop()
            self._watched[key] = None
        super()._pause()

    def __repr__(self) -> str:
        with self.recording.lock:
            timeline = self.recording.timeline
            return "\n\n".join(f"{panel.title}\n{panel.text(timeline)}" for panel in self._panels.values())


class Panels:
    """The panels of a playground, each to be shown alone: `pg.panel.pods()`.

    Args:
        recording: what they show.
        actions: what does what is asked for; None for a saved recording.
    """

    def __init__(self, recording: Recording, actions: Actions | None = None) -> None:
        self._recording, self._actions = recording, actions

    def requests(self) -> Board:
        """What can be requested, and sending it."""
        return self._board(RequestsPanel())

    def pods(self) -> Board:
        """The pods that are there, what they print, and killing one."""
        return self._board(PodsPanel())

    def state(self, service: str = "", key: str = "") -> Board:
        """The state of an object's key, live, and changing it.

        Args:
            service: the virtual object's or workflow's name; without it the page lets one choose.
            key: its key.
        """
        return self._board(StatePanel(*([(service, key)] if service else [])))

    def queue(self, service: str = "", *keys: str) -> Board:
        """Who holds the lock of each key and who waits for it.

        Args:
            service: the virtual object's name; without it, and without keys, all keys are shown.
            keys: the keys, side by side.
        """
        return self._board(QueuePanel(*((service, key) for key in keys)))

    def invocations(self) -> Board:
        """Every invocation with its status, and what can be done to it."""
        return self._board(InvocationsPanel())

    def awakeables(self) -> Board:
        """What invocations wait for, and completing it."""
        return self._board(AwakeablesPanel())

    def ledger(self) -> Board:
        """What has reached the outside world, and making it misbehave."""
        return self._board(LedgerPanel())

    def dashboard(self) -> Board:
        """All of them side by side."""
        left = (RequestsPanel(), InvocationsPanel(), LedgerPanel())
        right = (PodsPanel(), AwakeablesPanel(), QueuePanel(), StatePanel())
        return Board(self._recording, (left, right), self._actions)

    def _board(self, panel: Panel[object]) -> Board:
        return Board(self._recording, ((panel,),), self._actions)
