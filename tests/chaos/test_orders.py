"""The chaos run of orders sees what is broken: only so does it say something to have no faults."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.chaos.orders import STAGES, Business
from tests.chaos.subscriber import Seen

type Event = tuple[str, dict[str, Any]]

MIDDLE = STAGES[3]
BEGUN, HALF, DONE = 9, 10, 11
"""Where the events of that stage are."""


def order(id: str = "po_1", **changes: Any) -> dict[str, Any]:
    """Return an order that is done, as its snapshot has it."""
    stages = [{"name": name, "status": "completed"} for name in STAGES]
    done = {"id": id, "merchant": "north", "state": "completed", "error": None, "stages": stages}
    return done | changes


ORDERS = (order(),)


def told() -> list[Event]:
    """Return what is told of that order."""
    events: list[Event] = []
    steps = (("stage", "started", 0), ("progress", "started", 50), ("stage", "completed", 100))
    for place, name in enumerate(STAGES):
        for kind, status, part in steps:
            whole = (100 * place + part) // len(STAGES)
            said = {"poId": "po_1", "stage": name, "status": status}
            events.append((kind, said | {"progress": whole, "stageProgress": part}))
    end = {"poId": "po_1", "stage": STAGES[-1], "status": "completed", "progress": 100}
    return [*events, ("completion", end | {"over": True})]


def seen(events: Sequence[Event], ids: Sequence[str] = (), name: str = "viewer") -> Seen:
    """Return a viewer who got these events, under ids that grow unless others are given."""
    return Seen(
        name,
        list(ids) or [f"{n:03d}" for n in range(len(events))],
        [json.dumps(data) for _, data in events],
        [kind for kind, _ in events],
    )


def faults(*viewers: Seen, orders: Sequence[dict[str, Any]] = ORDERS) -> str:
    return "; ".join(Business(list(orders), {"north": list(viewers)}).faults())


def saying(at: int, **changes: object) -> list[Event]:
    """Return what is told of the order, but for what one of the events says."""
    events = told()
    events[at][1].update(changes)
    return events


def test_an_order_that_went_well_has_no_faults() -> None:
    assert faults(seen(told()), seen(told(), name="another")) == ""
    stages = [dict(stage) for stage in order()["stages"]]
    stages[3]["status"] = "skipped"
    assert faults(seen(saying(DONE, status="skipped")), orders=[order(stages=stages)]) == ""


def test_a_doubled_event_is_seen() -> None:
    events, ids = told(), seen(told()).ids
    events.insert(HALF, events[HALF])
    ids.insert(HALF, ids[HALF])
    assert "twice, or out of order" in faults(seen(events, ids))


def test_an_event_out_of_order_is_seen() -> None:
    ids = seen(told()).ids
    ids[BEGUN], ids[HALF] = ids[HALF], ids[BEGUN]
    assert "twice, or out of order" in faults(seen(told(), ids))


@pytest.mark.parametrize("events", [saying(HALF, message="Half"), told()[:-1]])
def test_a_viewer_that_saw_something_else_is_seen(events: list[Event]) -> None:
    both = seen(told(), name="one"), seen(events, name="other")
    assert faults(*both) == "north, other saw something else than one"


def test_a_loss_is_seen() -> None:
    viewer = seen(told())
    viewer.resets = 1
    assert faults(viewer) == "north, viewer was told of 1 losses"


@pytest.mark.parametrize("orders", [[order(), order("po_2")], []], ids=["missing", "more"])
def test_orders_that_are_not_those_that_were_told_of_are_seen(orders: list[Any]) -> None:
    assert "not all orders were told of, or more" in faults(seen(told()), orders=orders)


def test_an_order_that_is_not_done_is_seen() -> None:
    failed = order(state="failed", error="no")
    assert faults(seen(told()), orders=[failed]) == "po_1: it is failed: no"


def test_progress_that_goes_backwards_is_seen() -> None:
    assert faults(seen(saying(HALF, progress=1))) == "po_1: its progress went backwards"
    assert faults(seen(saying(DONE, stageProgress=49))) == f"po_1: {MIDDLE} went backwards"


STAGE_FAULTS: dict[str, Callable[[list[Event]], list[Event]]] = {
    "begun twice": lambda it: [*it[:HALF], it[BEGUN], *it[HALF:]],
    "never begun": lambda it: [*it[:BEGUN], *it[HALF:]],
    "done twice": lambda it: [*it[:DONE], it[DONE], *it[DONE:]],
    "never done": lambda it: [*it[:DONE], *it[DONE + 1 :]],
    "failed": lambda it: saying(DONE, status="failed"),
}


@pytest.mark.parametrize("how", STAGE_FAULTS)
def test_a_stage_that_was_not_begun_and_done_once_is_seen(how: str) -> None:
    assert faults(seen(STAGE_FAULTS[how](told()))).startswith("po_1: its stages were [")


END_FAULTS: dict[str, Callable[[list[Event]], list[Event]]] = {
    "followed by another event": lambda it: [*it[:-2], it[-1], it[-2]],
    "told twice": lambda it: [*it, it[-1]],
    "never told": lambda it: it[:-1],
}


@pytest.mark.parametrize("how", END_FAULTS)
def test_an_end_that_is_not_the_last_once_is_seen(how: str) -> None:
    events = END_FAULTS[how](told())
    assert faults(seen(events)) == "po_1: its end was not the last that was told of it, once"
