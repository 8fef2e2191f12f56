"""Publisher against a server that answers, refuses and drops by a script."""

import asyncio
import gc
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from lastevent.client import Backoff, Published, Publisher
from lastevent.client.transport import MAX_ANSWER_BYTES, Token
from lastevent.core import errors
from lastevent.core.errors import InvalidEvent, InvalidRequest, Transient
from tests.client.scripted import Scripted, Step, answer, at, dropped, published, refuse, silent

QUICK = Backoff(first=0.01, longest=0.02)


def writer(
    server: Scripted,
    *,
    token: Token = None,
    api_key: str | None = None,
    timeout: float = 5.0,
    give_up_after: float = 10.0,
    backoff: Backoff = QUICK,
) -> Publisher:
    return Publisher(
        server.url,
        token=token,
        api_key=api_key,
        timeout=timeout,
        give_up_after=give_up_after,
        backoff=backoff,
    )


def bodies(server: Scripted) -> list[Any]:
    return [json.loads(request.body) for request in server.requests]


def keys(server: Scripted) -> list[str]:
    return [request.headers["idempotency-key"] for request in server.requests]


class TestWhatIsSent:
    async def test_one_event(self) -> None:
        async with Scripted(published(at(1))) as server, writer(server, token="t") as publisher:
            answered = await publisher.publish("note", {"n": 1})
            (request,) = server.requests
        assert answered == Published((at(1),), at(1), False)
        assert (request.method, request.path) == ("POST", "/api/streams/build:42")
        assert request.headers["content-type"] == "application/json"
        assert request.headers["authorization"] == "Bearer t"
        assert bodies(server) == [{"events": [{"type": "note", "data": {"n": 1}}]}]

    @pytest.mark.parametrize(
        "data", ["text", "", "ä€😀\n", "{}", 1, 1.5, None, True, [1], {"a": {}}]
    )
    async def test_text_stays_text_and_the_rest_json(self, data: object) -> None:
        async with Scripted(published(at(1))) as server, writer(server) as publisher:
            await publisher.publish("note", data)
        assert bodies(server)[0]["events"][0]["data"] == data

    async def test_a_batch_and_a_close_in_one_step(self) -> None:
        script = published(at(1), at(2), closed=True)
        async with Scripted(script) as server, writer(server, api_key="k") as publisher:
            answered = await publisher.publish_batch([("a", 1), ("b", "x")], close=True)
        assert answered.closed
        assert bodies(server) == [
            {"events": [{"type": "a", "data": 1}, {"type": "b", "data": "x"}], "close": True}
        ]
        assert server.requests[0].headers["x-api-key"] == "k"

    async def test_closing_alone(self) -> None:
        async with Scripted(published(closed=True)) as server, writer(server) as publisher:
            assert (await publisher.close_stream()).closed
        assert bodies(server) == [{"events": [], "close": True}]

    @pytest.mark.parametrize("data", [float("nan"), {1, 2}, "\ud800", {"a": object()}])
    async def test_what_json_cannot_say_is_refused_before_it_is_sent(self, data: object) -> None:
        async with Scripted() as server, writer(server) as publisher:
            with pytest.raises(InvalidEvent):
                await publisher.publish("note", data)
            assert server.requests == []

    async def test_one_connection_serves_many(self) -> None:
        script = [published(at(n)) for n in range(1, 6)]
        async with Scripted(*script) as server, writer(server) as publisher:
            for number in range(1, 6):
                assert (await publisher.publish("note", number)).cursor == at(number)
            assert server.connections == 1


class TestRetries:
    @pytest.mark.parametrize(
        "step",
        [dropped(), answer(408), answer(429), answer(500), refuse(503, "away"), answer(504)],
        ids=["dropped", "408", "429", "500", "503", "504"],
    )
    async def test_what_passes_is_tried_again_as_the_same_publish(self, step: Step) -> None:
        async with Scripted(step, step, published(at(1))) as server, writer(server) as publisher:
            assert (await publisher.publish("note", 1)).cursor == at(1)
        assert len(set(keys(server))) == 1
        assert len({request.body for request in server.requests}) == 1
        assert len(server.requests) == 3

    async def test_an_answer_that_does_not_come(self) -> None:
        script = [silent(), published(at(1))]
        async with Scripted(*script) as server, writer(server, timeout=0.1) as publisher:
            await publisher.publish("note", 1)
        assert len(set(keys(server))) == 1

    async def test_each_publish_has_a_key_of_its_own(self) -> None:
        script = [published(at(1)), dropped(), published(at(2)), published(at(3))]
        async with Scripted(*script) as server, writer(server) as publisher:
            await publisher.publish("note", 1)
            await publisher.publish("note", 1)
            await publisher.publish("note", 1)
        first, second, again, third = keys(server)
        assert second == again
        assert len({first, second, third}) == 3

    async def test_or_the_caller_s(self) -> None:
        async with Scripted(dropped(), published(at(1))) as server, writer(server) as publisher:
            await publisher.publish("note", 1, key="job-7")
        assert keys(server) == ["job-7", "job-7"]

    @pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "ä"])
    async def test_a_key_that_no_header_takes(self, key: str) -> None:
        async with Scripted() as server, writer(server) as publisher:
            with pytest.raises(InvalidRequest, match="key"):
                await publisher.publish("note", 1, key=key)

    async def test_retry_after_is_kept(self) -> None:
        script = [answer(429, Retry_After="1"), published(at(1))]
        async with Scripted(*script) as server, writer(server) as publisher:
            await publisher.publish("note", 1)
            first, second = server.requests
        assert second.time - first.time >= 1.0

    async def test_it_gives_up(self) -> None:
        async with Scripted(*[refuse(503, "the store is away")] * 9999) as server:
            async with writer(server, give_up_after=0.5) as publisher, asyncio.timeout(5):
                with pytest.raises(Transient, match="the store is away"):
                    await publisher.publish("note", 1)
            assert 1 < len(server.requests) < 9999

    async def test_it_gives_up_at_once_when_it_shall_come_back_too_late(self) -> None:
        async with Scripted(answer(503, Retry_After="3600")) as server, asyncio.timeout(5):
            async with writer(server) as publisher:
                with pytest.raises(Transient, match="503"):
                    await publisher.publish("note", 1)
            assert len(server.requests) == 1

    async def test_it_gives_up_on_answers_that_do_not_come(self) -> None:
        async with Scripted(*[silent()] * 9) as server, asyncio.timeout(5):
            publisher = writer(server, give_up_after=0.2, timeout=60)
            with pytest.raises(Transient, match="too long"):
                await publisher.publish("note", 1)
            await publisher.aclose()

    @pytest.mark.parametrize("give_up_after", [0, -1, 86400])
    def test_retries_end_long_before_the_server_forgets_the_key(self, give_up_after: float) -> None:
        with pytest.raises(InvalidRequest):
            Publisher("http://127.0.0.1:1/", give_up_after=give_up_after)


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "name", "kind"),
        [
            (400, "invalid-event", errors.InvalidEvent),
            (401, "unauthenticated", errors.Unauthenticated),
            (403, "forbidden", errors.Forbidden),
            (404, "not-found", errors.NotFound),
            (409, "stream-closed", errors.StreamClosed),
            (413, "too-large", errors.TooLarge),
            (422, "key-reused", errors.KeyReused),
        ],
    )
    async def test_they_are_raised_and_not_tried_again(
        self, status: int, name: str, kind: type[errors.LastEventError]
    ) -> None:
        step = refuse(status, "for this reason", f"urn:lastevent:problem:{name}")
        async with Scripted(step) as server, writer(server, token="fixed") as publisher:
            with pytest.raises(kind, match="for this reason"):
                await publisher.publish("note", 1)
            assert len(server.requests) == 1

    @pytest.mark.parametrize(
        "body", [b"", b"<html>", b"[]", b'{"ids":[1]}', b'{"ids":1,"cursor":"","closed":false}']
    )
    async def test_an_answer_of_something_else(self, body: bytes) -> None:
        async with Scripted(answer(200, body)) as server, writer(server) as publisher:
            with pytest.raises(InvalidRequest, match="address"):
                await publisher.publish("note", 1)

    async def test_an_answer_without_end(self) -> None:
        script = answer(200, b" " * (MAX_ANSWER_BYTES + 1))
        async with Scripted(script) as server, writer(server) as publisher:
            with pytest.raises(errors.TooLarge):
                await publisher.publish("note", 1)

    async def test_a_refused_token_is_renewed_once(self) -> None:
        tokens = iter(["one", "two", "three"])
        script = [refuse(401, "old"), published(at(1)), refuse(401, "no"), refuse(401, "no")]
        async with Scripted(*script) as server:
            async with writer(server, token=lambda: next(tokens)) as publisher:
                await publisher.publish("note", 1)
                with pytest.raises(errors.Unauthenticated):
                    await publisher.publish("note", 2)
            sent = [request.headers["authorization"] for request in server.requests]
        assert sent == ["Bearer one", "Bearer two", "Bearer two", "Bearer three"]


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"ids": [at(1)], "cursor": at(1), "closed": False}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestWarning")
def test_a_publisher_outlives_its_event_loop() -> None:
    """As in a function that is thawed; the first loop's connection is lost with the loop."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        publisher = Publisher(f"http://127.0.0.1:{server.server_port}/api/streams/a", timeout=2)

        async def last() -> str:
            answered = await publisher.publish("note", 2)
            await publisher.aclose()
            return answered.cursor

        assert asyncio.run(publisher.publish("note", 1)).cursor == at(1)
        assert asyncio.run(last()) == at(1)
        gc.collect()  # what is said of the lost connection is said here, where nobody minds
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
