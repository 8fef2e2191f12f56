"""What calls cost: requests, and capacity units by the documented rules."""

import random
import string
from typing import Any

import pytest

from lastevent.core.cursor import Cursor
from lastevent.core.event import NewEvent
from lastevent.stores.base import Store
from lastevent.stores.dynamodb import chain
from lastevent.stores.dynamodb.capacity import item_bytes, read_units, write_units
from tests.stores.dynamodb.conftest import Open
from tests.stores.dynamodb.meddled import Meddled
from tests.stores.harness import append, notes


class Bill:
    """What a client has sent since it was made out or last asked."""

    def __init__(self, client: Meddled) -> None:
        self._usage = client.usage
        self._client = client
        self()

    def __call__(self) -> tuple[list[str], float, float]:
        """Return the requests since, their read units and write units."""
        sent, self._client.sent[:] = list(self._client.sent), []
        units = self._usage.read, self._usage.write
        self._usage.read = self._usage.write = 0.0
        return sent, *units


@pytest.fixture
def bill(one: tuple[Store, Meddled]) -> Bill:
    return Bill(one[1])


@pytest.fixture
def store(one: tuple[Store, Meddled]) -> Store:
    return one[0]


async def test_appends(store: Store, bill: Bill) -> None:
    await append(store, "s", "first")
    assert bill() == (["Query", "PutItem", "PutItem"], 1, 2), "looks once where the chain ends"
    await append(store, "s", "second")
    assert bill() == (["PutItem", "PutItem"], 0, 2), "a chunk and the outline's copy"
    await store.log.append("s", notes("keyed"), key="k")
    assert bill() == (["TransactWriteItems", "PutItem"], 0, 5), "twice for a chunk and its key"
    await store.log.append("s", notes("keyed"), key="k")
    assert bill() == (["TransactWriteItems"], 0, 4)
    await store.log.append("s", [NewEvent("note", "€ and ünïcode " * 200)])
    assert bill() == (["PutItem", "PutItem"], 0, 2), "compressed"


async def test_a_delivered_event_is_one_request_in_the_reader(store: Store, bill: Bill) -> None:
    cursor = (await append(store, "s", 1)).cursor
    await append(store, "s", 2)
    bill()
    page = await store.log.read("s", cursor)
    assert [event.data for event in page.events] == ["2"]
    assert bill() == (["Query"], 1, 0)
    assert (await store.log.read("s", page.cursor)).at_end
    assert bill() == (["Query"], 1, 0)


async def test_a_subscriber_s_beginning(store: Store, bill: Bill) -> None:
    for n in range(3):
        await append(store, "s", n)
    bill()
    await store.log.describe("s")
    assert bill() == (["Query"], 1, 0), "nothing can have expired yet"
    await store.log.read("s", None)
    assert bill()[0] == ["Query"] * 3


@pytest.mark.parametrize(("events", "requests"), [(3, 1), (12, 2), (50, 3)])
async def test_a_replay_asks_for_more_as_it_needs(
    store: Store, bill: Bill, events: int, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "FIRST_ITEMS", 4)
    cursor = (await append(store, "s", "first")).cursor
    for n in range(events):
        await append(store, "s", n)
    bill()
    page = await store.log.read("s", cursor, 1000)
    assert len(page.events) == events
    assert bill()[0] == ["Query"] * requests


async def test_a_replay_of_large_chunks_reads_about_a_megabyte(
    store: Store, bill: Bill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "FIRST_ITEMS", 2)
    chance = random.Random(1)
    cursor = (await append(store, "s", "first")).cursor
    for _ in range(20):
        await append(store, "s", "".join(chance.choices(string.printable, k=100_000)))
    bill()
    page = await store.log.read("s", cursor, 1000)
    assert len(page.events) == 3 + 12
    assert bill()[0] == ["Query"] * 3, "and the last one for the end, which is far"


async def test_what_a_bookmark_costs(
    store: Store, bill: Bill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request; but each chunk has it, and so has the outline's copy."""
    cursor = (await append(store, "s", "first")).cursor
    bill()
    await store.log.append("s", notes(1), bookmark="short")
    assert bill() == (["PutItem", "PutItem"], 0, 2)
    await store.log.append("s", [], bookmark="x" * 60_000)
    assert bill() == (["PutItem", "PutItem"], 0, 2 * 59)
    for n in range(40):
        await append(store, "s", n)
    bill()
    monkeypatch.setattr(chain, "FIRST_ITEMS", 2)
    monkeypatch.setattr(chain, "_MAX_RUN_BYTES", 500_000)
    page = await store.log.read("s", cursor, 1000)
    assert len(page.events) == 3 + 12 - 1, "they count in what a replay reads at once"
    assert bill()[0] == ["Query"] * 3


async def test_a_look_at_many_streams_is_one_request_a_hundred(store: Store, bill: Bill) -> None:
    names = [f"s:{n}" for n in range(150)]
    for name in names[:3]:
        await append(store, name, 1)
    ends = store.wakeup.ends  # type: ignore[attr-defined]
    await ends(names)
    bill()
    found = await ends(names)
    assert bill() == (["BatchGetItem"] * 2, 150, 0)
    assert found["s:3"].cursor == Cursor.after(0)
    assert found["s:2"].cursor.sequence == 1


async def test_leases_and_documents(store: Store, bill: Bill) -> None:
    lease = await store.leases.acquire("l", "h", 10)
    assert lease
    assert bill() == (["GetItem", "PutItem"], 1, 1)
    assert await store.leases.acquire("l", "i", 10) is None
    assert bill() == (["GetItem"], 1, 0), "no write while another's lease runs"
    await store.leases.renew(lease, 10)
    assert bill() == (["PutItem"], 0, 1)
    await store.leases.release(lease)
    assert bill() == (["PutItem"], 0, 1)
    await store.records.put("k", "a", "1")
    assert bill() == (["GetItem", "PutItem"], 1, 1)
    await store.records.get("k", "a")
    assert bill() == (["GetItem"], 1, 0)
    await store.records.query("k")
    assert bill() == (["Query"], 1, 0)


async def test_a_document_is_written_without_a_look(open_one: Open) -> None:
    """As it was read, or written, last; and where there is to be none."""
    (here, own), (there, _) = open_one(), open_one()
    bill, records = Bill(own), here.records
    await records.put("k", "a", "1", expect=0)
    await records.put("k", "a", "2", expect=1)
    await records.put("k", "a", "3")
    assert bill()[0] == ["PutItem"] * 3
    await there.records.put("k", "a", "4")
    assert await records.get("k", "a")
    await records.put("k", "a", "5", expect=4)
    await records.delete("k", "a", expect=5)
    assert bill()[0] == ["GetItem", "PutItem", "DeleteItem"]
    assert not await records.delete("k", "a")
    await there.records.put("k", "b", "1")
    await records.delete("k", "b")
    assert bill()[0] == ["GetItem", "GetItem", "DeleteItem"], "not known here"


def item(size: int) -> dict[str, Any]:
    """An item of so many bytes."""
    return {"pk": {"S": "é" * 3}, "b": {"B": b"x" * (size - 9)}}


def test_the_size_of_an_item() -> None:
    assert item_bytes(item(100)) == 100
    assert item_bytes({"n": {"N": "-1234567"}}) == 1 + 5
    assert item_bytes({"ok": {"BOOL": True}}) == 3


@pytest.mark.parametrize(
    ("size", "read", "write"), [(1024, 1, 1), (1025, 1, 2), (4096, 1, 4), (4097, 2, 5)]
)
def test_units_by_size(size: int, read: int, write: int) -> None:
    whole = item(size)
    assert write_units("PutItem", {"Item": whole}, {}) == write
    parts = {"TransactItems": [{"Put": {"Item": whole}}] * 2}
    assert write_units("TransactWriteItems", parts, {}) == 4 * write
    assert read_units("GetItem", {"ConsistentRead": True}, {"Item": whole}) == read
    assert read_units("GetItem", {}, {"Item": whole}) == read / 2
    assert read_units("Query", {"ConsistentRead": True}, {"Items": [whole]}) == read
    asked = {"RequestItems": {"t": {"Keys": [{}] * 3, "ConsistentRead": True}}}
    assert read_units("BatchGetItem", asked, {"Responses": {"t": [whole]}}) == read + 2


def test_a_query_s_items_count_together() -> None:
    request = {"ConsistentRead": True}
    assert read_units("Query", request, {"Items": [item(1000)] * 4}) == 1
    assert read_units("Query", request, {"Items": []}) == 1


async def test_what_the_service_reports_is_counted_too(one: tuple[Store, Meddled]) -> None:
    store, client = one
    await store.records.get("k", "a")
    reported = client.usage.reported
    await store.records.put("k", "a", "1")
    assert client.usage.reported > reported
