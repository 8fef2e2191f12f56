"""Runs that nobody has: they are found, and what is left to do for those that are over is done."""

import asyncio

import pytest

from lastevent.core.errors import UpstreamLost
from lastevent.services.workflow import workflows as workflows_module
from lastevent.services.workflow.records import KIND, UNFINISHED, WorkflowRecords, addressed
from lastevent.services.workflow.runner import Runner
from lastevent.services.workflow.stage import StageContext
from lastevent.services.workflow.transitions import cancelled
from lastevent.services.workflow.values import Result, Run
from lastevent.services.workflow.workflows import Workflows
from lastevent.stores.base import Store
from tests.services.toy_workflow import (
    LEASE_SECONDS,
    WAIT_SECONDS,
    Toy,
    begin,
    outline,
    run_to_end,
    told,
)


@pytest.fixture
def toy(store: Store) -> Toy:
    return Toy(store)


async def test_who_sees_to_the_end_does_so_at_least_once(toy: Toy, store: Store) -> None:
    seen: list[str] = []

    async def on_over(run: Run) -> None:
        seen.append(run.state)
        if len(seen) == 1:
            raise UpstreamLost("nobody hears")

    workflows = Workflows(
        store, {"toy": toy.workflow()}, lease_seconds=LEASE_SECONDS, on_over=on_over
    )
    run = await begin(workflows)
    assert await workflows.runner.run(run.key) == "over"
    assert len(await store.records.query(UNFINISHED)) == 1
    assert await workflows.abandoned() == []
    assert seen == ["completed"], "it may be just about to be run again"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workflows_module, "STALE_SECONDS", -5.0)
        assert await workflows.abandoned() == []
    assert seen == ["completed"] * 2
    assert await store.records.query(UNFINISHED) == []


async def test_what_this_process_works_on_is_not_abandoned(toy: Toy) -> None:
    began, free = asyncio.Event(), asyncio.Event()

    async def silent(stage: StageContext) -> Result:
        began.set()
        await free.wait()
        return {}

    toy.hooks["read"] = silent
    workflows = toy.workflows()
    run = await begin(workflows)
    turn = asyncio.create_task(workflows.runner.run(run.key))
    await asyncio.wait_for(began.wait(), WAIT_SECONDS)
    await asyncio.sleep(0.6 * LEASE_SECONDS)
    assert await workflows.abandoned() == []
    free.set()
    assert await asyncio.wait_for(turn, WAIT_SECONDS) == "over"


async def test_an_end_that_nobody_told_is_told_by_who_looks(toy: Toy, store: Store) -> None:
    """Its process died between the two; the mark is too young to be taken off."""
    run = await begin(toy.workflows())
    over = addressed(cancelled(run, 1), "a-key")
    await WorkflowRecords(store).put(over, 1)
    assert await told(store) == []
    assert await toy.workflows().abandoned() == []
    assert outline(await told(store)) == ["over cancelled"]
    assert len(await store.records.query(UNFINISHED)) == 1


async def test_the_end_of_a_run_that_goes_on_again_is_not_seen_to(toy: Toy, store: Store) -> None:
    seen: list[Run] = []

    async def on_over(run: Run) -> None:
        seen.append(run)

    run = await begin(toy.workflows())
    runner = Runner(store, {}, lease_seconds=LEASE_SECONDS, on_over=on_over)
    mark = await WorkflowRecords(store).mark(run.key)
    assert mark is not None
    await runner.finish(mark)
    assert seen == []
    assert await WorkflowRecords(store).mark(run.key) == mark


async def test_a_mark_that_was_set_anew_stays(store: Store) -> None:
    """The run is just about to be run again."""
    records = WorkflowRecords(store)
    await records.unfinish("42/toy_1")
    mark = await records.mark("42/toy_1")
    assert mark is not None
    await records.unfinish("42/toy_1")
    await records.finish(mark)
    assert await records.mark("42/toy_1") is not None


async def test_what_nobody_has_is_found(toy: Toy, store: Store) -> None:
    workflows = toy.workflows()
    run = await begin(workflows)
    other = await begin(workflows, merchant="43")
    assert await workflows.abandoned() == [], "it was written just now"
    await asyncio.sleep(0.6 * LEASE_SECONDS)
    assert sorted(await workflows.abandoned()) == sorted([run.key, other.key])
    assert await workflows.abandoned("43") == [other.key]
    await run_to_end(workflows, run)
    assert await workflows.abandoned() == [other.key]


async def test_a_run_that_cannot_be_read_stops_no_other(
    toy: Toy, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """A newer version may have written it."""
    workflows = toy.workflows(lease_seconds=0.0)
    run = await begin(workflows)
    for key in ("42/a", "42/z"):
        await store.records.put(UNFINISHED, key, "")
        await store.records.put(KIND, key, '{"stages":[],"colour":"blue"}')
    await asyncio.sleep(0.01)
    assert await workflows.abandoned("42") == [run.key]
    assert "42/z cannot be seen to" in caplog.text


async def test_a_mark_of_nothing_goes_in_time(toy: Toy, store: Store) -> None:
    """Its process died before it wrote the run."""
    workflows = toy.workflows()
    await store.records.put(UNFINISHED, "42/toy_1", "")
    assert await workflows.abandoned() == []
    assert len(await store.records.query(UNFINISHED)) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workflows_module, "STALE_SECONDS", -5.0)
        assert await workflows.abandoned() == []
    assert await store.records.query(UNFINISHED) == []


async def test_a_workflow_that_is_not_known_here_is_left_to_others(
    toy: Toy, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """As long as it has time: a server of an older version may have met it."""
    stranger = Workflows(store, {}, lease_seconds=LEASE_SECONDS)
    workflows = toy.workflows(run_seconds=0.3)
    run = await begin(workflows)
    assert await stranger.runner.run(run.key) == "later"
    assert "not known" in caplog.text
    assert (await workflows.get("42", run.subject)).state == "waiting"
    await asyncio.sleep(0.3)
    assert await stranger.runner.run(run.key) == "over"
    assert (await workflows.get("42", run.subject)).error == "the whole took too long"
