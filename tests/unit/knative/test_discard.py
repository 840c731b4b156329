"""A revision that was not deployed goes, and does not come back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from playground.backends.knative import backend as module
from playground.backends.knative.backend import KnativeBackend
from playground.backends.knative.objects import Object
from playground.core.settings import Settings
from tests.unit.knative.apiserver import NAMESPACE, stand_in

KSERVICE = f"/apis/serving.knative.dev/v1/namespaces/{NAMESPACE}/services/signup"
REVISION = f"/apis/serving.knative.dev/v1/namespaces/{NAMESPACE}/revisions/signup-00002"
SOURCE = f"/api/v1/namespaces/{NAMESPACE}/configmaps/signup-00002-source"


def seen(generation: int, latest: str) -> bytes:
    status = {"observedGeneration": generation, "latestCreatedRevisionName": latest}
    return json.dumps({"metadata": {"generation": 3}, "status": status}).encode()


async def discard(directory: Path, *answers: bytes) -> list[tuple[str, str]]:
    async with stand_in(directory) as (server, kubernetes):
        for answer in answers:
            server.answers(KSERVICE, answer)
        for path in (REVISION, SOURCE):
            server.answers(path, b"{}")
        backend = KnativeBackend(directory, remove=False, settings=Settings(), record=lambda *_: None)
        backend._kubernetes = kubernetes
        template: Object = {"metadata": {}, "spec": {}}
        backend._templates["signup"] = {"signup-00001": template, "signup-00002": template}
        await backend.discard_revision("signup-00002")
        return [(each.method, each.path) for each in server.asked]


def test_it_is_deleted_when_knative_has_taken_note_and_not_before(tmp_path: Path) -> None:
    # What the change is answered with, a status of before it, one on the way, and that of the change.
    states = (b"{}", seen(2, "signup-00002"), seen(3, "signup-00002"), seen(3, "signup-00001"))
    asked = asyncio.run(discard(tmp_path, *states))
    assert asked == [("PATCH", KSERVICE), *[("GET", KSERVICE)] * 3, ("DELETE", REVISION), ("DELETE", SOURCE)]


def test_a_knative_that_takes_no_note_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WITHDRAW_TIMEOUT", 0.3)
    asked = asyncio.run(discard(tmp_path, b"{}", seen(2, "signup-00002")))
    assert asked[-2:] == [("DELETE", REVISION), ("DELETE", SOURCE)]
