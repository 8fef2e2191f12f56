"""What servers count: it adds up, whoever counted it, and stays bounded."""

import asyncio
import json
import math
import random
from typing import Any, cast

import pytest

from lastevent.core.errors import StoreUnavailable
from lastevent.services.metrics import minutes as module
from lastevent.services.metrics.bucket import ENDS, PLANNED, Bucket
from lastevent.services.metrics.embedded import MAX_VALUES, line
from lastevent.services.metrics.histogram import HIGHEST, LOWEST, Histogram, upper
from lastevent.services.metrics.minutes import HOURS, MINUTES, SLOTS, TOTAL, Minutes
from lastevent.services.metrics.series import compared, points, rates
from lastevent.services.metrics.users import LIMIT, Users
from lastevent.stores.base import Records, Store
from lastevent.stores.url import open_store

HOUR = 500_000
MINUTE = HOUR * 60


def counted(**counts: int) -> Bucket:
    bucket = Bucket()
    bucket.counts.update(counts)
    return bucket


def histogram(*latencies: float) -> Histogram:
    made = Histogram()
    for ms in latencies:
        made.observe(ms)
    return made


# Histograms.


def test_a_latency_lies_in_its_bucket() -> None:
    for ms in (0.1, 0.5, 1.0, 1.1, 2.0, 5.0, 64.0, 99.9, 1000.0, 100_000.0):
        (index,) = histogram(ms).counts
        assert upper(index - 1) < ms <= upper(index)


def test_what_is_out_of_range_is_counted_at_its_end() -> None:
    assert set(histogram(-5, 0, 1e-9).counts) == {LOWEST}
    assert set(histogram(10**7).counts) == {HIGHEST}


def test_quantiles_are_within_a_bucket_of_the_truth() -> None:
    chance = random.Random(7)
    latencies = sorted(chance.lognormvariate(3, 1.5) for _ in range(5000))
    made = histogram(*latencies)
    for share in (0.01, 0.5, 0.95, 0.99):
        truth = latencies[math.ceil(share * 5000) - 1]
        found = made.quantile(share)
        assert found is not None
        assert truth / 1.19 < found < truth * 1.19
    assert Histogram().quantile(0.5) is None, "no data is not zero"


def test_histograms_of_servers_add_up() -> None:
    one, other, both = histogram(1, 5, 80), histogram(3, 2000), histogram(1, 5, 80, 3, 2000)
    one.add(Histogram.parse(json.loads(json.dumps(other.json))))
    assert (one.counts, one.sum, one.count) == (both.counts, both.sum, 5)


# Users.


def test_a_user_on_two_servers_is_one() -> None:
    one, other = Users(), Users()
    for name in ("anna", "ben"):
        one.add(name)
    for name in ("ben", "cleo"):
        other.add(name)
    one.merge(other)
    assert one.count == 3


def test_many_users_are_estimated_and_few_numbers_kept() -> None:
    one, other = Users(), Users()
    for number in range(20_000):
        (one, other)[number % 2].add(f"user-{number}")
    one.merge(other)
    assert len(one.hashes) == LIMIT
    assert one.count == pytest.approx(20_000, rel=0.2)


# Buckets.


def test_a_bucket_survives_its_text() -> None:
    bucket = counted(opened=2, commands=0)
    bucket.latency("delivery").observe(12, 3)
    bucket.user("stream").add("anna")
    bucket.servers.add("a")
    assert Bucket.parse(bucket.text) == bucket or Bucket.parse(bucket.text).text == bucket.text
    assert "commands" in Bucket.parse(bucket.text).counts, "it is known that there were none"


def test_planned_ends_are_told_from_others() -> None:
    assert set(PLANNED) == {"duration", "bytes", "idle", "batch", "shutdown"}
    assert {"left", "ended", "denied", "trouble"} == set(ENDS) - set(PLANNED)
    bucket = counted(**{"resumed": 10, "ended.duration": 6, "ended.idle": 1, "ended.left": 3})
    assert (bucket.planned(), bucket.reconnects()) == (7, 3)


def test_users_of_minutes_add_up_to_user_minutes_but_are_the_same_users() -> None:
    hour = Bucket()
    for _ in range(60):
        minute = Bucket()
        for name in ("anna", "ben"):
            minute.user("stream").add(name)
        hour.follow(minute)
    assert hour.user("stream").count == 2
    assert hour.counts["stream.userMinutes"] == 120
    day = Bucket()
    day.follow(hour)
    assert day.counts["stream.userMinutes"] == 120, "an hour's are counted already"


# In the store.


async def test_two_servers_add_up(store: Store) -> None:
    one, other = Minutes(store.records, "a"), Minutes(store.records, "b")
    for server, opened, ms in ((one, 3, 10.0), (other, 4, 40.0)):
        bucket = counted(opened=opened)
        bucket.latency("delivery").observe(ms)
        bucket.user("stream").add("anna")
        await server.add(MINUTE, bucket)
    (found,) = (await one.minutes(MINUTE - 5, MINUTE + 5)).values()
    assert found.counts["opened"] == 7
    assert found.latency("delivery").count == 2
    assert found.user("stream").count == 1
    assert found.servers == {"a", "b"}


class Watched:
    """Records whose requests are counted, and fail or lose their answers on demand."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.requests = 0
        self.loses = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._records, name)

        async def call(*args: Any, **options: Any) -> Any:
            self.requests += 1
            answer = await method(*args, **options)
            if name == "put" and self.loses:
                self.loses -= 1
                raise StoreUnavailable("the answer was lost")
            return answer

        return call


async def test_a_server_writes_once_a_minute_and_soon_all_of_them_do(store: Store) -> None:
    records = Watched(store.records)
    servers = [Minutes(cast(Records, records), f"server-{number}") for number in range(3)]
    await servers[0].add(MINUTE, counted(opened=1))
    assert records.requests == 1, "alone, a write and nothing else"
    for minute in range(1, 60):
        for server in servers:
            await server.add(MINUTE + minute, counted(opened=1))
    records.requests = 0
    for minute in range(60, 70):
        for server in servers:
            await server.add(MINUTE + minute, counted(opened=1))
    assert records.requests == 30, "each has a slot of its own"
    found = await servers[0].minutes(MINUTE + 60, MINUTE + 69)
    assert {bucket.counts["opened"] for bucket in found.values()} == {3}


async def test_a_lost_answer_is_not_counted_twice(store: Store) -> None:
    records = Watched(store.records)
    one, other = Minutes(store.records, "a"), Minutes(cast(Records, records), "b")
    await one.add(MINUTE, counted(opened=1))
    for minute, loses in ((MINUTE, 1), (MINUTE + 1, 1)):
        records.loses = loses
        bucket = counted(opened=10)
        with pytest.raises(StoreUnavailable):
            await other.add(minute, bucket)
        await other.add(minute, bucket)
    found = await one.minutes(MINUTE, MINUTE + 1)
    assert [bucket.counts["opened"] for bucket in found.values()] == [11, 10]


async def test_a_hundred_servers_make_no_more_records_than_there_are_slots(store: Store) -> None:
    servers = [Minutes(store.records, f"server-{number}") for number in range(40)]
    for minute in range(2):
        await asyncio.gather(
            *(server.add(MINUTE + minute, counted(opened=1)) for server in servers)
        )
    kept = await store.records.query(MINUTES, limit=1000)
    assert len(kept) <= 2 * SLOTS
    found = await servers[0].minutes(MINUTE, MINUTE + 1)
    assert [bucket.counts["opened"] for bucket in found.values()] == [40, 40]


async def test_hours_are_rolled_up_once_and_whole(store: Store) -> None:
    one, other = Minutes(store.records, "a"), Minutes(store.records, "b")
    for minute in (0, 30, 59, 60, 61, 180):
        await one.add(MINUTE + minute, counted(opened=1))
        await other.add(MINUTE + minute, counted(opened=10))
    now = (HOUR + 3) * 3600.0 + 60
    hours = await one.hours(HOUR - 5, HOUR + 3)
    assert {hour: it.counts["opened"] for hour, it in hours.items()} == {
        HOUR: 33,
        HOUR + 1: 22,
        HOUR + 3: 11,
    }
    assert sum(await asyncio.gather(one.roll_up(now), other.roll_up(now))) >= 2
    assert await one.roll_up(now) == 0, "once"
    kept = await store.records.query(HOURS)
    assert [record.id for record in kept] == [str(HOUR), str(HOUR + 1)], "the last is not over"
    assert (await one.hours(HOUR - 5, HOUR + 3)).keys() == hours.keys()
    total = await one.total(MINUTE + 180)
    assert total.counts["opened"] == 66
    assert await one.roll_up(now + 2 * 3600) == 1
    total = await other.total(MINUTE + 300)
    assert total.counts["opened"] == 66, "it only grows, by what is new"
    assert len(await store.records.query(TOTAL)) == 1


async def test_an_hour_of_which_minutes_are_gone_stays(store: Store) -> None:
    """The sweep of a platform may come once a day."""
    one = Minutes(store.records, "a")
    await one.add(MINUTE, counted(opened=1))
    await one.roll_up((HOUR + 24) * 3600.0)
    for record in await store.records.query(MINUTES):
        await store.records.delete(MINUTES, record.id)
    assert (await one.hours(HOUR - 10, HOUR + 700))[HOUR].counts["opened"] == 1
    assert (await one.total(MINUTE + 30 * 1440)).counts["opened"] == 1


async def test_minutes_expire_and_hours_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now = HOUR * 3600.0
    store = open_store("memory://", clock=lambda: now)
    one = Minutes(store.records, "a")
    await one.add(MINUTE, counted(opened=1))
    await one.roll_up(now + 3 * 3600)
    now += module.MINUTES_SECONDS + 1
    assert await one.minutes(MINUTE, MINUTE) == {}
    assert len(await one.hours(HOUR, HOUR)) == 1
    now += module.HOURS_SECONDS
    assert await one.hours(HOUR, HOUR) == {}
    assert (await one.total(MINUTE)).counts["opened"] == 1
    await store.close()


# As points.


def test_where_nothing_was_told_there_is_no_point() -> None:
    minutes = {MINUTE: counted(opened=6), MINUTE + 4: counted(opened=0, published=120)}
    found = points(minutes, 60, 60)
    assert [point["time"] for point in found] == [MINUTE * 60_000, (MINUTE + 4) * 60_000]
    assert [point["opened"] for point in found] == [6, 0]
    assert found[1]["published"] == 2, "a second"
    assert found[0]["p50"] is None
    assert found[0]["commands"] is None, "the store does not count"
    assert points({}, 60, 60) == []


def test_a_step_of_more_minutes_is_the_rate_of_those_that_were_told() -> None:
    minutes = {MINUTE + n: counted(opened=5, connected=60_000, commands=2) for n in range(10)}
    del minutes[MINUTE + 1]
    found = points(minutes, 60, 300)
    rate = (5, 1, 2)
    assert [(it["opened"], it["connections"], it["commands"]) for it in found] == [rate, rate]
    hours = {HOUR: Bucket()}
    for minute in minutes.values():
        hours[HOUR].follow(Bucket.parse(minute.text))
    (hour,) = points({HOUR: Bucket.parse(hours[HOUR].text)}, 3600, 3600)
    assert (hour["opened"], hour["connections"], hour["commands"]) == rate


def test_transports_are_compared() -> None:
    whole = Bucket()
    for _ in range(10):
        minute = Bucket()
        for user in ("anna", "ben", "cleo"):
            minute.user("stream").add(user)
        minute.user("polling").add("dora")
        minute.counts.update({"stream.legs": 3, "polling.polls": 2, "stream.cuts": 1})
        minute.latency("stream").observe(40)
        minute.latency("polling").observe(15_000)
        whole.follow(minute)
    found = compared(whole)
    stream, polling = found["stream"], found["polling"]
    assert (stream["users"], stream["share"], stream["requests"]) == (3, 0.75, 1)
    assert (polling["users"], polling["share"], polling["requests"]) == (1, 0.25, 2)
    assert (stream["cuts"], polling["polls"]) == (10, 20)
    assert stream["p95"] == pytest.approx(40, rel=0.19)
    nothing = compared(Bucket())["stream"]
    assert (nothing["users"], nothing["share"], nothing["requests"]) == (0, None, None)
    assert rates(Bucket())["p95"] is None


def test_a_line_for_cloudwatch_is_as_its_specification_says() -> None:
    """docs.aws.amazon.com: Specification: Embedded metric format."""
    bucket = counted(**{"opened": 3, "ended.duration": 2, "connected": 90_000, "commands": 5})
    for ms in range(1, 1001):
        bucket.latency("delivery").observe(ms)
    text = line(MINUTE, bucket, {"FunctionName": "streams"})
    assert "\n" not in text
    value = json.loads(text)
    assert value["_aws"]["Timestamp"] == MINUTE * 60_000
    (directive,) = value["_aws"]["CloudWatchMetrics"]
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    assert directive["Dimensions"] == [["FunctionName"]]
    assert value["FunctionName"] == "streams"
    units = {"Count", "Milliseconds", "Seconds"}
    assert len(directive["Metrics"]) <= 100
    for metric in directive["Metrics"]:
        target = value[metric["Name"]]
        assert metric["Unit"] in units
        assert isinstance(target, int | float | list)
    assert value["PlannedEnds"] == 2
    latencies = sorted(value["DeliveryLatency"])
    assert len(latencies) == MAX_VALUES
    assert latencies[49] == pytest.approx(500, rel=0.19)
    assert latencies[94] == pytest.approx(950, rel=0.19)
    assert "DeliveryLatency" not in json.loads(line(MINUTE, counted(opened=1), {}))
