"""The panel Awakeables: what invocations wait for, shown as the mail with the link to be clicked.

An awakeable is known in two ways: an attempt was suspended on it; or, earlier, its id is in an effect
that reached the outside world, such as the mail that was sent. From an id one can tell whose it is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any
import re

from playground.errors import RequestError
from playground.recording import Effect, Recording, Timeline, Trace
from playground.recording.timeline import awakeable_id, parse_awakeable
from playground.recording.trace import FIRST_AWAKEABLE
from playground.views import text
from playground.views.panels.panel import Change, Data, Item, Panel, clip, plain, wanted

if TYPE_CHECKING:
    from playground.session import Playground

_ID = re.compile(r"sign_1[A-Za-z0-9_-]{20,100}")
