"""Alerts: once per incident, whoever notices it, whatever dies, however the receiver feels."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from time import time
from typing import Any

import pytest

from lastevent.core.errors import Conflict, Transient
from lastevent.services import alerts as alerts_module
from lastevent.services import webhook
from lastevent.services.alerts import KIND, STALE_SECONDS, SWEEP_SECONDS, UNSETTLED, Alerts
from lastevent.services.incident import CLAIM_MS, MAX_ROUNDS, PAUSES_MS, Detail, Incident
from lastevent.services.webhook import Webhook
from lastevent.stores.base import Store
from lastevent.stores.url import open_store
from tests.services.dying import Died, Life, dying
from tests.services.receiver import KEY, Receiver, receiving

type Sighting = tuple[str, str, str, dict[str, Detail]]

FAILED: Sighting = (
    "workflow",
    "po-7",
    "The run of po-7 failed",
    {"stage": "shopify_sync", "attempt": 3},
)
RATE: Sighting = ("reconnects", "all", "Clients come back 200 times a minute", {"rate": 200})
QUIET_SECONDS = 300.0
HOUR = 3600.0


@dataclass
class Clock:
    now: float = 1_780_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts_module, "PAUSES", (0.01, 0.02))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as it:
        yield it


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def alerts(store: Store, receiver: Receiver, clock: Clock) -> Alerts:
    return Alerts(store, Webhook(receiver.url, KEY), clock)


@pytest.fixture
async def other(url: str, alerts: Alerts) -> AsyncIterator[Alerts]:
    """Another server's, on the same store."""
    if url.startswith("memory"):
        yield replace(alerts)
    else:
        store = open_store(url)
        await store.prepare()
        yield replace(alerts, store=store)
        await store.close()


async def left(store: Store) -> list[str]:
    return [mark.id for mark in await store.records.query(UNSETTLED)]


async def incident(store: Store) -> Incident:
    (record,) = await store.records.query(KIND)
    return Incident.parse(record.value)


async def test_what_is_told(alerts: Alerts, receiver: Receiver) -> None:
    assert await alerts.notice(*FAILED)
    ((id, message),) = receiver.taken
    assert id.startswith("alert_")
    assert message == {
        "type": "alert.raised",
        "timestamp": "2026-05-28T20:26:40.000+00:00",
        "data": {
            "id": id.removesuffix("-raised"),
            "kind": "workflow",
            "key": "po-7",
            "title": "The run of po-7 failed",
            "details": {"stage": "shopify_sync", "attempt": 3},
            "opened": 1_780_000_000_000,
        },
    }


async def test_many_servers_notice_and_one_tells(
    alerts: Alerts, other: Alerts, receiver: Receiver
) -> None:
    found = await asyncio.gather(*(it.notice(*FAILED) for it in (alerts, other) * 10))
    assert sorted(found) == [False] * 19 + [True]
    await asyncio.gather(*(it.sweep() for it in (alerts, other) * 3))
    assert receiver.requests == 1
    assert await alerts.notice("workflow", "po-8", "Another", {})
    assert receiver.requests == 2


async def test_what_only_happens_is_told_once_and_has_no_end(
    alerts: Alerts, receiver: Receiver, clock: Clock
) -> None:
    await alerts.notice(*FAILED)
    for _ in range(5):
        clock.now += HOUR
        assert not await alerts.notice(*FAILED)
        await alerts.sweep()
    assert receiver.types == ["alert.raised"]


async def test_what_lasts_is_told_of_again_only_after_its_end(
    alerts: Alerts, other: Alerts, receiver: Receiver, clock: Clock
) -> None:
    assert await alerts.notice(*RATE, QUIET_SECONDS)
    for _ in range(10):  # seen all along, for longer than the quiet time
        clock.now += QUIET_SECONDS / 2
        assert not await other.notice(*RATE, QUIET_SECONDS)
        assert await alerts.sweep() == []
    clock.now += QUIET_SECONDS + 1
    swept = await asyncio.gather(alerts.sweep(), other.sweep())
    assert sum(map(len, swept)) == 1
    assert receiver.types == ["alert.raised", "alert.resolved"]
    first, end = receiver.messages
    assert end["data"]["id"] == first["data"]["id"]
    assert end["data"]["resolved"] == int(clock.now * 1000)
    assert await alerts.notice(*RATE, QUIET_SECONDS)
    assert receiver.types == ["alert.raised", "alert.resolved", "alert.raised"]
    assert receiver.messages[2]["data"]["id"] != first["data"]["id"]


async def test_an_end_that_no_sweep_has_seen_is_seen_by_who_notices_next(
    alerts: Alerts, receiver: Receiver, clock: Clock
) -> None:
    await alerts.notice(*RATE, QUIET_SECONDS)
    clock.now += HOUR
    assert await alerts.notice(*RATE, QUIET_SECONDS)
    assert receiver.types == ["alert.raised", "alert.resolved", "alert.raised"]


async def test_marks_are_taken_off_when_all_is_told(
    store: Store, alerts: Alerts, clock: Clock
) -> None:
    clock.now = time()
    await alerts.notice(*FAILED)
    await alerts.notice(*RATE, QUIET_SECONDS)
    assert await left(store) == ["reconnects/all", "workflow/po-7"]
    clock.now += STALE_SECONDS + 1
    await alerts.sweep()
    assert await left(store) == ["reconnects/all"], "it goes on"
    clock.now += QUIET_SECONDS
    await alerts.sweep()
    await alerts.sweep()
    assert await left(store) == []


async def test_a_fresh_mark_is_left_to_who_set_it(store: Store, alerts: Alerts) -> None:
    """It is set before the incident is written: in between it leads to nothing."""
    alerts = replace(alerts, clock=time)
    await store.records.put(UNSETTLED, "workflow/po-7", "")
    await alerts.sweep()
    assert await left(store) == ["workflow/po-7"]


@pytest.mark.parametrize("carried_out", [False, True])
async def test_whoever_dies_and_wherever_it_is_told_once(
    alerts: Alerts, other: Alerts, receiver: Receiver, clock: Clock, carried_out: bool
) -> None:
    for calls in range(100):
        kind, key = "workflow", f"po-{calls}"
        life = Life(calls, carried_out=carried_out)
        dead = replace(alerts, store=dying(alerts.store, life))
        with suppress(Died):
            await dead.notice(kind, key, "Failed", {}, QUIET_SECONDS)
        written = await alerts.store.records.get(KIND, f"{kind}/{key}")
        # Nobody else has noticed: what was written down is told all the same.
        clock.now += CLAIM_MS / 1000 + 1
        await other.sweep()
        told = [it for it in receiver.messages if it["data"]["key"] == key]
        assert len(told) == (written is not None)
        # Somebody has.
        await other.notice(kind, key, "Failed", {}, QUIET_SECONDS)
        told = [it for it in receiver.messages if it["data"]["key"] == key]
        assert len(told) == 1, f"died at call {calls}"
        if not life.is_over:
            break
    else:
        pytest.fail("it never came to its end")
    assert calls > 4
    twice = receiver.requests - len(receiver.messages)
    assert twice <= 2, "again only where what was told could not be written down"


async def test_whoever_dies_at_an_end_it_is_told_once(
    alerts: Alerts, other: Alerts, receiver: Receiver, clock: Clock
) -> None:
    for calls in range(100):
        receiver.taken.clear()
        await alerts.notice("reconnects", str(calls), "Often", {}, QUIET_SECONDS)
        clock.now += QUIET_SECONDS + 1
        life = Life(calls, carried_out=True)
        with suppress(Died):
            await replace(alerts, store=dying(alerts.store, life)).sweep()
        clock.now += CLAIM_MS / 1000 + 1
        await other.sweep()
        assert receiver.types == ["alert.raised", "alert.resolved"], f"died at call {calls}"
        await alerts.store.records.delete(UNSETTLED, f"reconnects/{calls}")
        if not life.is_over:
            break
    else:
        pytest.fail("it never came to its end")


class Slow(Webhook):
    """Is answered when a test says so."""

    def __init__(self) -> None:
        super().__init__("https://hooks.example", KEY)
        self.asked, self.answered = asyncio.Event(), asyncio.Event()

    async def post(self, id: str, body: bytes) -> None:
        self.asked.set()
        await self.answered.wait()


async def test_who_comes_too_late_with_an_answer_changes_nothing(
    alerts: Alerts, other: Alerts, receiver: Receiver, clock: Clock
) -> None:
    """By then its claim is another's, who has told it, and its end is still to be told."""
    slow = Slow()
    late = asyncio.create_task(replace(alerts, webhook=slow).notice(*RATE, QUIET_SECONDS))
    await asyncio.wait_for(slow.asked.wait(), 5)
    clock.now += CLAIM_MS / 1000 + 1
    await other.sweep()
    assert receiver.types == ["alert.raised"]
    clock.now += QUIET_SECONDS + 1
    receiver.faults = [404]
    await other.sweep()
    slow.answered.set()
    assert await asyncio.wait_for(late, 5)
    clock.now += HOUR
    await other.sweep()
    assert receiver.types == ["alert.raised", "alert.resolved"]


async def test_what_is_seen_all_the_time_is_not_written_each_time(
    store: Store, alerts: Alerts, clock: Clock
) -> None:
    await alerts.notice(*RATE, QUIET_SECONDS)
    (before,) = await store.records.query(KIND)
    for _ in range(5):
        clock.now += QUIET_SECONDS / 30
        await alerts.notice(*RATE, QUIET_SECONDS)
    assert await store.records.query(KIND) == [before]


async def test_a_receiver_that_is_away_is_told_when_it_is_back(
    store: Store, alerts: Alerts, other: Alerts, receiver: Receiver, clock: Clock
) -> None:
    receiver.faults = [500, 503, 502, 429, 500, 500]
    assert await alerts.notice(*FAILED)
    assert (receiver.requests, receiver.types) == (3, [])
    await other.sweep()
    assert receiver.requests == 3, "its pause is not over"
    clock.now += PAUSES_MS[0] / 1000 + 1
    await other.sweep()
    assert (receiver.requests, receiver.types) == (6, [])
    clock.now += PAUSES_MS[0] / 1000 + 1
    await other.sweep()
    assert receiver.requests == 6, "pauses grow"
    clock.now += PAUSES_MS[1] / 1000
    await alerts.sweep()
    assert receiver.types == ["alert.raised"]
    assert (await incident(store)).is_settled


async def test_a_lost_answer_brings_the_same_message_again(
    alerts: Alerts, receiver: Receiver
) -> None:
    receiver.faults = ["drop", 500]
    await alerts.notice(*FAILED)
    assert len(receiver.taken) == 2
    assert len(receiver.messages) == 1


async def test_a_receiver_is_left_alone_for_as_long_as_it_says(
    alerts: Alerts, receiver: Receiver, clock: Clock
) -> None:
    receiver.faults, receiver.retry_after = [429], "600"
    await alerts.notice(*FAILED)
    assert receiver.requests == 1
    clock.now += 590
    await alerts.sweep()
    assert receiver.requests == 1
    clock.now += 11
    await alerts.sweep()
    assert receiver.types == ["alert.raised"]


@pytest.mark.parametrize("fault", [401, 404, "redirect"])
async def test_a_refusal_is_asked_about_later_and_no_redirect_followed(
    alerts: Alerts, receiver: Receiver, clock: Clock, fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.faults = [fault]
    await alerts.notice(*FAILED)
    assert (receiver.requests, receiver.types) == (1, [])
    assert receiver.url not in caplog.text
    assert KEY.hex() not in caplog.text
    clock.now += PAUSES_MS[0] / 1000 + 1
    await alerts.sweep()
    assert receiver.types == ["alert.raised"]


async def test_a_receiver_that_never_answers_is_given_up(
    store: Store,
    alerts: Alerts,
    receiver: Receiver,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(webhook, "ANSWER_SECONDS", 0.1)
    receiver.faults = ["deaf", "deaf", "deaf", *[404] * (MAX_ROUNDS - 1)]
    await alerts.notice(*RATE, QUIET_SECONDS)
    for _ in range(2 * MAX_ROUNDS):
        clock.now += PAUSES_MS[-1] / 1000 + 1
        await alerts.sweep()
    assert receiver.requests == 3 + MAX_ROUNDS - 1
    assert receiver.types == [], "nor is its end told"
    assert "given up" in caplog.text
    assert (await incident(store)).is_settled


async def test_what_is_never_told_of_does_not_end(
    store: Store, alerts: Alerts, receiver: Receiver, clock: Clock
) -> None:
    """Its end would be the end of nothing."""
    receiver.faults = [404, 404]
    await alerts.notice(*RATE, QUIET_SECONDS)
    clock.now += HOUR
    await alerts.sweep()
    assert receiver.types == []
    clock.now += HOUR
    await alerts.sweep()
    assert receiver.types == ["alert.raised"]
    await alerts.sweep()
    assert receiver.types == ["alert.raised", "alert.resolved"]


async def test_one_that_fails_stops_no_other(
    store: Store, alerts: Alerts, receiver: Receiver, clock: Clock
) -> None:
    receiver.faults = [404, 404]
    await alerts.notice("workflow", "a", "A", {})
    await alerts.notice("workflow", "b", "B", {})
    clock.now += HOUR

    class Records:
        async def get(self, kind: str, id: str) -> Any:
            if id == "workflow/a":
                raise Transient("away")
            return await store.records.get(kind, id)

        put = staticmethod(store.records.put)
        query = staticmethod(store.records.query)
        delete = staticmethod(store.records.delete)

    with pytest.raises(Transient):
        await replace(alerts, store=store._replace(records=Records())).sweep()
    assert [message["data"]["key"] for message in receiver.messages] == ["b"]


async def test_a_sweep_ends_where_the_receiver_is_away(
    alerts: Alerts, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each incident would take a round's time; what is left is the next sweep's."""
    receiver.faults = [404, 404, 404]
    for key in ("a", "b", "c"):
        await alerts.notice("workflow", key, "Failed", {})
    clock.now += HOUR
    times = iter([0.0, 0.0])  # when the sweep begins, and before its first round
    with monkeypatch.context() as patch:
        patch.setattr(alerts_module, "monotonic", lambda: next(times, SWEEP_SECONDS + 1))
        assert len(await alerts.sweep()) == 1
    assert len(receiver.messages) == 1
    await alerts.sweep()
    assert [message["data"]["key"] for message in receiver.messages] == ["a", "b", "c"]


@pytest.mark.parametrize("call", ["notice", "sweep"])
async def test_an_incident_that_others_write_all_the_time_is_given_up(
    store: Store, alerts: Alerts, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    if call == "sweep":
        receiver.faults = [404]
        await alerts.notice(*FAILED)
        alerts = replace(alerts, clock=lambda: Clock.now + HOUR)
    put = store.records.put

    async def conflict(kind: str, *args: Any, **options: Any) -> Any:
        if kind == KIND:
            raise Conflict("others were quicker")
        return await put(kind, *args, **options)

    monkeypatch.setattr(
        type(store.records), "put", lambda _, *args, **options: conflict(*args, **options)
    )
    with pytest.raises(Transient, match="too many"):
        async with asyncio.timeout(10):
            await (alerts.notice(*FAILED) if call == "notice" else alerts.sweep())
    assert receiver.types == []


async def test_what_is_no_text_is_told_all_the_same(alerts: Alerts, receiver: Receiver) -> None:
    name = b"order-\xff.csv".decode(errors="surrogateescape")
    assert await alerts.notice("imports", name, f"{name} is bad", {name: name})
    assert not await alerts.notice("imports", name, f"{name} is bad", {})
    (message,) = receiver.messages
    assert message["data"]["title"] == "order-?.csv is bad"
    assert message["data"]["details"] == {"order-?.csv": "order-?.csv"}


async def test_long_keys_with_one_beginning_are_incidents_of_their_own(
    alerts: Alerts, receiver: Receiver
) -> None:
    for key in ("x" * 500, "x" * 501, "x" * 500):
        await alerts.notice("workflow", key, "Failed", {})
    assert [len(message["data"]["key"]) for message in receiver.messages] == [500, 501]
    for record in await alerts.store.records.query(KIND):
        assert len(record.id) < 300


def test_what_is_too_long_is_cut() -> None:
    details: dict[str, Detail] = {f"n{n}": "x" * 5000 for n in range(100)} | {"n1": 7}
    made = Incident.new("k", "key", "t" * 1000, details, None, 1)
    assert len(made.message) < 25_000
    assert made.details["n1"] == 7
    assert Incident.parse(made.text) == made
