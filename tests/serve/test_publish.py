"""Publishing over HTTP: the forms of a body, keys, limits, and what is refused."""

import asyncio
import json
from typing import Any

import pytest

from tests.serve.running import Running, Serve, any_store, gone


async def post(server: Running, body: object, **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return await server.client.post("/api/streams/s", content=content, headers=headers)


async def stored(server: Running) -> list[tuple[str, str]]:
    answer = await server.client.get("/api/streams/s", headers={"Accept": "application/json"})
    return [(event["type"], event["data"]) for event in answer.json()["events"]]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"type": "a", "data": {"n": 1}}, [("a", '{"n":1}')]),
        ({"data": "text"}, [("message", "text")]),
        ({"data": None}, [("message", "null")]),
        ({"data": "ünï\u2028\r\ncode"}, [("message", "ünï\u2028\r\ncode")]),
        (
            [{"data": 1}, {"type": "b", "data": [1.5, True]}],
            [("message", "1"), ("b", "[1.5,true]")],
        ),
        ({"events": [{"data": ""}], "close": True}, [("message", "")]),
    ],
)
async def test_the_forms_of_a_body(serve: Serve, body: object, expected: object) -> None:
    server = await serve()
    answer = await post(server, body)
    assert answer.status_code == 201
    said = answer.json()
    assert len(said["ids"]) == len(expected)  # type: ignore[arg-type]
    assert said["cursor"] == said["ids"][-1]
    assert said["closed"] is (isinstance(body, dict) and "close" in body)
    assert await stored(server) == expected


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b'{"data":NaN}', 400),
        (b'{"data":"\\ud800"}', 400),
        (1, 400),
        ([], 400),
        ({}, 400),
        ({"type": "a"}, 400),
        ({"type": "", "data": 1}, 400),
        ({"type": "a\nb", "data": 1}, 400),
        ({"type": "a\0", "data": 1}, 400),
        ({"type": "error", "data": 1}, 400),
        ({"type": "heartbeat", "data": 1}, 400),
        ({"type": 1, "data": 1}, 400),
        ({"data": 1, "id": "mine"}, 400),
        ({"data": 1, "headers": {"a": 1}}, 400),
        ({"data": 1, "headers": {"a": "x" * 5000}}, 400),
        ({"events": [{"data": 1}], "close": "yes"}, 400),
        ({"events": [{"data": 1}], "expect": "nonsense"}, 400),
        ([{"data": 1}] * 1001, 413),
        ({"data": "x" * 3000}, 413),
        ({"data": "ü" * 1600}, 413),
        ([{"data": "x" * 1500}] * 20, 413),
    ],
)
@any_store
async def test_a_bad_body_is_refused_and_appends_nothing(
    serve: Serve, body: object, status: int
) -> None:
    server = await serve(
        max_event_bytes=3000 - 1, max_body_bytes=20_000 if status == 413 else 10**6
    )
    answer = await post(server, body)
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:lastevent:problem:")
    assert problem["detail"]
    assert await stored(server) == []


async def test_a_fault_in_a_batch_names_its_place(serve: Serve) -> None:
    server = await serve()
    answer = await post(server, [{"data": 1}, {"type": 5, "data": 1}])
    assert "events.1.type" in answer.json()["detail"]


async def test_a_body_without_length_is_cut_off_at_the_limit(serve: Serve) -> None:
    server = await serve(max_body_bytes=1000)

    async def endless() -> Any:
        for _ in range(1000):
            yield b" " * 100

    answer = await server.client.post("/api/streams/s", content=endless())
    assert answer.status_code == 413


async def test_a_repeated_key_gets_the_first_answer(serve: Serve) -> None:
    server = await serve()
    first = await post(server, {"data": 1}, Idempotency_Key="k")
    again = await post(server, {"data": 1}, Idempotency_Key="k")
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    other = await post(server, {"data": 2}, Idempotency_Key="k")
    assert other.status_code == 422
    assert await stored(server) == [("message", "1")]
    assert (await post(server, {"data": 1}, Idempotency_Key="x" * 256)).status_code == 400


async def test_a_closed_stream_takes_no_more(serve: Serve) -> None:
    server = await serve()
    closing = {"events": [{"data": 1}], "close": True}
    first = await post(server, closing, Idempotency_Key="k")
    assert (await post(server, {"data": 2})).status_code == 409
    again = await post(server, closing, Idempotency_Key="k")
    assert again.json() == first.json()
    assert (await post(server, {"close": True})).status_code == 201


async def test_an_expected_position(serve: Serve) -> None:
    server = await serve()
    first = (await post(server, {"data": 1})).json()["cursor"]
    wanted = {"events": [{"data": 2}], "expect": first}
    assert (await post(server, wanted)).status_code == 201
    assert (await post(server, wanted)).status_code == 409
    assert await stored(server) == [("message", "1"), ("message", "2")]


async def test_delete(serve: Serve) -> None:
    server = await serve()
    await post(server, {"data": 1})
    for _ in range(2):
        assert (await server.client.delete("/api/streams/s")).status_code == 204
    assert await stored(server) == []


async def test_other_methods_and_paths_are_problems(serve: Serve) -> None:
    server = await serve()
    for method, path, status in [
        ("PUT", "/api/streams/s", 405),
        ("POST", "/api/streams", 405),
        ("GET", "/api/nothing", 404),
        ("GET", "/api/streams/a/b", 404),
    ]:
        answer = await server.client.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


async def test_health(serve: Serve) -> None:
    server = await serve()
    answer = await server.client.get("/api/health")
    assert answer.status_code == 200
    said = answer.json()
    assert (said["status"], said["store"]) == ("ok", server.service.store.name)
    assert said["version"]


async def test_a_publisher_that_hangs_up_appends_nothing(serve: Serve) -> None:
    server = await serve()
    host, port = server.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b'POST /api/streams/s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{"data"'
    )
    await writer.drain()
    writer.close()
    await gone(server)
    assert await stored(server) == []
