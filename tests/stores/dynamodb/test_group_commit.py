"""Group commit: what waits goes into one chunk, in which each call stands or fails alone."""

import asyncio
import random
from bisect import bisect_right

import pytest

from lastevent.core.cursor import Cursor
from lastevent.core.errors import (
    Conflict,
    Fenced,
    KeyReused,
    StoreUnavailable,
    StreamClosed,
    TooLarge,
    Transient,
)
from lastevent.core.event import NewEvent
from lastevent.stores import group
from lastevent.stores.base import MAX_BOOKMARK_BYTES, Appended, Store
from lastevent.stores.dynamodb import writer
from lastevent.stores.dynamodb.capacity import item_bytes
from lastevent.stores.dynamodb.chunk import MAX_BYTES, heads_of, packed
from tests.stores.dynamodb.conftest import Open
from tests.stores.dynamodb.meddled import Meddled
from tests.stores.harness import WAIT_SECONDS, append, follow, notes, texts_after


@pytest.fixture
def store(one: tuple[Store, Meddled]) -> Store:
    return one[0]


@pytest.fixture
def client(one: tuple[Store, Meddled]) -> Meddled:
    return one[1]


async def held(client: Meddled, store: Store) -> tuple[asyncio.Event, "asyncio.Task[Appended]"]:
    """Hold a chunk on its way until the event is set: what is called meanwhile makes a group."""
    is_reached, is_over = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        is_reached.set()
        async with asyncio.timeout(WAIT_SECONDS):
            await is_over.wait()

    client.before("PutItem", hold)
    call = asyncio.create_task(append(store, "s", "held"))
    async with asyncio.timeout(WAIT_SECONDS):
        await is_reached.wait()
    return is_over, call


async def test_what_waits_makes_one_chunk(store: Store, client: Meddled) -> None:
    is_over, first = await held(client, store)
    calls = [asyncio.create_task(append(store, "s", n, n)) for n in range(100)]
    await asyncio.sleep(0)
    is_over.set()
    answers = await asyncio.gather(*calls)
    await first
    assert [int(item["size"]["N"]) for item in await client.chunks("s")] == [1, 200]
    events, _ = await follow(store, "s")
    texts = {event.id: event.data for event in events}
    for n, answer in enumerate(answers):
        assert [texts[id] for id in answer.ids] == [str(n)] * 2
        assert len({Cursor.parse(id).proof for id in answer.ids}) == 1
    assert len({answer.cursor.proof for answer in answers}) > 50, "a proof for each"


async def test_each_call_fails_alone(store: Store, client: Meddled) -> None:
    end = (await store.log.append("s", notes("first"), fence=5)).cursor
    await store.log.append("s", notes("known"), key="known", expect=end)
    is_over, first = await held(client, store)
    log = store.log
    expected = Cursor(end.generation, 3)
    calls = [
        log.append("s", notes("a")),
        log.append("s", notes("b"), fence=4),
        log.append("s", notes("c"), expect=end),
        log.append("s", notes("known"), key="known", fence=1),
        log.append("s", notes("other"), key="known"),
        log.append("s", notes("d"), key="new"),
        log.append("s", notes("e"), fence=6),
        log.append("s", notes("f"), fence=5),
        log.append("s", notes("g"), close=True),
        log.append("s", notes("h")),
        log.append("s", []),
    ]
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0)
    is_over.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    await first
    kinds = [type(outcome) for outcome in found]
    assert kinds == [
        *(Appended, Fenced, Conflict, Appended, KeyReused, Appended, Appended, Fenced, Appended),
        *(StreamClosed, Appended),
    ]
    known = found[3]
    assert isinstance(known, Appended)
    assert known.repeated
    last = found[10]
    assert isinstance(last, Appended)
    assert (last.ids, last.closed, last.cursor.sequence) == ((), True, expected.sequence + 4)
    assert await texts_after(store, "s") == ["first", "known", "held", "a", "d", "e", "g"]


async def test_the_last_bookmark_of_a_group_is_that_of_its_last_append(
    store: Store, client: Meddled
) -> None:
    await store.log.append("s", notes("first"), fence=5, bookmark="first")
    log = store.log
    is_over, first = await held(client, store)
    calls = [
        log.append("s", notes("a"), fence=5, bookmark="a"),
        log.append("s", notes("published")),
        log.append("s", notes("b"), fence=5, bookmark="b"),
        log.append("s", notes("late"), fence=4, bookmark="late"),
        log.append("s", notes("published too")),
    ]
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0)
    is_over.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    await first
    kinds = [type(outcome) for outcome in found]
    assert kinds == [Appended, Appended, Appended, Fenced, Appended]
    bookmarks = [item["bookmark"]["S"] for item in await client.chunks("s")]
    assert bookmarks == ["first", "first", "b"], "one chunk for the group"
    assert (await store.log.describe("s")).bookmark == "b"


async def test_a_write_that_fails_fails_for_all(store: Store, client: Meddled) -> None:
    await append(store, "s", "first")
    is_over, first = await held(client, store)
    calls = [asyncio.create_task(append(store, "s", n)) for n in range(3)]
    calls += [asyncio.create_task(store.log.append("s", notes("x"), expect=Cursor.after(0)))]
    await asyncio.sleep(0)

    async def fails() -> None:
        raise StoreUnavailable("away")

    # Meanwhile the outline's copy of the first, too, is on its way.
    client.before("PutItem", fails)
    client.before("PutItem", fails)
    is_over.set()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in found] == [StoreUnavailable] * 4, (
        "the refused one too: it was refused in a state that never was"
    )
    assert len({id(error) for error in found}) == 4, "each caller has an error of its own"
    with pytest.raises(StoreUnavailable):
        await first
    await append(store, "s", "later")
    assert await texts_after(store, "s") == ["first", "held", "later"]


async def test_nobody_hears_of_success_before_the_copy(open_one: Open, store: Store) -> None:
    (here, own), (there, _) = open_one(), open_one()
    await append(here, "s", 0)
    look = there.wakeup.ends  # type: ignore[attr-defined]
    await look(["s"])
    for n in range(1, 6):
        answer = await append(here, "s", n)
        assert (await look(["s"]))["s"].cursor == answer.cursor
        assert own.sent.count("PutItem") == 2 * n + 2


async def test_the_next_chunk_does_not_wait_for_the_copy(store: Store, client: Meddled) -> None:
    await append(store, "s", "first")
    is_over = asyncio.Event()

    async def nothing() -> None:
        pass

    async def hold() -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            await is_over.wait()

    client.before("PutItem", nothing)
    client.before("PutItem", hold)
    one = asyncio.create_task(append(store, "s", "one"))
    async with asyncio.timeout(WAIT_SECONDS):
        while len(await client.chunks("s")) < 2:
            await asyncio.sleep(0.001)
        two = asyncio.create_task(append(store, "s", "two"))
        while len(await client.chunks("s")) < 3:
            await asyncio.sleep(0.001)
    assert not one.done() and not two.done()
    sent = len(client.sent)
    is_over.set()
    await asyncio.gather(one, two)
    assert client.sent[sent:].count("PutItem") <= 1, "one copy serves all that waited for it"


async def test_the_window_is_there_under_load(
    store: Store, client: Meddled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "WINDOW_SECONDS", 0.5)
    is_over, first = await held(client, store)
    calls = [asyncio.create_task(append(store, "s", n)) for n in range(2)]
    await asyncio.sleep(0)
    # While those two are being written, one more comes; it would go alone without a pause.
    client.before("PutItem", lambda: asyncio.sleep(0.05))
    is_over.set()
    async with asyncio.timeout(WAIT_SECONDS):
        while client.sent.count("PutItem") < 2:
            await asyncio.sleep(0.001)
    calls.append(asyncio.create_task(append(store, "s", 2)))
    await asyncio.gather(*calls[:2])
    calls.append(asyncio.create_task(append(store, "s", 3)))
    await asyncio.gather(first, *calls)
    assert [int(item["size"]["N"]) for item in await client.chunks("s")] == [1, 2, 2]


async def test_there_is_no_window_when_it_is_quiet(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "WINDOW_SECONDS", 2 * WAIT_SECONDS)
    async with asyncio.timeout(WAIT_SECONDS):
        for n in range(5):
            await append(store, "s", n)


async def test_who_has_gone_is_not_written(store: Store, client: Meddled) -> None:
    is_over, first = await held(client, store)
    calls = [asyncio.create_task(append(store, "s", n)) for n in range(4)]
    await asyncio.sleep(0)
    calls[1].cancel()
    await asyncio.sleep(0)
    is_over.set()
    await asyncio.gather(first, *calls, return_exceptions=True)
    assert await texts_after(store, "s") == ["held", "0", "2", "3"]


async def test_the_same_key_twice_in_a_group(store: Store, client: Meddled) -> None:
    is_over, first = await held(client, store)
    calls = [asyncio.create_task(store.log.append("s", notes(text), key="k")) for text in "aab"] + [
        asyncio.create_task(store.log.append("s", notes("c"), key="l"))
    ]
    await asyncio.sleep(0)
    is_over.set()
    found = await asyncio.gather(*calls, return_exceptions=True)
    await first
    assert [type(outcome) for outcome in found] == [Appended, Appended, KeyReused, Appended]
    assert await texts_after(store, "s") == ["held", "a", "c"]


async def test_many_keys_and_large_events_make_several_chunks(
    store: Store, client: Meddled
) -> None:
    chance = random.Random(1)
    is_over, first = await held(client, store)
    calls = [asyncio.create_task(store.log.append("s", notes(n), key=f"k{n}")) for n in range(50)]
    calls += [
        asyncio.create_task(append(store, "s", chance.randbytes(50_000).hex())) for n in range(7)
    ]
    await asyncio.sleep(0)
    is_over.set()
    await asyncio.gather(first, *calls)
    events, _ = await follow(store, "s")
    assert len(events) == 58
    assert [int(item["size"]["N"]) for item in await client.chunks("s")] == [1, 20, 20, 13, 3, 1]


async def test_a_queue_has_an_end(
    store: Store, client: Meddled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "MAX_WAITING", 5)
    is_over, first = await held(client, store)
    calls = [asyncio.create_task(append(store, "s", n)) for n in range(8)]
    await asyncio.sleep(0.01)
    assert [call.done() for call in calls] == [False] * 5 + [True] * 3
    is_over.set()
    found = await asyncio.gather(first, *calls, return_exceptions=True)
    assert [type(outcome) for outcome in found] == [Appended] * 6 + [Transient] * 3


async def test_a_batch_that_fits_no_item(store: Store) -> None:
    random_text = random.Random(1).randbytes(400_000).hex()
    with pytest.raises(TooLarge):
        await append(store, "s", random_text)
    with pytest.raises(TooLarge):
        await append(store, "s", *["x" * 1_000_000] * 20)
    await append(store, "s", *["x" * 1_000_000] * 10)
    assert [len(text) for text in await texts_after(store, "s")] == [1_000_000] * 10


async def test_an_event_of_the_largest_size_fits_whatever_it_holds(store: Store) -> None:
    """256 KiB: the default limit (bounds)."""
    chance = random.Random(2)
    hostile = "".join(chance.choices('"\\\0\n', k=1 << 18))
    hardly_compressible = "".join(map(chr, chance.choices(range(32, 127), k=1 << 18)))
    wide = "".join(map(chr, chance.choices(range(0x10000, 0x10FFFF), k=1 << 16)))
    for text in (hostile, hardly_compressible, wide):
        await store.log.append("s", [NewEvent("note", text)])
    assert await texts_after(store, "s") == [hostile, hardly_compressible, wide]


async def test_a_chunk_has_room_for_a_bookmark_that_its_writer_does_not_know(
    open_one: Open, store: Store, client: Meddled
) -> None:
    """The largest batch, as it is after compression, and the largest bookmark."""
    text = random.Random(3).randbytes(MAX_BYTES).hex()
    size = bisect_right(
        range(len(text)),
        MAX_BYTES,
        key=lambda size: len(packed([heads_of(notes(text[:size]), 1)], [text[:size].encode()])),
    )
    largest, bookmark = text[: size - 100], "x" * MAX_BOOKMARK_BYTES
    await append(store, "s", "first")
    other, _ = open_one()
    await other.log.append("s", [], bookmark=bookmark)
    await append(store, "s", largest)
    assert 380 * 1024 - 200 < item_bytes((await client.chunks("s"))[-1]) < 400 * 1024
    assert await texts_after(store, "s") == ["first", largest]
    assert (await other.log.describe("s")).bookmark == bookmark
    with pytest.raises(TooLarge):
        await append(store, "s", text[: size + 100])


async def test_closing_tells_who_waits(open_one: Open) -> None:
    store, client = open_one()
    await append(store, "s", 1)
    _, first = await held(client, store)
    waiting = asyncio.create_task(append(store, "s", 2))
    await asyncio.sleep(0)
    await store.close()
    found = await asyncio.gather(first, waiting, return_exceptions=True)
    assert [type(outcome) for outcome in found] == [StoreUnavailable] * 2
    with pytest.raises(StoreUnavailable):
        await append(store, "s", 3)
