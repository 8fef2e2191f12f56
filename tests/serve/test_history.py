"""History and long polls as JSON, at the stream's own URL."""

import asyncio
from typing import Any

import pytest

from tests.serve.running import Running, Serve


async def get(server: Running, query: str = "", path: str = "/api/streams/s") -> Any:
    answer = await server.client.get(path + query, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def test_pages(serve: Serve) -> None:
    server = await serve()
    ids = await server.publish("s", *range(5))
    page = await get(server, "?limit=2")
    assert [event["id"] for event in page["events"]] == ids[:2]
    assert page["events"][0].keys() == {"id", "type", "data", "time"}
    assert (page["cursor"], page["closed"], page["truncated"]) == (ids[1], False, False)
    page = await get(server, f"?after={page['cursor']}")
    assert [event["id"] for event in page["events"]] == ids[2:]
    page = await get(server, f"?after={page['cursor']}")
    assert (page["events"], page["cursor"]) == ([], ids[4])


async def test_start_and_types(serve: Serve) -> None:
    server = await serve()
    ids = await server.publish("s", *range(5))
    assert [e["id"] for e in (await get(server, "?from=last:2"))["events"]] == ids[3:]
    page = await get(server, "?from=now")
    assert (page["events"], page["cursor"]) == ([], ids[4])
    page = await get(server, "?types=other")
    assert (page["events"], page["cursor"]) == ([], ids[4])


async def test_an_absent_stream_is_empty_and_has_a_cursor(serve: Serve) -> None:
    server = await serve()
    page = await get(server)
    assert page["events"] == []
    ids = await server.publish("s", 1)
    page = await get(server, f"?after={page['cursor']}")
    assert ([e["id"] for e in page["events"]], page["truncated"]) == (ids, False)


async def test_closed_and_truncated(serve: Serve) -> None:
    server = await serve()
    old = await server.publish("s", 1)
    await server.client.delete("/api/streams/s")
    await server.publish("s", 2, 3, close=True)
    page = await get(server, f"?after={old[0]}&limit=1")
    assert (page["truncated"], page["closed"]) == (True, False)
    page = await get(server, f"?after={page['cursor']}")
    assert (page["truncated"], page["closed"]) == (False, True)


async def test_a_long_poll_waits_for_the_first_event(serve: Serve) -> None:
    server = await serve()
    (first,) = await server.publish("s", 1)
    poll = asyncio.create_task(get(server, f"?after={first}&wait=10"))
    await asyncio.sleep(0.2)
    assert not poll.done()
    ids = await server.publish("s", 2)
    page = await asyncio.wait_for(poll, 5)
    assert [e["id"] for e in page["events"]] == ids


async def test_a_long_poll_ends_empty_after_its_wait(serve: Serve) -> None:
    server = await serve()
    assert (await get(server, "?wait=0.2"))["events"] == []


async def test_a_long_poll_waits_past_events_it_does_not_want(serve: Serve) -> None:
    server = await serve()
    poll = asyncio.create_task(get(server, "?types=wanted&wait=10"))
    await asyncio.sleep(0.1)
    await server.publish("s", 1)
    await asyncio.sleep(0.1)
    assert not poll.done()
    await server.client.post("/api/streams/s", json={"type": "wanted", "data": 2})
    assert [e["data"] for e in (await asyncio.wait_for(poll, 5))["events"]] == ["2"]


async def test_a_long_poll_ends_when_the_stream_is_closed_or_the_process_goes(
    serve: Serve,
) -> None:
    server = await serve()
    poll = asyncio.create_task(get(server, "?wait=20"))
    await asyncio.sleep(0.1)
    await server.publish("s", close=True)
    assert (await asyncio.wait_for(poll, 5))["closed"] is True
    poll = asyncio.create_task(get(server, "?wait=20", "/api/streams/other"))
    await asyncio.sleep(0.1)
    server.service.begin_shutdown()
    assert (await asyncio.wait_for(poll, 5))["events"] == []


async def test_several_streams(serve: Serve) -> None:
    server = await serve()
    await server.publish("a", 1)
    await server.publish("b", 2)
    page = await get(server, "?stream=a&stream=b", "/api/streams")
    assert [(e["stream"], e["data"]) for e in page["events"]] == [("a", "1"), ("b", "2")]
    await server.publish("b", 3)
    page = await get(server, f"?stream=a&stream=b&after={page['cursor']}", "/api/streams")
    assert [(e["stream"], e["data"]) for e in page["events"]] == [("b", "3")]


async def test_ids_of_several_streams_are_positions_in_all_of_them(serve: Serve) -> None:
    server = await serve()
    await server.publish("a", 1, 2)
    await server.publish("b", 3)
    path, both = "/api/streams", "?stream=a&stream=b"
    whole = await get(server, both, path)
    for place, event in enumerate(whole["events"]):
        rest = await get(server, f"{both}&after={event['id']}", path)
        assert rest["events"] == whole["events"][place + 1 :]
    assert (await get(server, f"{both}&after={whole['start']}", path)) == whole
    async with server.leg(f"{path}{both}") as leg:
        ids = [note.id for note in await leg.notes(3)]
    assert ids == [event["id"] for event in whole["events"]]


@pytest.mark.parametrize(
    ("accept", "events"),
    [
        ("text/event-stream", True),
        ("*/*", True),
        ("", True),
        ("application/json", False),
        ("application/json, text/event-stream", True),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
    ],
)
async def test_the_face_is_negotiated(serve: Serve, accept: str, events: bool) -> None:
    server = await serve()
    await server.publish("s", 1, close=True)
    answer = await server.client.get("/api/streams/s", headers={"Accept": accept})
    kind = "text/event-stream" if events else "application/json"
    assert answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=2000", "limit=x", "wait=-1", "wait=99", "wait=nan"]
)
async def test_numbers_out_of_range_are_refused(serve: Serve, query: str) -> None:
    server = await serve()
    answer = await server.client.get(
        f"/api/streams/s?{query}", headers={"Accept": "application/json"}
    )
    assert answer.status_code == 400
