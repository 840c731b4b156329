"""The atlas's pods do not share one hash seed: code that depends on the order of a set is found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from playground import Playground

pytestmark = pytest.mark.local

ORDER = """
import restate

service = restate.Service("Order")

@service.handler()
async def take(ctx: restate.Context) -> int:
    print("order", *{"stock", "mail", "invoice"})
    for name in {"stock", "mail", "invoice"}:
        await ctx.run_typed(name, lambda: None)
    return 3
"""


@pytest.fixture(scope="module")
def pg() -> Iterator[Playground]:
    with Playground.open() as playground:
        yield playground


def test_the_pods_of_a_sweep_iterate_a_set_in_different_orders(pg: Playground) -> None:
    pg.deploy(name="order", source=ORDER)
    swept = pg.atlas("Order/take")
    said = {line for pod in swept.recording.timeline.pods.values() for line in pod.logs if line.startswith("order")}
    assert len(said) > 1


def test_steps_in_the_order_of_a_set_are_found(pg: Playground) -> None:
    pg.deploy(name="order", source=ORDER)
    assert not pg.atlas("Order/take").holds()
