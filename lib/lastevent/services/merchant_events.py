"""What a merchant's pages are told while its purchase orders are worked on: events and publishing.

    progress     {"poId","workflowId","stage","progress":60,"message":"Saved 5 line items"}
    stage        {"poId","workflowId","stage","status":"started","message"}
    completion   {"poId","workflowId","stage","lineItems":5,"confidence":95}
    failure      {"poId","workflowId","stage","error":"Database connection timeout"}

All are JSON, in the one stream ``merchant:{id}``. A failure is the channel ``error``: an event of
that type would fire a browser's own ``onerror`` (RULES 27). Fields beyond these may be added to
each, and are read by who knows them.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from lastevent.core.errors import InvalidRequest
from lastevent.core.event import NewEvent
from lastevent.core.topic import stream_name
from lastevent.services.outbox import json_event
from lastevent.stores.base import Appended, Store

Status = Literal["started", "completed", "skipped", "failed"]

STATUSES: tuple[str, ...] = get_args(Status)

CHANNELS: Mapping[str, str] = {
    "progress": "progress",
    "stage": "stage",
    "completion": "completion",
    "error": "failure",
}
"""What a subscription may ask for, and the type of its events."""


def stream_of(merchant: str) -> str:
    """Return the name of a merchant's stream; raise InvalidName if there can be none."""
    return stream_name(f"merchant:{merchant}")


def progress_event(
    *,
    po_id: str,
    workflow_id: str,
    stage: str,
    progress: int,
    message: str | None = None,
    **more: object,
) -> NewEvent:
    """Return the event of some progress, 0 to 100; raise InvalidRequest for any other."""
    if not 0 <= progress <= 100:
        raise InvalidRequest("progress is a whole number from 0 to 100")
    return _event(
        "progress", po_id, workflow_id, stage, {"progress": progress, "message": message} | more
    )


def stage_event(
    *,
    po_id: str,
    workflow_id: str,
    stage: str,
    status: Status,
    message: str | None = None,
    **more: object,
) -> NewEvent:
    """Return the event of a stage that was started or is over; raise InvalidRequest."""
    if status not in STATUSES:
        raise InvalidRequest(f"a stage's status is one of {', '.join(STATUSES)}")
    return _event("stage", po_id, workflow_id, stage, {"status": status, "message": message} | more)


def completion_event(
    *, po_id: str, workflow_id: str, stage: str, results: Mapping[str, object]
) -> NewEvent:
    """Return the event of results, such as ``lineItems`` and ``confidence``."""
    return _event("completion", po_id, workflow_id, stage, results)


def failure_event(
    *, po_id: str, workflow_id: str, stage: str, error: str, **more: object
) -> NewEvent:
    """Return the event of a failure; ``error`` is a sentence that the merchant may read."""
    return _event("failure", po_id, workflow_id, stage, {"error": error} | more)


async def publish_progress(
    store: Store,
    merchant: str,
    *,
    po_id: str,
    workflow_id: str,
    stage: str,
    progress: int,
    message: str | None = None,
    key: str | None = None,
) -> Appended:
    """Append a progress event to a merchant's stream.

    With a ``key`` a repeated call is told once. Raises, as all of these do, InvalidName for a
    merchant of whom there can be no stream, and what the log's append does.
    """
    event = progress_event(
        po_id=po_id, workflow_id=workflow_id, stage=stage, progress=progress, message=message
    )
    return await publish_batch(store, merchant, [event], key=key)


async def publish_stage(
    store: Store,
    merchant: str,
    *,
    po_id: str,
    workflow_id: str,
    stage: str,
    status: Status,
    message: str | None = None,
    key: str | None = None,
) -> Appended:
    """Append a stage event to a merchant's stream."""
    event = stage_event(
        po_id=po_id, workflow_id=workflow_id, stage=stage, status=status, message=message
    )
    return await publish_batch(store, merchant, [event], key=key)


async def publish_completion(
    store: Store,
    merchant: str,
    *,
    po_id: str,
    workflow_id: str,
    stage: str,
    results: Mapping[str, object],
    key: str | None = None,
) -> Appended:
    """Append a completion event to a merchant's stream."""
    event = completion_event(po_id=po_id, workflow_id=workflow_id, stage=stage, results=results)
    return await publish_batch(store, merchant, [event], key=key)


async def publish_error(
    store: Store,
    merchant: str,
    *,
    po_id: str,
    workflow_id: str,
    stage: str,
    error: str,
    key: str | None = None,
) -> Appended:
    """Append a failure event to a merchant's stream."""
    event = failure_event(po_id=po_id, workflow_id=workflow_id, stage=stage, error=error)
    return await publish_batch(store, merchant, [event], key=key)


async def publish_batch(
    store: Store, merchant: str, events: Iterable[NewEvent], *, key: str | None = None
) -> Appended:
    """Append events of the functions above to a merchant's stream, all at once or none."""
    return await store.log.append(stream_of(merchant), list(events), key=key)


def _event(
    type: str, po_id: str, workflow_id: str, stage: str, said: Mapping[str, object]
) -> NewEvent:
    named = {"poId": po_id, "workflowId": workflow_id, "stage": stage}
    told = {name: value for name, value in said.items() if value is not None}
    return json_event(type, named | told | named)  # whatever the results are called
