"""What servers count of what passes, alone and together, and who may see it."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from time import time
from typing import Any, cast

import httpx
import pytest

from functions import cron, metrics, streams
from lastevent.core.errors import ConfigError, StoreUnavailable
from lastevent.serve import metrics as counting
from lastevent.serve import metrics_views as views
from lastevent.serve.auth import mint
from lastevent.serve.metrics import Metrics, metrics_of
from lastevent.serve.settings import Settings
from lastevent.services.incident import Incident
from lastevent.services.metrics.bucket import Bucket
from lastevent.services.metrics.minutes import LATE_MINUTES
from lastevent.stores.base import Records
from tests.serve.running import Running, Serve, any_store, gone
from tests.services.receiver import KEY

HISTORY = "/api/metrics/history"
BEACON = "/api/metrics/beacon"
SECRET = "s" * 40
on_sqlite = pytest.mark.parametrize(
    "settings", ["sqlite:///{}/test.db"], indirect=True, ids=["sqlite"]
)


class Clock:
    """The wall clock of the counts, in the middle of a minute until a test moves it."""

    now = 60.0 * 30_000_000 + 20

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    for module in (counting, views):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(views, "KEEP_SECONDS", -1.0)
    yield clock


async def start(serve: Serve, **changes: Any) -> Running:
    return await serve(routes=[*streams.routes, *metrics.routes], metrics=True, **changes)


def counts_of(server: Running) -> Metrics:
    found = server.service.part(metrics_of)
    assert found is not None
    return found


async def told(clock: Clock, *servers: Running) -> None:
    """Let a minute pass, and the servers tell of it."""
    clock.now += 60
    for server in servers:
        await counts_of(server).rest()
    clock.now += counting.SETTLED_SECONDS


async def history(server: Running, **headers: str) -> dict[str, Any]:
    answer = await server.client.get(HISTORY, headers=headers)
    assert answer.status_code == 200, answer.text
    return cast(dict[str, Any], answer.json())


async def read_events(server: Running, count: int) -> None:
    async with server.leg("s?from=start") as leg:
        await leg.notes(count)
        await leg.until("live")
    await gone(server)


@on_sqlite
async def test_two_servers_add_up(serve: Serve, clock: Clock) -> None:
    """RULES 26."""
    one, other = await start(serve), await start(serve)
    await one.publish("s", 1, 2, 3)
    await other.publish("s", 4)
    for server in (one, other, other):
        await read_events(server, 4)
    await told(clock, one, other)
    found = await history(one)
    (point,) = found["points"]
    assert point["opened"] == 3
    assert point["left"] == 3
    assert point["planned"] == point["reconnects"] == 0
    assert point["published"] == pytest.approx(4 / 60, rel=0.01)
    assert point["delivered"] == pytest.approx(12 / 60, rel=0.01)
    assert found["now"]["servers"] == 2
    assert found["now"]["opened"] == 3
    assert await history(other) == found, "whoever is asked"


@any_store
async def test_planned_ends_and_cuts_are_told_apart(serve: Serve, clock: Clock) -> None:
    server = await start(serve, max_leg_seconds=0.05)
    (cursor,) = await server.publish("s", 1)
    for _ in range(3):
        async with server.leg("s", Last_Event_ID=cursor) as leg:
            await leg.until("rotate")
    server.service.settings = replace(server.service.settings, max_leg_seconds=50.0)
    for _ in range(5):
        async with server.leg("s", Last_Event_ID=cursor) as leg:
            await leg.until("live")
    await gone(server)
    await told(clock, server)
    (point,) = (await history(server))["points"]
    assert (point["opened"], point["planned"], point["left"]) == (8, 3, 5)
    assert point["reconnects"] == 5, "eight came back, three were asked to"


@any_store
async def test_connections_are_the_time_that_they_are_open(serve: Serve, clock: Clock) -> None:
    server = await start(serve)
    await server.publish("s", 1)
    async with server.leg("s?from=start") as first, server.leg("s?from=start") as second:
        await first.until("live")
        await second.until("live")
        clock.now += 40  # to the end of the minute
        await told(clock, server)
        assert (await history(server))["points"][0]["connections"] == pytest.approx(
            2 * 40 / 60, rel=0.001
        )
        await told(clock, server)
    points = (await history(server))["points"]
    assert points[-1]["connections"] == 2


@any_store
async def test_latency_is_from_the_acknowledgement_to_the_readers(
    serve: Serve, clock: Clock
) -> None:
    server = await start(serve)
    await server.publish("s", 0)
    async with server.leg("s?from=start") as leg:
        await leg.until("live")
        for number in range(20):
            await server.publish("s", number)
            await leg.notes(1)
    await gone(server)
    await told(clock, server)
    found = await history(server)
    assert 0 < found["now"]["p50"] <= found["now"]["p95"] < 5000
    scraped = (await server.client.get("/api/metrics")).text
    assert "lastevent_delivery_latency_seconds_count 20\n" in scraped


@any_store
async def test_what_nobody_waits_for_has_no_latency(serve: Serve, clock: Clock) -> None:
    server = await start(serve)
    await server.publish("s", 0)
    async with server.leg("s?from=start") as leg:
        await leg.until("live")
    await gone(server)
    await server.publish("s", 1, 2)  # the tail lingers, and reads them for nobody
    await server.publish("s", 3)
    async with server.leg("s?from=start") as leg:
        await leg.until("live")
        await server.publish("s", 4)
        await leg.notes(1)
    await gone(server)
    await told(clock, server)
    scraped = (await server.client.get("/api/metrics")).text
    assert "lastevent_delivery_latency_seconds_count 1\n" in scraped


@any_store
async def test_a_publish_that_is_repeated_is_counted_once(serve: Serve, clock: Clock) -> None:
    server = await start(serve)
    for _ in range(3):
        answer = await server.client.post(
            "/api/streams/s", json={"data": 1}, headers={"Idempotency-Key": "k"}
        )
        assert answer.status_code == 201
    await told(clock, server)
    scraped = (await server.client.get("/api/metrics")).text
    assert "lastevent_events_published_total 1\n" in scraped


@any_store
async def test_polls_are_counted(serve: Serve, clock: Clock) -> None:
    server = await start(serve)
    await server.publish("s", 1, 2)
    for _ in range(3):
        await server.client.get("/api/streams/s", headers={"Accept": "application/json"})
    await told(clock, server)
    scraped = (await server.client.get("/api/metrics")).text
    assert "lastevent_polls_total 3\n" in scraped
    assert "lastevent_events_delivered_total 6\n" in scraped
    assert "lastevent_legs_total 0\n" in scraped


class Watched:
    """Counts the requests that records take, and fails on demand."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.puts = self.others = 0
        self.is_away = False

    def __getattr__(self, name: str) -> Any:
        if self.is_away:
            raise StoreUnavailable("away")
        if name == "put":
            self.puts += 1
        else:
            self.others += 1
        return getattr(self._records, name)


def watched(server: Running) -> Watched:
    records = Watched(server.service.store.records)
    counts_of(server).minutes._records = cast(Records, records)
    return records


@any_store
async def test_a_minute_costs_a_write_and_an_idle_one_nothing(serve: Serve, clock: Clock) -> None:
    server = await start(serve)
    records = watched(server)
    for _ in range(3):
        await told(clock, server)
    assert (records.puts, records.others) == (0, 0), "nothing happens"
    await server.publish("s", *range(500))
    for _ in range(20):
        await read_events(server, 500)
    await counts_of(server).rest()
    assert (records.puts, records.others) == (0, 0), "the minute is not over"
    await told(clock, server)
    assert (records.puts, records.others) == (1, 0)
    for _ in range(3):
        await told(clock, server)
    assert (records.puts, records.others) == (1, 0), "nothing happens any more"
    async with server.leg("s?from=start") as leg:
        await leg.until("live")
        for _ in range(3):
            await told(clock, server)
    assert (records.puts, records.others) == (4, 0), "somebody was connected"


@any_store
async def test_a_timer_tells_where_nothing_rests(
    serve: Serve, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "SPREAD_SECONDS", 0.05)
    server = await start(serve)
    clock.now = 60.0 * 30_000_000 + 59.9
    await server.publish("s", 1)
    clock.now += 0.11
    async with asyncio.timeout(10):
        while not (records := await server.service.store.records.query("metrics-minutes")):
            await asyncio.sleep(0.02)
    assert [record.id for record in records] == ["30000000/0"]


@any_store
async def test_what_the_store_does_not_take_is_told_later(
    serve: Serve, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    server = await start(serve)
    records = watched(server)
    await server.publish("s", 1)
    records.is_away = True
    await told(clock, server)
    assert "could not be told yet" in caplog.text
    await server.publish("s", 2)
    await told(clock, server)
    records.is_away = False
    await told(clock, server)
    points = (await history(server))["points"]
    assert [round(point["published"] * 60) for point in points] == [1, 1], "each in its minute"
    records.is_away = True
    await server.publish("s", 3)
    await told(clock, server)
    clock.now += 60 * (LATE_MINUTES + 1)
    records.is_away = False
    await server.publish("s", 4)
    await told(clock, server)
    assert "is lost" in caplog.text
    assert len((await history(server))["points"]) == 3


@any_store
async def test_a_process_that_was_frozen_tells_when_it_wakes(serve: Serve, clock: Clock) -> None:
    server = await start(serve)
    await server.publish("s", 1)
    await counts_of(server).rest()
    clock.now += 600
    await server.publish("s", 2)
    await counts_of(server).rest()
    clock.now += 7200
    await server.publish("s", 3)
    await told(clock, server)
    total = await counts_of(server).minutes.total(int(clock.now // 60))
    assert total.counts["published"] == 3
    (point,) = (await history(server))["points"]
    assert round(point["published"] * 60) == 2, "what was counted two hours ago goes with this"


@on_sqlite
async def test_a_process_that_ends_tells_what_it_has(serve: Serve, clock: Clock) -> None:
    one, other = await start(serve), await start(serve)
    await one.publish("s", 1)
    await counts_of(one).aclose()
    total = await counts_of(other).minutes.total(int(clock.now // 60))
    assert total.counts["published"] == 1


async def test_store_commands_are_those_that_the_store_counts(
    serve: Serve, clock: Clock, settings: Settings
) -> None:
    used = {"EVAL": 7, "read_units": 1000.0}
    server = await start(serve)
    assert (await history(server))["now"] is None
    server.service.store = server.service.store._replace(usage=lambda: dict(used))
    await server.publish("s", 1)
    used["EVAL"] += 5
    await told(clock, server)
    assert (await history(server))["now"]["commands"] == 5
    server.service.store = server.service.store._replace(usage=None)
    await server.publish("s", 2)
    await told(clock, server)
    assert (await history(server))["now"]["commands"] is None, "not known is not zero"


@any_store
async def test_hours_make_a_month_and_the_sweep_makes_hours(serve: Serve, clock: Clock) -> None:
    server = await start(serve)
    records = watched(server)
    for _ in range(3):
        await server.publish("s", 1)
        await told(clock, server)
        clock.now += 3600
    writes = records.puts
    assert cron.MODULES["metrics"] == counting.__name__
    await counting.sweep(server.service)
    reads = records.others
    assert records.puts > writes
    await counting.sweep(server.service)
    assert records.others == reads, "once an hour"
    answer = await server.client.get(HISTORY, params={"minutes": 30 * 1440})
    month = answer.json()
    assert month["step"] == 3600
    assert [round(point["published"] * 60) for point in month["points"]] == [1, 1, 1]
    assert month["to"] % 3_600_000 == 0, "the hour that is not over is left out"
    day = (await server.client.get(HISTORY, params={"minutes": 1440})).json()
    assert (day["step"], len(day["points"])) == (300, 3)


@any_store
async def test_lambda_gets_a_line_of_json_a_minute(
    serve: Serve, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    server = await start(serve, lambda_function="lastevent-streams")
    for number in range(5):
        await server.publish("s", number)
        await counts_of(server).rest()
    assert capsys.readouterr().out == ""
    await told(clock, server)
    await told(clock, server)
    (text,) = capsys.readouterr().out.splitlines()
    value = json.loads(text)
    assert value["EventsPublished"] == 5
    assert value["FunctionName"] == "lastevent-streams"
    assert value["_aws"]["Timestamp"] == 30_000_000 * 60_000


# Who may, and what is refused.


async def as_who(**claims: object) -> dict[str, str]:
    return {"Authorization": f"Bearer {mint(SECRET, {'sub': 'anna', **claims}, 600)}"}


@any_store
@pytest.mark.parametrize("path", [HISTORY, "/api/metrics"])
async def test_who_may_read_metrics(serve: Serve, clock: Clock, path: str) -> None:
    server = await start(serve, development=False, auth_secret=SECRET)
    assert (await server.client.get(path)).status_code == 401
    for claims, status in (
        ({"read": ["metrics"]}, 200),
        ({"read": ["*"]}, 200),
        ({"read": ["merchant:42"], "merchant": "42"}, 403),
        ({"read": ["user:anna"], "role": "client"}, 403),
        ({"append": ["*"]}, 403),
    ):
        answer = await server.client.get(path, headers=await as_who(**claims))
        assert answer.status_code == status, claims
        if status == 403:
            assert answer.headers["content-type"] == "application/problem+json"


@any_store
async def test_a_scraper_is_answered_as_it_asks(serve: Serve, clock: Clock) -> None:
    server = await start(serve)
    plain = await server.client.get("/api/metrics")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    other = await server.client.get(
        "/api/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    assert other.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert other.text.endswith("# EOF\n")
    assert "vary" in other.headers


def beacon(**changes: object) -> dict[str, object]:
    counts = {"legs": 2, "plannedEnds": 1, "cuts": 0, "polls": 0}
    whole = {"page": "/jobs", "transport": "stream", "latencies": [12.5, 40], "counts": counts}
    return whole | changes


@any_store
async def test_pages_are_counted_with_their_users(serve: Serve, clock: Clock) -> None:
    server = await start(serve, development=False, auth_secret=SECRET)
    for user, transport in (("anna", "stream"), ("anna", "stream"), ("ben", "polling")):
        headers = await as_who(sub=user)
        answer = await server.client.post(BEACON, json=beacon(transport=transport), headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")
    await told(clock, server)
    found = await history(server, **await as_who(read=["metrics"]))
    stream, polling = found["transports"]["stream"], found["transports"]["polling"]
    assert (stream["users"], polling["users"], stream["share"]) == (1, 1, 0.5)
    assert (stream["legs"], stream["plannedEnds"], stream["events"]) == (4, 2, 4)
    assert stream["requests"] == 4, "of one user in one minute"
    assert 10 < polling["p50"] < 15
    kept = await server.service.store.records.query("metrics-minutes")
    assert all("anna" not in record.value for record in kept), "no names are kept"


@any_store
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        json.dumps(beacon(transport="websocket")).encode(),
        json.dumps(beacon(latencies=[-1])).encode(),
        json.dumps(beacon(latencies=["12"])).encode(),
        json.dumps(beacon(latencies=[1.0] * 201)).encode(),
        json.dumps(beacon(latencies=[1e300])).encode(),
        b'{"page":"/","transport":"stream","latencies":[NaN],"counts":{}}',
        json.dumps(beacon(counts={"legs": -1})).encode(),
        json.dumps(beacon(counts={"legs": 10**9})).encode(),
        json.dumps(beacon(counts={"others": 1})).encode(),
        json.dumps(beacon(page="")).encode(),
        json.dumps(beacon(page="/" * 201)).encode(),
        json.dumps(beacon(more=1)).encode(),
    ],
)
async def test_what_no_page_sends_is_refused(serve: Serve, clock: Clock, body: bytes) -> None:
    server = await start(serve)
    answer = await server.client.post(BEACON, content=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    await told(clock, server)
    assert (await history(server))["now"] is None, "nothing of it was counted"


@any_store
async def test_beacons_have_a_size_an_origin_and_a_user(serve: Serve, clock: Clock) -> None:
    server = await start(serve)
    large = await server.client.post(BEACON, content=b" " * (metrics.BEACON_BYTES + 1))
    assert large.status_code == 413
    elsewhere = {"Origin": "https://elsewhere.example"}
    answer = await server.client.post(BEACON, json=beacon(), headers=elsewhere)
    assert answer.status_code == 403
    closed = await start(serve, development=False, auth_secret=SECRET)
    assert (await closed.client.post(BEACON, json=beacon())).status_code == 401


@on_sqlite
async def test_a_user_sends_so_many_over_all_servers(
    serve: Serve, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RULES 26. A server takes some at once from what the store allows."""
    one, other = await start(serve), await start(serve)
    statuses = []
    for number in range(metrics.BEACON_RATE.count + 2 * metrics.PREPAID):
        answer = await (one, other)[number % 2].client.post(BEACON, json=beacon())
        statuses.append(answer.status_code)
    assert 204 in statuses
    assert set(statuses) == {204, 429}
    taken = statuses.count(204)
    most = metrics.BEACON_RATE.count
    assert most - 2 * metrics.PREPAID <= taken <= most + metrics.PREPAID
    refused: httpx.Response = await one.client.post(BEACON, json=beacon())
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1


@any_store
async def test_minutes_are_a_number(serve: Serve, clock: Clock) -> None:
    server = await start(serve)
    for text in ("0", "4", "43201", "-5", "1e3", "x", "", "9" * 30, "٣٣"):
        answer = await server.client.get(HISTORY, params={"minutes": text})
        assert answer.status_code in (400, 200), text
        assert (answer.status_code == 200) == (text == "٣٣"), text


@any_store
async def test_switched_off_nothing_is_counted_or_answered(serve: Serve, clock: Clock) -> None:
    server = await serve(routes=[*streams.routes, *metrics.routes], metrics=False)
    await server.publish("s", 1)
    await read_events(server, 1)
    assert server.service.part(metrics_of) is None
    for answer in (
        await server.client.get("/api/metrics"),
        await server.client.get(HISTORY),
        await server.client.post(BEACON, json=beacon()),
    ):
        assert answer.status_code == 404
        assert "LASTEVENT_METRICS" in answer.json()["detail"]
    await counting.sweep(server.service)
    assert await server.service.store.records.query("metrics-total") == []


@any_store
async def test_thresholds_in_force_and_incidents_that_go_on_are_told(
    serve: Serve, clock: Clock
) -> None:
    quiet = await start(serve)
    found = await history(quiet)
    assert (found["thresholds"], found["incidents"]) == ({"reconnects": None}, [])
    url = "http://127.0.0.1:1/hook"
    server = await start(serve, alert_url=url, alert_secret=KEY, alert_reconnects=8)
    now = int(time() * 1000)
    incident = Incident.new("reconnects", "all", "Clients come back", {}, 300_000, now)
    records = server.service.store.records
    await records.put("alerts", "reconnects/all", incident.text)
    await records.put("alerts-unsettled", "reconnects/all", "")
    over = Incident.new("reconnects", "old", "Over", {}, 1, now - 10**6).told()
    await records.put("alerts", "reconnects/old", over.text)
    await records.put("alerts-unsettled", "reconnects/old", "")
    found = await history(server)
    assert found["thresholds"] == {"reconnects": 8}
    assert [it["title"] for it in found["incidents"]] == ["Clients come back"]


@any_store
async def test_those_who_look_together_share_an_answer(
    serve: Serve, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "KEEP_SECONDS", 10.0)
    server = await start(serve)
    records = watched(server)
    await asyncio.gather(*(history(server) for _ in range(5)))
    assert records.others == 1
    clock.now += 11
    records.is_away = True
    assert (await server.client.get(HISTORY)).status_code == 503
    records.is_away = False
    assert (await server.client.get(HISTORY)).status_code == 200, "a failure is not kept"


def test_settings() -> None:
    base = {"LASTEVENT_AUTH_SECRET": SECRET, "LASTEVENT_STORE_URL": "upstash://"}
    assert Settings.from_env(base).metrics
    assert not Settings.from_env(base | {"LASTEVENT_METRICS": "off"}).metrics
    assert Settings.from_env(base | {"AWS_LAMBDA_FUNCTION_NAME": "f"}).lambda_function == "f"
    with pytest.raises(ConfigError, match="on or off"):
        Settings.from_env(base | {"LASTEVENT_METRICS": "no"})


def test_a_bucket_with_commands_alone_is_empty() -> None:
    bucket = Bucket()
    bucket.counts["commands"] = 5
    assert bucket.is_empty
