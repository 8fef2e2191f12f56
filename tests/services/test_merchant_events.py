"""What a merchant's pages are told, published by plain functions."""

import json
from typing import Any

import pytest

from lastevent.core.errors import InvalidName, InvalidRequest
from lastevent.core.event import RESERVED_TYPES
from lastevent.services.merchant_events import (
    CHANNELS,
    completion_event,
    failure_event,
    progress_event,
    publish_batch,
    publish_completion,
    publish_error,
    publish_progress,
    publish_stage,
    stage_event,
)
from lastevent.stores.base import Store

NAMED = {"po_id": "po_1", "workflow_id": "wf_1", "stage": "database_save"}
WIRE = {"poId": "po_1", "workflowId": "wf_1", "stage": "database_save"}


async def told(store: Store, merchant: str = "42") -> list[tuple[str, dict[str, Any]]]:
    page = await store.log.read(f"merchant:{merchant}", None)
    return [(event.type, json.loads(event.data)) for event in page.events]


async def test_each_is_told_as_the_wire_has_it(store: Store) -> None:
    await publish_progress(store, "42", **NAMED, progress=60, message="Saved 5 line items")
    await publish_stage(store, "42", **NAMED, status="started", message="Saving")
    await publish_completion(store, "42", **NAMED, results={"lineItems": 5, "confidence": 95})
    await publish_error(store, "42", **NAMED, error="Database connection timeout")
    assert await told(store) == [
        ("progress", WIRE | {"progress": 60, "message": "Saved 5 line items"}),
        ("stage", WIRE | {"status": "started", "message": "Saving"}),
        ("completion", WIRE | {"lineItems": 5, "confidence": 95}),
        ("failure", WIRE | {"error": "Database connection timeout"}),
    ]


async def test_a_batch_is_told_at_once_and_once(store: Store) -> None:
    events = [
        stage_event(**NAMED, status="started"),
        progress_event(**NAMED, progress=0),
        failure_event(**NAMED, error="no"),
    ]
    first = await publish_batch(store, "42", events, key="k")
    again = await publish_batch(store, "42", events, key="k")
    assert again.repeated and again.ids == first.ids
    assert [kind for kind, _ in await told(store)] == ["stage", "progress", "failure"]


async def test_a_key_tells_once(store: Store) -> None:
    for _ in range(2):
        await publish_progress(store, "42", **NAMED, progress=1, key="k")
    assert len(await told(store)) == 1


async def test_what_cannot_be_told(store: Store) -> None:
    for progress in (-1, 101):
        with pytest.raises(InvalidRequest):
            await publish_progress(store, "42", **NAMED, progress=progress)
    with pytest.raises(InvalidRequest):
        await publish_stage(store, "42", **NAMED, status="exploded")  # type: ignore[arg-type]
    with pytest.raises(InvalidName):
        await publish_error(store, "no name", **NAMED, error="x")


def test_results_do_not_rename_what_they_are_of() -> None:
    event = completion_event(**NAMED, results={"poId": "other", "lineItems": 1})
    assert json.loads(event.data) == WIRE | {"lineItems": 1}


def test_no_channel_fires_a_browsers_own_events() -> None:
    assert not RESERVED_TYPES & set(CHANNELS.values())
