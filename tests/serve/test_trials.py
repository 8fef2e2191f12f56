"""Trials of connections: the numbers, each fault as a client meets it, and what bounds them."""

import asyncio
import json
from time import monotonic
from typing import Any

import httpx
import pytest

from functions import streams, trials
from lastevent.serve.auth import mint
from lastevent.serve.settings import PASSING, Settings
from lastevent.services import trials as service
from lastevent.services.rates import Rate
from lastevent.services.trial import MAX_FAULTS, MAX_NUMBERS, TRIAL_SECONDS
from lastevent.stores.base import Retention
from tests.serve.running import LegReader, Running, Serve, any_store, state

SECRET = "s" * 40


class Trial:
    """One trial, as its page works it."""

    def __init__(self, server: Running, said: dict[str, Any], headers: dict[str, str]) -> None:
        self.server = server
        self.said = said
        self.path = f"/api/trial/{said['id']}"
        self.headers = headers

    async def publish(self, *numbers: int) -> list[str]:
        """Append numbers; return their events' ids."""
        found = []
        for number in numbers:
            answer = await self.post("numbers", {"number": number})
            assert answer.status_code == 201, answer.text
            found.append(answer.json()["id"])
        return found

    async def ask(self, fault: str) -> None:
        """Ask for a fault."""
        answer = await self.post("faults", {"fault": fault})
        assert answer.status_code == 201, answer.text

    async def post(self, what: str, body: object) -> httpx.Response:
        """Send a body."""
        url = f"{self.path}/{what}"
        return await self.server.client.post(url, json=body, headers=self.headers)

    async def get(self, reader: str = "page") -> int:
        """Return the status of a new request; of one that is served, no more is read."""
        accept = {"Accept": "text/event-stream", **self.headers}
        url = f"{self.path}?reader={reader}"
        async with self.server.client.stream("GET", url, headers=accept) as answer:
            self.retry_after = answer.headers.get("retry-after")
            return answer.status_code


async def start(serve: Serve, **changes: Any) -> Running:
    return await serve(routes=[*streams.routes, *trials.routes], **changes)


async def begin(server: Running, **headers: str) -> Trial:
    answer = await server.client.post("/api/trial", headers=headers)
    assert answer.status_code == 201, answer.text
    return Trial(server, answer.json(), headers)


async def numbers(leg: LegReader, count: int) -> list[int]:
    """Return the numbers of the next ``count`` events."""
    return [json.loads(it.data)["n"] for it in await leg.notes(count)]


async def test_numbers_are_there_once_however_often_they_are_sent(serve: Serve) -> None:
    trial = await begin(await start(serve))
    ids = await trial.publish(1, 2, 2, 1, 3)
    assert ids[0] == ids[3]
    assert len(set(ids)) == 3
    async with trial.server.leg(trial.path) as leg:
        assert await numbers(leg, 3) == [1, 2, 3]
        await leg.until("live")
        await trial.publish(4)
        assert await numbers(leg, 1) == [4]


async def test_a_planned_end_comes_early_and_says_so(serve: Serve) -> None:
    trial = await begin(await start(serve))
    async with trial.server.leg(trial.path) as leg:
        await leg.until("live")
        await trial.ask("end")
        *_, last = await leg.until("rotate")
        assert await leg.next() is None, "the response is whole"
    assert state(last)["retry_ms"] < 200
    async with trial.server.leg(trial.path, Last_Event_ID=last.id) as leg:
        assert len(await leg.until("live")) == 2, "nothing is left to be told, or obeyed"


async def test_a_cut_comes_within_an_event_and_is_met_once(serve: Serve) -> None:
    trial = await begin(await start(serve))
    async with trial.server.leg(trial.path) as leg:
        await leg.until("live")
        (first,) = await trial.publish(1)
        assert await numbers(leg, 1) == [1]
        await trial.ask("cut")
        with pytest.raises(httpx.RemoteProtocolError):
            await leg.next()
        assert leg.raw.endswith(b'\nevent: fault\ndata: {"fault":"')
    await trial.publish(2)
    async with trial.server.leg(trial.path, Last_Event_ID=first) as leg:
        fault, number = await leg.notes(2)
        assert (fault.type, number.data) == ("fault", '{"n":2}')
        await leg.until("live")
        await trial.publish(3)
        assert await numbers(leg, 1) == [3]


async def test_a_stall_sends_nothing_for_longer_than_clients_wait(serve: Serve) -> None:
    trial = await begin(await start(serve, heartbeat_seconds=0.2))
    async with trial.server.leg(trial.path) as leg:
        await leg.until("live")
        await trial.ask("stall")
        (fault,) = await leg.notes(1)
        assert fault.type == "fault"
        await trial.publish(1)
        began = monotonic()
        message = await leg.next()
        assert monotonic() - began > 2 * 0.2, "two beats are what clients wait for"
        # What was kept back comes after it: nothing is lost for who waits longer.
        assert message is not None
        if message.type == "heartbeat":
            assert await numbers(leg, 1) == [1]
        else:
            assert message.data == '{"n":1}'


@any_store
async def test_a_stall_ends_with_its_leg(serve: Serve) -> None:
    trial = await begin(await start(serve, heartbeat_seconds=60.0, max_leg_seconds=0.3))
    async with trial.server.leg(trial.path) as leg:
        await leg.until("live")
        await trial.ask("stall")
        await leg.notes(1)
        with pytest.raises(httpx.RemoteProtocolError):
            await leg.next()


async def test_a_refusal_is_met_once_by_each_reader(serve: Serve) -> None:
    trial = await begin(await start(serve))
    async with trial.server.leg(trial.path) as leg:
        await leg.until("live")
        await trial.ask("busy")
        await leg.until("rotate")
    assert await trial.get() == 503
    assert trial.retry_after == "2"
    assert await trial.get() == 200
    assert await trial.get("native") == 503
    assert await trial.get("native") == 200
    await trial.ask("gone")
    assert await trial.get("replay") == 200
    assert await trial.get() == 204
    assert await trial.get() == 200


@any_store
async def test_a_refusal_that_nobody_meets_passes(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = await begin(await start(serve))
    await trial.ask("busy")
    now = service._now()
    monkeypatch.setattr(service, "_now", lambda: now + 20_000)
    assert await trial.get() == 200


@any_store
async def test_faults_are_obeyed_by_whichever_server_is_asked_and_by_no_replay(
    serve: Serve,
) -> None:
    trial = await begin(await start(serve))
    await trial.publish(1)
    async with (
        trial.server.leg(f"{trial.path}?reader=native") as native,
        trial.server.leg(f"{trial.path}?reader=replay") as replay,
    ):
        await native.until("live")
        await replay.until("live")
        await trial.ask("end")
        await trial.publish(2)
        await native.until("rotate")
        assert [it.data for it in await replay.notes(2)] == ['{"fault":"end"}', '{"n":2}']


@pytest.mark.parametrize("settings", ["sqlite:///{}/test.db"], indirect=True, ids=["sqlite"])
async def test_a_fault_asked_of_one_server_is_obeyed_by_another(serve: Serve) -> None:
    one, other = await start(serve), await start(serve)
    trial = await begin(one)
    async with other.leg(trial.path) as leg:
        await leg.until("live")
        await trial.ask("busy")
        await leg.until("rotate")
    trial.server = other
    assert await trial.get() == 503


@any_store
async def test_who_may(serve: Serve) -> None:
    server = await start(serve, development=False, auth_secret=SECRET)
    server.service.auth.secret = SECRET
    answers = {}
    for sub, append in (
        ("ann", ["trial:ann"]),
        ("ann@example.com", ["trial:*"]),
        ("bob", ["trial:ann"]),
        ("all", ["*"]),
    ):
        token = mint(SECRET, {"sub": sub, "read": ["*"], "append": append}, 60)
        answer = await server.client.post(
            "/api/trial", headers={"Authorization": f"Bearer {token}"}
        )
        answers[sub] = answer.status_code
        if sub == "ann":
            annes = Trial(server, answer.json(), {"Authorization": f"Bearer {token}"})
    assert answers == {"ann": 201, "ann@example.com": 201, "bob": 403, "all": 201}
    assert await annes.get() == 200
    annes.headers = {"Authorization": f"Bearer {token}"}
    assert await annes.get() == 404, "another's trial is not there"
    annes.headers = {}
    assert await annes.get() == 401


@any_store
async def test_everything_is_bounded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "RATE", Rate(2, 600.0))
    server = await start(serve)
    trial = await begin(server)
    assert trial.said["numbers"] == MAX_NUMBERS
    for body in ({"number": 0}, {"number": MAX_NUMBERS + 1}, {"number": "1"}, {}, [1]):
        assert (await trial.post("numbers", body)).status_code == 400
    assert (await trial.post("faults", {"fault": "fire"})).status_code == 400
    assert (await trial.post("faults", {"fault": "e" * 500})).status_code == 413
    assert await trial.get("anybody") == 400
    for _ in range(MAX_FAULTS):
        await trial.ask("end")
    answer = await trial.post("faults", {"fault": "end"})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= TRIAL_SECONDS
    await begin(server)
    assert (await server.client.post("/api/trial")).status_code == 429
    for id in ("0" * 16, "none"):
        trial.path = f"/api/trial/{id}"
        assert await trial.get() == 404
        assert (await trial.post("faults", {"fault": "end"})).status_code == 404
    async with asyncio.timeout(5):
        (record,) = await server.service.store.records.query(
            service.KIND, prefix=f"trial:developer:{trial.said['id']}"
        )
    assert json.loads(record.value)["faults"] == MAX_FAULTS


def test_trials_are_kept_for_minutes_whatever_is_kept_of_the_rest() -> None:
    environ = {"LASTEVENT_AUTH_SECRET": SECRET, "LASTEVENT_RETENTION": "*=9d,1000"}
    retention = Settings.from_env(environ).retention
    kept = retention.of("trial:ann:0123456789abcdef")
    assert kept == dict(PASSING)["trial:*"]
    assert kept.max_seconds <= 900
    assert kept.max_events >= MAX_NUMBERS + MAX_FAULTS
    assert retention.of("user:ann") == Retention(9 * 86400, 1000)
