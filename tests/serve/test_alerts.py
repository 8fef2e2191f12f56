"""Alerts of two servers on one store, and what counts as a client that comes back too often."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from functions import cron
from lastevent.core.bounds import Reason
from lastevent.core.errors import ConfigError, StoreUnavailable
from lastevent.serve import reconnects as counting
from lastevent.serve.alerts import raise_alert, sweep
from lastevent.serve.reconnects import Reconnects, add, reconnects
from lastevent.serve.service import Service
from lastevent.serve.settings import Settings
from lastevent.services import incident
from lastevent.stores.base import Records
from lastevent.stores.url import open_store
from tests.serve.running import WAIT_SECONDS, Running, Serve, any_store, gone
from tests.services.receiver import KEY, Receiver, receiving

LIMIT = 8
on_sqlite = pytest.mark.parametrize(
    "settings", ["sqlite:///{}/test.db"], indirect=True, ids=["sqlite"]
)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as it:
        yield it


@pytest.fixture
def told(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(counting, "FLUSH_SECONDS", 0.2)
    monkeypatch.setattr(counting, "FIRST_SECONDS", 0.1)
    return {"alert_url": receiver.url, "alert_secret": KEY, "alert_reconnects": LIMIT}


async def come_back(server: Running, cursor: str) -> None:
    """Begin a leg, and be cut off."""
    async with server.leg("s", Last_Event_ID=cursor) as leg:
        await leg.until("live")


async def settled(*servers: Running) -> None:
    """Wait until all that was counted is in the store, or in no need to be."""
    async with asyncio.timeout(WAIT_SECONDS):
        for server in servers:
            await gone(server)
            counted = server.service.part(reconnects)
            assert counted is not None
            while counted._count or counted._flushing is not None:
                await asyncio.sleep(0.02)


@on_sqlite
async def test_clients_that_are_cut_again_and_again_are_one_alert(
    serve: Serve, receiver: Receiver, told: dict[str, Any]
) -> None:
    one, other = await serve(**told), await serve(**told)
    (cursor,) = await one.publish("s", 1)
    for number in range(LIMIT - 1):
        await come_back((one, other)[number % 2], cursor)
    await settled(one, other)
    assert receiver.taken == [], "neither of them has seen so many, nor both together"
    for server in (one, other) * 3:
        await come_back(server, cursor)
    await settled(one, other)
    (message,) = receiver.messages
    assert message["data"]["kind"] == "reconnects"
    assert message["data"]["details"]["rate"] >= LIMIT
    assert receiver.requests == 1


@any_store
async def test_pauses_on_purpose_are_no_trouble(
    serve: Serve, receiver: Receiver, told: dict[str, Any]
) -> None:
    """RULES 21. A client that comes without a cursor does not come back."""
    server = await serve(**told, max_leg_seconds=0.05)
    (cursor,) = await server.publish("s", 1)
    for _ in range(2 * LIMIT):
        async with server.leg("s", Last_Event_ID=cursor) as leg:
            await leg.until("rotate")
        async with server.leg("s") as leg:
            await leg.until("rotate")
    await settled(server)
    assert receiver.taken == []
    assert await server.service.store.records.query(counting.KIND), "but it has counted"


@any_store
async def test_without_an_address_nothing_is_counted(serve: Serve) -> None:
    server = await serve()
    (cursor,) = await server.publish("s", 1)
    await come_back(server, cursor)
    assert reconnects not in server.service._parts
    assert not await raise_alert(server.service, "workflow", "po-1", "It failed", {})
    assert (
        reconnects((await serve(alert_url="http://127.0.0.1:1", alert_reconnects=0)).service)
        is None
    )


class Counting:
    """Counts the requests that records take."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.requests = 0
        self.is_away = False

    def __getattr__(self, name: str) -> Any:
        if self.is_away:
            raise StoreUnavailable("away")
        self.requests += 1
        return getattr(self._records, name)


def watched(service: Service) -> Counting:
    records = Counting(service.store.records)
    service.store = service.store._replace(records=cast(Records, records))
    return records


@any_store
async def test_a_leg_costs_the_store_nothing_by_itself(
    serve: Serve, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "FLUSH_SECONDS", 60.0)
    server = await serve(**told | {"alert_reconnects": 10**6})
    records = watched(server.service)
    counted = Reconnects(server.service)
    counted._flush()
    assert records.requests == 0, "nothing to tell"
    for _ in range(500):
        counted.begun(resumed=True)
    async with asyncio.timeout(WAIT_SECONDS):
        while counted._count or counted._flushing is not None:
            await asyncio.sleep(0.02)
    assert records.requests == 2
    for _ in range(500):
        counted.begun(resumed=True)
        counted.ended(Reason.DURATION)
        counted.begun(resumed=False)
        counted.ended(None)
    await asyncio.sleep(0.3)
    await counted.rest()
    assert records.requests == 2, "there is nothing new"
    for _ in range(500):
        counted.begun(resumed=True)
    await asyncio.sleep(0.3)
    await counted.rest()
    assert records.requests == 2, "it is not due"
    await counted.aclose()
    assert records.requests == 4, "what is known is told before the process goes"


@any_store
async def test_what_could_not_be_told_is_told_later(
    serve: Serve, receiver: Receiver, told: dict[str, Any]
) -> None:
    server = await serve(**told)
    records = watched(server.service)
    records.is_away = True
    counted = server.service.part(reconnects)
    assert counted is not None
    for _ in range(LIMIT):
        counted.begun(resumed=True)
    await asyncio.sleep(0.5)
    assert receiver.taken == []
    records.is_away = False
    await settled(server)
    assert len(receiver.messages) == 1


async def test_the_sum_is_of_a_minute_that_moves(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/test.db")
    await store.prepare()
    minute = 60.0 * 1_000_000
    assert await add(store.records, 30, minute + 59) == 30
    assert await add(store.records, 10, minute + 60) == 40
    assert await add(store.records, 0, minute + 90) == 25, "half of it is a minute ago"
    assert await add(store.records, 5, minute + 59) == 45, "a clock that is behind"
    assert await add(store.records, -100, minute + 119) == 0
    assert await add(store.records, 1, minute + 600) == 1
    sums = await asyncio.gather(*(add(store.records, 1, minute + 601) for _ in range(4)))
    assert max(sums) == 5
    await store.close()


@on_sqlite
async def test_what_one_server_could_not_tell_anothers_sweep_tells(
    serve: Serve, receiver: Receiver, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incident, "PAUSES_MS", (0,))
    one, other = await serve(**told), await serve(**told)
    receiver.faults = [404]
    assert await raise_alert(one.service, "workflow", "po-1", "It failed", {"stage": "parsing"})
    assert receiver.messages == []
    assert cron.MODULES["alerts"] == sweep.__module__
    swept = await sweep(other.service)
    assert [(it["kind"], it["state"]) for it in swept] == [("alerts", "raised")]
    assert await sweep(one.service) == []
    (message,) = receiver.messages
    assert message["data"]["details"] == {"stage": "parsing"}
    assert message["data"]["id"] == swept[0]["id"]


ALERTS = {
    "LASTEVENT_AUTH_SECRET": "s" * 32,
    "LASTEVENT_ALERT_URL": "https://alerts.example/hook/hush-hush",
    "LASTEVENT_ALERT_SECRET": "whsec_" + "aHVz" * 10,
}


def test_settings() -> None:
    settings = Settings.from_env(ALERTS)
    assert settings.alert_secret == b"hus" * 10
    assert settings.alert_reconnects == 100
    assert "hus" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LASTEVENT_ALERT_URL", "http://alerts.example/hook"),
        ("LASTEVENT_ALERT_SECRET", "hush-hush"),
        ("LASTEVENT_ALERT_SECRET", ""),
        ("LASTEVENT_ALERT_RECONNECTS", "-1"),
    ],
)
def test_a_wrong_setting_stops_the_start(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=r"^LASTEVENT_ALERT_") as caught:
        Settings.from_env(ALERTS | {variable: value})
    assert variable in str(caught.value)
    assert "hush" not in str(caught.value)
