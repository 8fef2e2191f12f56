"""Legs over HTTP: replay, live, planned ends, resume, and what is said about loss."""

import asyncio
import json
from typing import Any

import pytest

from lastevent.core.cursor import Cursor, name_hash
from lastevent.stores.base import Page
from tests.serve.running import Serve, gone, state


async def test_replay_then_live(serve: Serve) -> None:
    server = await serve()
    ids = await server.publish("s", {"n": 1}, "two")
    async with server.leg("s") as leg:
        assert leg.answer.headers["content-type"].startswith("text/event-stream")
        assert "no-transform" in leg.answer.headers["cache-control"]
        assert leg.answer.headers["x-accel-buffering"] == "no"
        opened, first, second, live = [await leg.next() for _ in range(4)]
        assert leg.decoder.retry == 1500
        assert state(opened)["stream"] == "s"
        assert first == (ids[0], "note", '{"n":1}')
        assert second == (ids[1], "note", "two")
        assert state(live) == {"state": "live"}
        assert live is not None
        assert live.id == ids[1]
        ids += await server.publish("s", "three")
        assert await leg.next() == (ids[2], "note", "three")


async def test_resume_gets_exactly_the_rest(serve: Serve) -> None:
    server = await serve()
    ids = await server.publish("s", *range(10))
    for begin in range(10):
        async with server.leg("s", Last_Event_ID=ids[begin]) as leg:
            messages = await leg.until("live")
        assert messages[0].id == ids[begin], "open repeats the client's cursor"
        assert [m.id for m in messages[1:-1]] == ids[begin + 1 :]


async def test_the_header_beats_the_query(serve: Serve) -> None:
    server = await serve()
    ids = await server.publish("s", *range(3))
    path = f"/api/streams/s?lastEventId={ids[0]}"
    async with server.leg(path) as leg:
        assert [m.id for m in (await leg.until("live"))[1:-1]] == ids[1:]
    async with server.leg(path, Last_Event_ID=ids[1]) as leg:
        assert [m.id for m in (await leg.until("live"))[1:-1]] == ids[2:]


async def test_a_planned_end_brings_the_reader_back_without_loss(serve: Serve) -> None:
    server = await serve(max_leg_seconds=0.6)
    cursor, seen, published = "", list[str](), list[str]()

    async def publish() -> None:
        for n in range(40):
            published.extend(await server.publish("s", n))
            await asyncio.sleep(0.05)
        await server.publish("s", close=True)

    publisher = asyncio.create_task(publish())
    states = []
    while "end" not in states:
        headers = {"Last_Event_ID": cursor} if cursor else {}
        async with server.leg("s", **headers) as leg:
            if leg.answer.status_code == 204:  # a planned end came just before the stream's own
                states.append("end")
            while (message := await leg.next()) is not None:
                cursor = leg.decoder.last_event_id
                if message.type == "note":
                    seen.append(message.id)
                elif message.type == "stream":
                    states.append(state(message)["state"])
                    if states[-1] == "rotate":
                        assert state(message)["retry_ms"] == leg.decoder.retry
    await publisher
    assert seen == published
    assert states.count("rotate") >= 2


async def test_a_finished_reader_gets_204(serve: Serve) -> None:
    server = await serve()
    await server.publish("s", 1, close=True)
    async with server.leg("s") as leg:
        messages = await leg.until("end")
        assert await leg.next() is None
    cursor = messages[-1].id
    async with server.leg("s", Last_Event_ID=cursor) as leg:
        assert leg.answer.status_code == 204


async def test_a_filter_does_not_keep_a_finished_reader_coming_back(serve: Serve) -> None:
    """RULES 1: the end carries the position reached, also past events that are filtered out."""
    server = await serve()
    await server.publish("s", 1, 2, close=True)
    async with server.leg("/api/streams/s?types=other") as leg:
        messages = await leg.until("end")
    assert [m.type for m in messages] == ["stream", "stream"]
    async with server.leg("/api/streams/s?types=other", Last_Event_ID=messages[-1].id) as leg:
        assert leg.answer.status_code == 204


async def test_live_end(serve: Serve) -> None:
    server = await serve()
    await server.publish("s", 1)
    async with server.leg("s") as leg:
        await leg.until("live")
        ids = await server.publish("s", 2, close=True)
        messages = await leg.until("end")
        assert [m.id for m in messages] == [ids[0], ids[0]]
        assert await leg.next() is None


@pytest.mark.parametrize(
    ("start", "count"), [("start", 5), ("now", 0), ("last:2", 2), ("last:9", 5)]
)
async def test_where_a_reader_without_a_cursor_begins(serve: Serve, start: str, count: int) -> None:
    server = await serve()
    ids = await server.publish("s", *range(5))
    async with server.leg(f"/api/streams/s?from={start}") as leg:
        messages = await leg.until("live")
        later = await server.publish("s", "later")
        messages += await leg.notes(1)
    assert [m.id for m in messages if m.type == "note"] == [*ids[5 - count :], *later]


async def test_an_absent_stream_has_an_origin(serve: Serve) -> None:
    """RULES 3: a reader that waited for the stream, and was cut, misses nothing of it."""
    server = await serve()
    async with server.leg("/api/streams/s?from=now") as leg:
        origin = (await leg.until("live"))[-1].id
    assert origin
    ids = await server.publish("s", 1)
    async with server.leg("/api/streams/s?from=now", Last_Event_ID=origin) as leg:
        assert [m.id for m in await leg.notes(1)] == ids
    await server.client.delete("/api/streams/s")
    ids = await server.publish("s", 2)
    async with server.leg("/api/streams/s?from=now", Last_Event_ID=origin) as leg:
        await leg.until("reset")
        assert [m.id for m in await leg.notes(1)] == ids


async def test_a_reset_says_what_is_lost(serve: Serve) -> None:
    server = await serve()
    old = await server.publish("s", 1, 2)
    await server.client.delete("/api/streams/s")
    new = await server.publish("s", 3)
    async with server.leg("s", Last_Event_ID=old[0]) as leg:
        opened, reset, first = (await leg.until("live"))[:3]
    assert opened.id == old[0], "a client cut before the reset must hear of it next time"
    assert state(reset) == {"state": "reset", "from": old[0], "to": reset.id}
    assert Cursor.parse(reset.id) < Cursor.parse(new[0])
    assert first.id == new[0]


async def test_a_stream_deleted_under_a_live_reader(serve: Serve) -> None:
    server = await serve()
    await server.publish("s", 1)
    async with server.leg("s") as leg:
        await leg.until("live")
        await server.client.delete("/api/streams/s")
        assert state(await leg.next())["state"] == "reset"
        ids = await server.publish("s", 2)
        messages = await leg.notes(1)
        assert messages[0].id == ids[0]


async def test_an_ended_and_recreated_stream_is_read_from_its_new_beginning(serve: Serve) -> None:
    server = await serve()
    await server.publish("s", 1, close=True)
    async with server.leg("s") as leg:
        cursor = (await leg.until("end"))[-1].id
    await server.client.delete("/api/streams/s")
    ids = await server.publish("s", 2)
    async with server.leg("s", Last_Event_ID=cursor) as leg:
        await leg.until("reset")
        assert [m.id for m in await leg.notes(1)] == ids


async def test_heartbeats(serve: Serve) -> None:
    server = await serve(heartbeat_seconds=0.2)
    async with server.leg("s") as leg:
        await leg.until("live")
        beat = await leg.next()
        assert beat is not None
        assert beat.type == "heartbeat"
        assert json.loads(beat.data)["timestamp"] > 1_600_000_000_000
        assert b"event: heartbeat" in leg.raw
        assert b"id:" not in bytes(leg.raw).rpartition(b"\n\nevent: heartbeat")[2]


async def test_an_idle_leg_ends(serve: Serve) -> None:
    server = await serve(idle_leg_seconds=0.5)
    async with server.leg("s") as leg:
        messages = await leg.until("rotate")
        assert state(messages[-1])["retry_ms"] >= 30
        assert await leg.next() is None


async def test_a_leg_ends_at_its_bytes(serve: Serve) -> None:
    server = await serve(max_leg_bytes=5000)
    ids = await server.publish("s", *["x" * 1000] * 8)
    seen, cursor = [], ""
    for _ in range(4):
        headers = {"Last_Event_ID": cursor} if cursor else {}
        async with server.leg("s", **headers) as leg:
            while (message := await leg.next()) is not None:
                if message.type == "note":
                    seen.append(message.id)
                if message.type == "stream" and state(message)["state"] == "live":
                    break
            cursor = leg.decoder.last_event_id
    assert seen == ids


async def test_a_long_history_comes_whole(serve: Serve) -> None:
    server = await serve()
    ids = []
    for begin in range(0, 5000, 500):
        ids += await server.publish("s", *range(begin, begin + 500))
    async with server.leg("s") as cold:
        assert [m.id for m in await cold.notes(5000)] == ids
        async with server.leg("s", Last_Event_ID=ids[0]) as second:
            assert [m.id for m in await second.notes(4999)] == ids[1:]


async def test_large_events_come_whole(serve: Serve) -> None:
    server = await serve()
    large = "0123456789abcdef" * 16_000  # 256,000 bytes
    async with server.leg("s") as leg:
        await leg.until("live")
        for _ in range(3):
            await server.publish("s", large)
        assert [m.data for m in await leg.notes(3)] == [large] * 3


async def test_a_filter_passes_on_only_its_types_and_checkpoints(serve: Serve) -> None:
    """RULES 2: a reader that nothing matches moves on all the same."""
    server = await serve()
    body = {"events": [{"type": "wanted", "data": 1}, *[{"type": "other", "data": 2}] * 600]}
    ids = (await server.client.post("/api/streams/s", json=body)).json()["ids"]
    async with server.leg("/api/streams/s?types=wanted,unseen") as leg:
        messages = await leg.until("live")
        assert [m.type for m in messages] == ["stream", "wanted", "stream"]
        assert messages[-1].id == ids[-1]
        await server.client.post("/api/streams/s", json={"type": "other", "data": 3})
        more = (
            await server.client.post("/api/streams/s", json={"type": "wanted", "data": 4})
        ).json()
        assert (await leg.notes(1))[0].id == more["ids"][0]


async def test_several_streams_in_one_leg(serve: Serve) -> None:
    server = await serve()
    a = await server.publish("a", 1, 2)
    path = "/api/streams?stream=a&stream=b"
    async with server.leg(path) as leg:
        messages = await leg.until("live")
        b = await server.publish("b", 3)
        messages += await leg.notes(1)
        cursor = leg.decoder.last_event_id
    notes = [m for m in messages if m.type == "note"]
    assert [m.id.split(".")[0] for m in notes] == [
        *(f"~{name_hash('a')}{i}" for i in a),
        f"~{name_hash('b')}{b[0]}",
    ]
    a += await server.publish("a", 4)
    b += await server.publish("b", 5)
    async with server.leg(path, Last_Event_ID=cursor) as leg:
        rest = await leg.notes(2)
    assert sorted(m.data for m in rest) == ["4", "5"]


async def test_several_streams_end_together(serve: Serve) -> None:
    server = await serve()
    await server.publish("a", 1, close=True)
    path = "/api/streams?stream=a&stream=b"
    async with server.leg(path) as leg:
        await leg.until("live")
        await server.publish("b", 2, close=True)
        cursor = (await leg.until("end"))[-1].id
    async with server.leg(path, Last_Event_ID=cursor) as leg:
        assert leg.answer.status_code == 204


async def test_a_reset_of_one_of_several_streams(serve: Serve) -> None:
    server = await serve()
    await server.publish("a", 1)
    await server.publish("b", 2)
    path = "/api/streams?stream=a&stream=b"
    async with server.leg(path) as leg:
        cursor = (await leg.until("live"))[-1].id
    await server.client.delete("/api/streams/a")
    await server.publish("a", 3)
    async with server.leg(path, Last_Event_ID=cursor) as leg:
        await leg.until("reset")
        assert [m.data for m in await leg.notes(1)] == ["3"]


async def test_head_has_no_body(serve: Serve) -> None:
    server = await serve()
    answer = await server.client.head("/api/streams/s", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("path", ["s?from=then", "s?from=last:99999", "a%20b", ".x"])
async def test_what_is_asked_wrongly_is_refused_before_the_first_byte(
    serve: Serve, path: str
) -> None:
    server = await serve()
    answer = await server.client.get(f"/api/streams/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["detail"]


@pytest.mark.parametrize("cursor", ["x", "0" * 25, "0" * 2000, "~", "019AA7C3B1F400000000017F3C"])
async def test_a_malformed_cursor_is_refused(serve: Serve, cursor: str) -> None:
    server = await serve()
    answer = await server.client.get("/api/streams/s", headers={"Last-Event-ID": cursor})
    assert answer.status_code == 400
    answer = await server.client.get("/api/streams?stream=a", headers={"Last-Event-ID": cursor})
    assert answer.status_code == 400


async def test_a_reader_that_leaves_is_noticed(serve: Serve) -> None:
    server = await serve()
    async with server.leg("s") as leg:
        await leg.until("live")
        assert len(server.service.connections) == 1
    await gone(server)


async def test_many_subscribers_get_the_same(serve: Serve) -> None:
    server = await serve()
    ids: list[str] = []

    async def follow() -> list[str]:
        async with server.leg("s") as leg:
            return [m.id for m in await leg.notes(100)]

    readers = [asyncio.create_task(follow()) for _ in range(150)]
    while len(server.service.connections) < 150:
        await asyncio.sleep(0.01)
    for n in range(100):
        ids += await server.publish("s", n)
    assert all(seen == ids for seen in await asyncio.gather(*readers))


async def test_a_stream_may_begin_without_an_event(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does when a pump takes it: its reader is not to ask on and on for what came."""
    server = await serve()
    log = server.service.store.log
    read, reads = log.read, 0

    async def counting(*arguments: Any) -> Page:
        nonlocal reads
        reads += 1
        return await read(*arguments)

    monkeypatch.setattr(log, "read", counting)
    async with server.leg("s") as leg:
        await leg.until("live")
        await log.append("s", [], fence=1)
        await asyncio.sleep(0.3)
        assert reads < 10
        ids = await server.publish("s", "first")
        assert await leg.next() == (ids[0], "note", "first")
