"""Runs whose processes die, at any call: each goes on elsewhere, and nobody sees it twice."""

import asyncio

import pytest

from lastevent.services.workflow.records import UNFINISHED
from lastevent.services.workflow.values import Run
from lastevent.stores.base import Store
from tests.services.dying import Died, Life, dying
from tests.services.toy_workflow import (
    EFFECTS,
    ITEMS,
    NAMES,
    WAIT_SECONDS,
    Toy,
    begin,
    check_order,
    outline,
    run_to_end,
    told,
)

QUICK_LEASE = 0.2
GOOD = [f"{name} {status}" for name in NAMES for status in ("started", "completed")]

only_memory = pytest.mark.parametrize("url", ["memory://"], ids=["memory"])


async def live(store: Store, life: Life, run: Run) -> None:
    """Go on with a run in a process that dies when its life is over."""
    mortal = dying(store, life)
    workflows = Toy(mortal).workflows(mortal, lease_seconds=QUICK_LEASE)
    try:
        await workflows.runner.run(run.key)
    except Died:
        assert life.is_over


async def must_be_whole(store: Store, run: Run) -> None:
    """Assert that a run completed, that each effect was made, and what viewers saw of it."""
    events = await told(store, run.merchant)
    check_order(events)
    assert outline(events) == [*GOOD, "over completed"]
    effects = await store.records.query(EFFECTS, prefix=f"{run.id}:")
    assert [effect.version for effect in effects] == [1] * (len(NAMES) * ITEMS)
    assert await store.records.get(UNFINISHED, run.key) is None


@only_memory
@pytest.mark.parametrize("carried_out", [False, True])
async def test_death_at_any_call(store: Store, carried_out: bool) -> None:
    async def case(calls: int) -> bool:
        workflows = Toy(store).workflows(lease_seconds=QUICK_LEASE)
        run = await begin(workflows, merchant=str(calls))
        life = Life(calls, carried_out=carried_out)
        await live(store, life, run)
        while (await workflows.get(run.merchant, run.subject)).outbox or await unfinished(run):
            await workflows.runner.run(run.key)
        await must_be_whole(store, run)
        return life.is_over

    async def unfinished(run: Run) -> bool:
        return await store.records.get(UNFINISHED, run.key) is not None

    async with asyncio.timeout(WAIT_SECONDS):
        died = await asyncio.gather(*(case(n) for n in range(90)))
    assert any(died) and not all(died), "every call was the last one once"


@pytest.mark.parametrize("calls", [13, 17, 23])
async def test_death_again_and_again(store: Store, calls: int) -> None:
    workflows = Toy(store).workflows(lease_seconds=QUICK_LEASE)
    run = await begin(workflows)
    deaths = 0
    async with asyncio.timeout(WAIT_SECONDS):
        while not (await workflows.get(run.merchant, run.subject)).is_over:
            await live(store, Life(calls, carried_out=bool(deaths % 2)), run)
            await asyncio.sleep(1.2 * QUICK_LEASE)  # else the next one only waits
            deaths += 1
    assert deaths > 1
    await run_to_end(workflows, run)
    await must_be_whole(store, run)
