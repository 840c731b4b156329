"""The soak, briefly: `python -m benchmarks soak` is the long one. SOAK_SEED repeats the faults of a run that failed."""

from __future__ import annotations

import os
import random
from itertools import islice

import pytest

from benchmarks.soak import soak
from benchmarks.soak_faults import MIX, digest, plan

pytestmark = pytest.mark.local

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))


def test_the_same_seed_is_the_same_plan() -> None:
    assert list(islice(plan(7, 5.0), 2000)) == list(islice(plan(7, 5.0), 2000))
    assert digest(7, 5.0) != digest(8, 5.0)
    assert {(fault.whom, fault.what) for fault in islice(plan(7, 5.0), 20_000)} == set(MIX)


def test_nothing_is_lost_and_nothing_is_stuck(capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("SOAK_SEED") or random.randrange(10**6))
    with capsys.disabled():
        print(f"\nSOAK_SEED={seed} (plan {digest(seed, 5.0)})")
    result = soak(seed, seconds=SECONDS)
    assert not result.wrong, "\n".join([f"SOAK_SEED={seed}, data in {result.data}", *result.wrong])
    assert result.reopened, "the warm-up ends with the death of the keeper"
    assert {"jobs", "additions", "effects", "journals"} == {name for name, count in result.compared.items() if count}
