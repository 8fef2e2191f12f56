"""A record's change and what streams are told of it, whoever dies in between."""

import asyncio
import json
from typing import Any

import pytest

from lastevent.core.errors import (
    Conflict,
    InvalidName,
    InvalidRequest,
    StoreUnavailable,
    Transient,
)
from lastevent.core.event import NewEvent
from lastevent.services import outbox as module
from lastevent.services.outbox import (
    Letter,
    Outbox,
    json_event,
    letters_of,
    tell,
    with_letters,
    without_letters,
)
from lastevent.stores.base import Store
from tests.services.dying import Died, Life, dying
from tests.sources.trouble import Trouble

KIND = "things"


async def said(store: Store, stream: str = "user:1") -> list[str]:
    page = await store.log.read(stream, None)
    return [event.data for event in page.events]


async def change(store: Store, id: str, *words: str, mark: bool = True) -> None:
    """Change a record and tell of it, as a service does."""
    outbox = Outbox(store, KIND)
    if mark:
        await outbox.mark(id)
    record = await store.records.get(KIND, id)
    value: dict[str, Any] = json.loads(record.value) if record else {"words": []}
    value["words"] += words
    letters = [Letter("user:1", (NewEvent("word", word),)) for word in words]
    text = json.dumps(with_letters(value, letters))
    put = await store.records.put(KIND, id, text, expect=record.version if record else 0)
    await outbox.deliver(put)


async def value_of(store: Store, id: str) -> dict[str, Any]:
    record = await store.records.get(KIND, id)
    return {"words": []} if record is None else dict(json.loads(record.value))


def test_a_letter_is_read_as_it_was_written() -> None:
    letter = Letter("a", (NewEvent("x", "1", {"h": "v"}), json_event("y", {"n": "ü"})))
    assert Letter.of(json.loads(json.dumps(letter.plain))) == letter
    assert letter.events[1].data == '{"n":"ü"}'
    with pytest.raises(InvalidName):
        Letter("no name", letter.events)
    with pytest.raises(InvalidRequest):
        Letter("a", ())


def test_letters_keep_their_order_and_come_in_once() -> None:
    first, second = (Letter("a", (NewEvent("x", n),)) for n in "12")
    value = with_letters({"n": 1}, [first])
    value = with_letters(value, [first, second])
    assert letters_of(value) == (first, second)
    assert letters_of(without_letters(value, {first.key})) == (second,)
    assert without_letters(value, {first.key, second.key}) == {"n": 1}
    assert with_letters({"n": 1}, []) == {"n": 1}


@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize("calls", range(8))
async def test_death_at_any_call_loses_and_doubles_nothing(
    store: Store, calls: int, carried_out: bool
) -> None:
    """The sweep finds what was left, if anything was written at all."""
    await change(store, "1", "a")
    life = Life(calls, carried_out=carried_out)
    try:
        await change(dying(store, life), "1", "b", "c")
    except Died:
        assert life.is_over
    await Outbox(store, KIND).sweep()
    value = await value_of(store, "1")
    assert await said(store) == value["words"]
    assert letters_of(value) == ()
    await change(store, "1", "d")
    assert await said(store) == (await value_of(store, "1"))["words"]


async def test_many_who_tell_tell_once_and_in_order(store: Store) -> None:
    letters = [Letter("user:1", (NewEvent("word", str(n)),)) for n in range(20)]
    put = await store.records.put(KIND, "1", json.dumps(with_letters({"words": []}, letters)))
    await asyncio.gather(*(Outbox(store, KIND).deliver(put) for _ in range(5)))
    assert await said(store) == [str(n) for n in range(20)]
    assert letters_of(await value_of(store, "1")) == ()


async def test_what_others_write_meanwhile_stays(store: Store) -> None:
    letter, other = (Letter("user:1", (NewEvent("word", n),)) for n in "12")
    put = await store.records.put(KIND, "1", json.dumps(with_letters({"n": 1}, [letter])))
    newer = with_letters({"n": 2}, [letter, other])
    await store.records.put(KIND, "1", json.dumps(newer), expect=put.version)
    delivered = await Outbox(store, KIND).deliver(put)
    assert json.loads(delivered.value)["n"] == 2
    assert letters_of(json.loads(delivered.value)) == (other,)
    assert await said(store) == ["1"]


async def test_a_record_that_is_gone_meanwhile_stays_gone(store: Store) -> None:
    letter = Letter("user:1", (NewEvent("word", "1"),))
    put = await store.records.put(KIND, "1", json.dumps(with_letters({}, [letter])))
    await store.records.delete(KIND, "1")
    await Outbox(store, KIND).deliver(put)
    assert await store.records.get(KIND, "1") is None


async def test_a_closed_stream_does_not_hold_back_the_others(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    await store.log.append("user:1", [], close=True)
    await tell(
        store.log,
        [Letter("user:1", (NewEvent("x", "1"),)), Letter("user:2", (NewEvent("x", "2"),))],
    )
    assert await said(store, "user:2") == ["2"]
    assert "user:1" in caplog.text


async def test_a_store_that_is_away_keeps_the_letters(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*args: object, **options: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(type(store.log), "append", away)
        with pytest.raises(StoreUnavailable):
            await change(store, "1", "a")
        with pytest.raises(Exception, match="not all things"):
            await Outbox(store, KIND).sweep()
    assert await Outbox(store, KIND).sweep() == ["1"]
    assert await said(store) == ["a"]


async def test_a_mark_goes_when_it_is_old_and_nothing_is_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await change(store, "1", "a")
    await Outbox(store, KIND).sweep()
    assert len(await store.records.query(f"{KIND}-untold")) == 1, "a write may be on its way"
    monkeypatch.setattr(module, "STALE_SECONDS", -5.0)
    assert await Outbox(store, KIND).sweep() == []
    assert await store.records.query(f"{KIND}-untold") == []


async def test_a_mark_is_set_once_in_a_while(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(store, KIND)
    monkeypatch.setattr(module, "MAX_REMEMBERED", 2)
    for id in ("1", "1", "2", "3", "1"):
        await outbox.mark(id)
    marks = await store.records.query(f"{KIND}-untold")
    assert {mark.id: mark.version for mark in marks} == {"1": 2, "2": 1, "3": 1}


async def test_a_mark_that_could_not_be_set_is_not_relied_on(store: Store) -> None:
    trouble = Trouble(before=1)
    outbox = Outbox(trouble.over(store), KIND)
    with pytest.raises(StoreUnavailable):
        await outbox.mark("1")
    await outbox.mark("1")
    assert len(await store.records.query(f"{KIND}-untold")) == 1


async def test_a_mark_that_is_set_anew_survives_the_sweep(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the sweep's look at the record and its taking off, a writer begins."""
    await Outbox(store, KIND).mark("1")
    monkeypatch.setattr(module, "STALE_SECONDS", -5.0)
    get = store.records.get

    async def late(kind: str, id: str) -> Any:
        found = await get(kind, id)
        if kind == KIND:
            await Outbox(store, KIND).mark("1")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(type(store.records), "get", lambda _, kind, id: late(kind, id))
        await Outbox(store, KIND).sweep()
    assert len(await store.records.query(f"{KIND}-untold")) == 1


async def test_a_record_that_others_write_all_the_time_is_given_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its letter is told, and stays in it: whoever is next takes it off."""
    letter = Letter("user:1", (NewEvent("word", "1"),))
    record = await store.records.put(KIND, "1", json.dumps(with_letters({}, [letter])))

    async def conflict(*args: object, **options: object) -> None:
        raise Conflict("others were quicker")

    with monkeypatch.context() as patch:
        patch.setattr(type(store.records), "put", conflict)
        with pytest.raises(Transient, match="too many"):
            await asyncio.wait_for(Outbox(store, KIND).deliver(record), 5)
    await Outbox(store, KIND).deliver(record)
    assert await said(store) == ["1"]
    assert letters_of(await value_of(store, "1")) == ()


async def test_a_sweep_goes_on_where_the_one_before_it_ended(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marks stay for a while: those at the end of a long list would never be looked at."""
    monkeypatch.setattr(module, "MAX_SWEPT", 2)
    monkeypatch.setattr(module, "_PAGE", 1)
    for id in ("1", "2", "3"):
        await Outbox(store, KIND).mark(id)
        letter = Letter(f"user:{id}", (NewEvent("word", id),))
        await store.records.put(KIND, id, json.dumps(with_letters({}, [letter])))
    outbox = Outbox(store, KIND)
    assert [await outbox.sweep() for _ in range(4)] == [["1", "2"], ["3"], [], []]
    await store.records.put(KIND, "1", json.dumps(with_letters({}, [letter])))
    assert ["1"] in [await outbox.sweep() for _ in range(2)], "and begins anew"


async def test_two_writers_of_one_record(store: Store) -> None:
    async def write(name: str) -> None:
        for n in range(10):
            while True:
                try:
                    await change(store, "1", f"{name}{n}", mark=False)
                except Conflict:
                    continue
                break

    await asyncio.gather(write("a"), write("b"))
    assert await said(store) == (await value_of(store, "1"))["words"]
    assert len(await said(store)) == 20
