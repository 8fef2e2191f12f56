"""What a run keeps, and what is said of it, has limits: its record fits every store."""

import asyncio
import contextlib
from typing import Any

import pytest

from lastevent.core.errors import InvalidRequest, TooLarge
from lastevent.services.workflow.stage import DEFECT, StageContext
from lastevent.services.workflow.values import Result, Skipped
from lastevent.stores.base import Record, Store
from tests.services.toy_workflow import Toy, begin, run_to_end


@pytest.fixture
def toy(store: Store) -> Toy:
    return Toy(store)


async def test_what_a_run_keeps_has_a_limit(toy: Toy, store: Store) -> None:
    async def greedy(stage: StageContext) -> Result:
        await stage.checkpoint("big", "x" * 400_000)
        return {}

    toy.hooks["read"] = greedy
    end = await run_to_end(toy.workflows(), await begin(toy.workflows()))
    assert end.state == "failed"
    assert "small" in str(end.error)


async def test_a_result_that_is_too_large_fails_its_stage(toy: Toy) -> None:
    async def greedy(stage: StageContext) -> Result:
        return {"big": "x" * 400_000}

    toy.hooks["read"] = greedy
    end = await run_to_end(toy.workflows(), await begin(toy.workflows()))
    assert end.state == "failed"


@pytest.mark.parametrize("letter", ["x", '"', "é"])
async def test_what_fits_is_told_of_in_the_same_record(toy: Toy, store: Store, letter: str) -> None:
    """The end of a run tells all results once more, however long they are as JSON within JSON."""
    largest = 0

    async def greedy(stage: StageContext) -> Result:
        with contextlib.suppress(TooLarge):
            for n in range(1000):
                await stage.checkpoint(f"{n}", letter * 500)
        return {}

    async def watched(kind: str, id: str, value: str, **more: Any) -> Record:
        nonlocal largest
        largest = max(largest, len(value.encode()))
        return await put(kind, id, value, **more)

    async def large(stage: StageContext) -> Result:
        return {stage.name: letter * 12_000}

    put = store.records.put
    toy.hooks = {"read": large, "save": large, "ship": greedy}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.records, "put", watched)
        end = await run_to_end(toy.workflows(), await begin(toy.workflows()))
    assert end.state == "completed"
    assert largest < 380 * 1024, "some stores take no more"


async def test_what_is_said_of_a_stage_has_a_limit(toy: Toy, store: Store) -> None:
    async def talkative(stage: StageContext) -> Result:
        await stage.progress(10, "p" * 500_000)
        await asyncio.sleep(0.3)
        raise InvalidRequest("\ud83d" * 500_000)

    async def wordy(stage: StageContext) -> Result:
        return Skipped("s" * 500_000)

    toy.hooks = {"read": wordy, "save": talkative}
    end = await run_to_end(toy.workflows(), await begin(toy.workflows()))
    assert end.state == "failed"
    assert len(end.text) < 30_000
    assert str(end.stage("save").message).startswith("ppp")


@pytest.mark.parametrize("value", [float("nan"), object(), "\ud83d"], ids=["nan", "object", "half"])
async def test_a_result_that_is_no_json_fails_its_stage(toy: Toy, value: object) -> None:
    async def wrong(stage: StageContext) -> Result:
        return {"value": value}

    toy.hooks["read"] = wrong
    end = await run_to_end(toy.workflows(), await begin(toy.workflows()))
    assert (end.state, end.error) == ("failed", DEFECT)
