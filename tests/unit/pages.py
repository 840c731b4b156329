"""A page, as far as what is sent to it: what arrives there, and what `live.js` does with it."""

from __future__ import annotations

import json
from typing import Any

from playground.views.live import LiveWidget


def arrived(told: object) -> Any:
    """What a page gets of something that is sent to it."""
    return json.loads(json.dumps(told, allow_nan=False))


def apply(page: dict[str, Any], delta: object) -> None:
    """Bring a page's picture up to date, as `live.js` does."""
    told = arrived(delta)
    page.setdefault("values", {}).update(told.get("values", {}))
    tables = page.setdefault("tables", {})
    for name, items in told.get("tables", {}).items():
        table = tables.setdefault(name, {})
        for key, item in items.items():
            if item is None:
                table.pop(key, None)
            else:
                table[key] = item


def ask(widget: LiveWidget[Any, Any, Any], name: str, **data: object) -> dict[str, Any]:
    """A widget's answer to an action."""
    told = arrived(widget._answer({"type": "act", "view": "v", "id": "1", "name": name, "data": data}))
    assert told.pop("type") == "answer"
    assert told.pop("id") == "1"
    return dict(told)
