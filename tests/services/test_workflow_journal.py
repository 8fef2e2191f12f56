"""The journal between its own writes: what comes while one is under way, and who writes between."""

from dataclasses import replace
from time import time
from typing import Any

import pytest

from lastevent.services.workflow.journal import Journal
from lastevent.services.workflow.records import KIND, WorkflowRecords
from lastevent.services.workflow.transitions import Step, completed, started, taken
from lastevent.services.workflow.values import Run
from lastevent.stores.base import Record, Store
from tests.services.toy_workflow import WAIT_SECONDS, Toy, begin, told

NOW = int(time() * 1000)


async def opened(store: Store) -> Journal:
    """Return the journal of a run that ``me`` has."""
    run = await begin(Toy(store).workflows())
    records = WorkflowRecords(store)
    found = await records.put(taken(run, "me", NOW).run, 1)
    return Journal(records, found, "me", lambda: None, patience_seconds=WAIT_SECONDS)


async def test_what_is_noted_during_a_write_is_in_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await opened(store)
    await journal.write(lambda run: started(run, "read", NOW))
    put = type(store.records).put

    async def noting(self: Any, *args: Any, **more: Any) -> Record:
        journal.note("read", 50, "Half")
        record: Record = await put(self, *args, **more)
        return record

    journal.note("read", 10, "A tenth")
    with monkeypatch.context() as patch:
        patch.setattr(type(store.records), "put", noting)
        assert (await journal.write(Step)).stage("read").progress == 10
    assert (await journal.write(Step)).stage("read").progress == 50
    said = [data["stageProgress"] for kind, data in await told(store) if kind == "progress"]
    assert said == [10, 50]


async def test_whoever_writes_before_it_is_settled_sees_to_the_rest(store: Store) -> None:
    journal = await opened(store)
    run = await journal.write(lambda run: started(run, "read", NOW))
    run = await journal.write(lambda run: completed(run, "read", {}, NOW))
    assert run.outbox, "it is taken off with the next write"
    record = await store.records.get(KIND, run.key)
    assert record is not None
    other = replace(Run.parse(record.value), runner="another")
    await WorkflowRecords(store).put(other, record.version)
    await journal.settle()
    assert journal.is_lost
    record = await store.records.get(KIND, run.key)
    assert record is not None
    assert Run.parse(record.value) == other
