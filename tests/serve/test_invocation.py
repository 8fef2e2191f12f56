"""What a platform bounds: deadlines, buffered legs, clients that are not held (RULES 20, 21)."""

import asyncio
from collections.abc import Callable, Mapping
from typing import cast

import pytest

from lastevent.core.cursor import Cursor
from lastevent.serve.invocation import Invocation
from lastevent.stores.base import Store
from tests.serve.running import LegReader, Running, Serve, any_store, state

pytestmark = any_store

BUFFERED = Invocation(buffered=True)
METERED = Invocation(held_is_billed=True)


def within(seconds: float) -> Callable[[], Invocation]:
    """Bounds with a deadline so long after each request's beginning."""
    return lambda: Invocation(deadline=asyncio.get_running_loop().time() + seconds)


class Watched:
    """A store that counts who waits for a wake-up, and how often it was told to rest."""

    def __init__(self) -> None:
        self.waits = self.rests = 0

    def __call__(self, store: Store) -> Store:
        self._store = store
        return Store(
            name=store.name,
            log=store.log,
            wakeup=self,
            leases=store.leases,
            records=store.records,
            prepare=store.prepare,
            close=store.close,
        )

    async def wait(self, cursors: Mapping[str, Cursor], timeout: float) -> frozenset[str]:
        self.waits += 1
        return await self._store.wakeup.wait(cursors, timeout)

    async def rest(self) -> None:
        self.rests += 1


async def whole(server: Running, stream: str, cursor: str = "") -> list[str]:
    """Return the ids, types and states of a whole leg, and keep its cursor in ``server``."""
    headers = {"Last_Event_ID": cursor} if cursor else {}
    async with server.leg(stream, **headers) as leg:
        return await _read(leg)


async def _read(leg: LegReader) -> list[str]:
    said = []
    while (message := await leg.next(30)) is not None:
        said.append(
            cast(str, state(message)["state"]) if message.type == "stream" else message.data
        )
    return said


async def cursor_of(server: Running, stream: str) -> str:
    """Return the cursor that a first leg leaves."""
    async with server.leg(stream) as leg:
        await leg.until("live")
        return leg.decoder.last_event_id


async def test_a_leg_ends_before_the_deadline(serve: Serve) -> None:
    server = await serve(bounds=within(2.0))
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with server.leg("s") as leg:
        opened = await leg.next()
        assert state(opened)["ends_in"] <= 1.5
        assert (await leg.until("rotate"))[-1].id
        assert await leg.next() is None
    assert loop.time() - began < 2.0


async def test_a_deadline_that_is_near_still_brings_the_history(serve: Serve) -> None:
    server = await serve(bounds=within(0.4))
    await server.publish("s", *range(50))
    assert await whole(server, "s") == ["open", *map(str, range(50)), "live", "rotate"]


async def test_a_long_poll_ends_before_the_deadline(serve: Serve) -> None:
    server = await serve(bounds=within(2.5))
    async with asyncio.timeout(5):
        answer = await server.client.get(
            "/api/streams/s?wait=25", headers={"Accept": "application/json"}
        )
    assert answer.json()["events"] == []


async def test_a_first_buffered_leg_returns_at_once(serve: Serve) -> None:
    """RULES 20: a hold that is cut would leave a client without a cursor."""
    server = await serve(bounds=lambda: BUFFERED)
    async with server.leg("s") as leg:
        opened = await leg.next()
        assert state(opened)["buffered"] is True
        assert await _read(leg) == ["live", "rotate"]
        assert leg.decoder.last_event_id


async def test_a_buffered_leg_ends_at_the_first_batch(serve: Serve) -> None:
    server = await serve(bounds=lambda: BUFFERED)
    async with server.leg("s") as first:
        await first.until("rotate")
        cursor = first.decoder.last_event_id
    async with server.leg("s", Last_Event_ID=cursor) as leg:
        await leg.until("live")
        await server.publish("s", "one", "two")
        assert await _read(leg) == ["one", "two", "rotate"]
        cursor = leg.decoder.last_event_id
    await server.publish("s", "three")
    assert await whole(server, "s", cursor) == ["open", "three", "live", "rotate"]


async def test_a_buffered_leg_is_held_for_25_seconds_at_most(serve: Serve) -> None:
    server = await serve(bounds=lambda: BUFFERED, max_leg_seconds=600.0)
    async with server.leg("s") as leg:
        assert 20 < state(await leg.next())["ends_in"] <= 25


async def test_a_buffered_leg_fits_into_one_answer(serve: Serve) -> None:
    """Lambda refuses an answer of more than 6 MB, and base64 adds a third."""
    server = await serve(bounds=lambda: BUFFERED)
    count = 40
    for n in range(count):
        await server.publish("s", f"{n}:" + "x" * 250_000)
    cursor, seen = "", []
    for _ in range(10):
        headers = {"Last_Event_ID": cursor} if cursor else {}
        async with server.leg("s", **headers) as leg:
            said = await _read(leg)
            assert len(leg.raw) <= 4 * 2**20 + 1000
            assert said[-1] == "rotate"
            seen += [text.partition(":")[0] for text in said if "x" in text]
            cursor = leg.decoder.last_event_id
        if said[-2] == "live":
            break
    assert seen == [str(n) for n in range(count)]


async def test_a_page_of_history_fits_into_one_answer(serve: Serve) -> None:
    server = await serve()
    for n in range(40):
        await server.publish("s", f"{n}:" + '"' * 125_000)  # twice as long in JSON
    after, seen = "", []
    while True:
        query = {"after": after} if after else {}
        answer = await server.client.get(
            "/api/streams/s", params=query, headers={"Accept": "application/json"}
        )
        assert len(answer.content) < 4.3 * 2**20
        page = answer.json()
        assert page["closed"] is False
        if not page["events"]:
            break
        seen += [event["data"].partition(":")[0] for event in page["events"]]
        assert page["cursor"] == page["events"][-1]["id"]
        after = page["cursor"]
    assert seen == [str(n) for n in range(40)]


async def test_pages_of_several_streams_fit_together(serve: Serve) -> None:
    server = await serve()
    for name in ("a", "b"):
        for n in range(12):
            await server.publish(name, f"{n}:" + "x" * 250_000, close=n == 11)
    after, seen = "", []
    for _ in range(3):
        answer = await server.client.get(
            "/api/streams?stream=a&stream=b" + (f"&after={after}" if after else ""),
            headers={"Accept": "application/json"},
        )
        page = answer.json()
        after = page["cursor"]
        seen += [(event["stream"], event["data"].partition(":")[0]) for event in page["events"]]
        if page["closed"]:
            break
    assert sorted(seen) == sorted((name, str(n)) for name in ("a", "b") for n in range(12))


@pytest.mark.parametrize(
    ("policy", "metered", "low", "high"),
    [
        ("latency", True, None, None),
        ("balanced", False, None, None),
        ("cost", False, None, None),
        ("balanced", True, 1000, 1500),
        ("cost", True, 4500, 5500),
    ],
)
async def test_who_watches_a_quiet_stream_is_held_where_that_is_cheap(
    serve: Serve, policy: str, metered: bool, low: int | None, high: int | None
) -> None:
    """RULES 21: the policy, visible in ``open``, sets the hold and the pause."""
    server = await serve(bounds=lambda: Invocation(held_is_billed=metered), policy=policy)
    async with server.leg("s") as leg:
        opened = await leg.next()
        assert state(opened)["policy"] == policy
        if low is None or high is None:
            await leg.until("live")
            with pytest.raises(TimeoutError):
                await leg.next(0.3)
            return
        messages = await leg.until("rotate")
        assert low <= state(messages[-1])["retry_ms"] <= high
        assert leg.decoder.retry == state(messages[-1])["retry_ms"]


async def test_a_stream_that_flows_is_held_and_served_live(serve: Serve) -> None:
    server = await serve(bounds=lambda: METERED, policy="cost")
    (first,) = await server.publish("s", "first")
    async with server.leg("s", Last_Event_ID=first) as leg:  # it has read that one elsewhere
        await leg.until("live")
        await server.publish("s", "second")
        assert [message.data for message in await leg.notes(1)] == ["second"]
        with pytest.raises(TimeoutError):
            await leg.next(0.3)


async def test_a_look_needs_no_wake_up(serve: Serve) -> None:
    """A subscription for a client that is not held would cost more than the look itself."""
    watched = Watched()
    server = await serve(watched, bounds=lambda: METERED, policy="cost")
    cursor = await cursor_of(server, "s")
    for _ in range(3):
        assert await whole(server, "s", cursor) == ["open", "live", "rotate"]
    assert watched.waits == 0


async def test_a_look_sees_what_came_while_nobody_watched(serve: Serve) -> None:
    """A tail that nobody has it follow knows an old end only: each look needs a new one."""
    server = await serve(bounds=lambda: METERED, policy="cost")
    cursor = await cursor_of(server, "s")
    await server.publish("s", "late")
    async with server.leg("s", Last_Event_ID=cursor) as leg:
        assert [message.data for message in await leg.notes(1)] == ["late"]


async def test_a_process_that_rests_forgets_what_it_followed(serve: Serve) -> None:
    watched = Watched()
    server = await serve(watched)
    cursor = await cursor_of(server, "s")
    await server.app.rest()
    assert watched.rests == 1
    assert server.service.tails._tails == {}
    await server.publish("s", 1)
    async with server.leg("s", Last_Event_ID=cursor) as leg:
        assert len(await leg.notes(1)) == 1
