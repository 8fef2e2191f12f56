"""What is kept: so many events, so long; and what outlives them."""

from lastevent.stores.base import EXTENT_SECONDS, Store
from tests.stores.harness import KEPT_EVENTS, KEPT_SECONDS, Harness, append, texts_after


async def kept(store: Store, stream: str) -> list[str]:
    return [event.data for event in (await store.log.read(stream, None)).events]


async def test_the_newest_events_are_kept(store: Store) -> None:
    for n in range(25):
        await append(store, "few:s", n)
        assert await kept(store, "few:s") == [str(m) for m in range(n + 1)][-KEPT_EVENTS:]
        extent = await store.log.describe("few:s")
        assert (extent.floor, extent.head.sequence) == (max(1, n + 2 - KEPT_EVENTS), n + 1)


async def test_a_batch_may_be_longer_than_what_is_kept(store: Store) -> None:
    answer = await append(store, "few:s", *range(1000))
    assert len(answer.ids) == 1000
    assert await kept(store, "few:s") == [str(n) for n in range(990, 1000)]
    await append(store, "few:s", *range(1000))
    assert await kept(store, "few:s") == [str(n) for n in range(990, 1000)]


async def test_expired_events_are_never_returned(store: Store, harness: Harness) -> None:
    for n in range(int(KEPT_SECONDS) * 2):
        await append(store, "short:s", n)
        harness.advance(1)
    assert await kept(store, "short:s") == [str(n) for n in range(60, 120)]
    extent = await store.log.describe("short:s")
    assert (extent.floor, extent.head.sequence) == (61, 120)
    for left in range(59, -1, -1):
        harness.advance(1)
        assert len(await kept(store, "short:s")) == left


async def test_a_stream_whose_events_have_all_expired(store: Store, harness: Harness) -> None:
    end = (await append(store, "short:s", 1, 2, close=True)).cursor
    harness.advance(KEPT_SECONDS + 1)
    extent = await store.log.describe("short:s")
    assert (extent.exists, extent.closed, extent.head) == (True, True, end)
    assert (extent.floor, extent.start) == (3, end)
    page = await store.log.read("short:s", None)
    assert (page.events, page.closed, page.truncated) == ((), True, True)


async def test_an_empty_stream_does_not_expire(store: Store, harness: Harness) -> None:
    empty = (await append(store, "short:s")).cursor
    harness.advance(KEPT_SECONDS + 1)
    extent = await store.log.describe("short:s")
    assert (extent.exists, extent.floor, extent.head) == (True, 1, empty)


async def test_an_outline_outlives_the_events_by_far(store: Store, harness: Harness) -> None:
    cursor = (await append(store, "short:s", 1)).cursor
    harness.advance(KEPT_SECONDS + EXTENT_SECONDS - 1)
    assert (await append(store, "short:s", 2)).cursor.sequence == 2
    assert await texts_after(store, "short:s", cursor) == ["2"]


async def test_streams_keep_their_own(store: Store, harness: Harness) -> None:
    for stream in ("s", "few:s", "short:s"):
        await append(store, stream, *range(12))
    harness.advance(KEPT_SECONDS + 1)
    assert len(await kept(store, "s")) == 12
    assert len(await kept(store, "few:s")) == KEPT_EVENTS
    assert await kept(store, "short:s") == []
