"""Behind nginx as a plain reverse proxy, events still arrive at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import httpx
import pytest

from lastevent.core.wire import Decoder, Message
from tests.browser.server import Server
from tests.nginx.conftest import StartNginx

pytestmark = pytest.mark.nginx

WAIT_SECONDS = 10.0
HELD_SECONDS = 1.0
GZIP = "gzip on; gzip_proxied any; gzip_min_length 0; gzip_types text/plain text/event-stream;"
DEFAULTS = pytest.mark.parametrize(
    "options", ["", "proxy_http_version 1.1; proxy_set_header Connection '';"], ids=["1.0", "1.1"]
)


class Leg:
    """Reads a response message by message, decompressed if it is compressed."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._bytes = answer.aiter_bytes()
        self._decoder = Decoder()
        self._waiting: list[Message] = []

    async def next(self, kind: str) -> Message:
        """Return the next message of this type, passing over others."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                while self._waiting:
                    message = self._waiting.pop(0)
                    if message.type == kind:
                        return message
                self._waiting += self._decoder.feed(await anext(self._bytes))


@asynccontextmanager
async def leg(url: str, server: Server, cursor: str | None = None) -> AsyncIterator[Leg]:
    """Follow the stream through the proxy at ``url``."""
    headers = {"Accept": "text/event-stream"} | server.headers
    if cursor:
        headers["Last-Event-ID"] = cursor
    async with (
        httpx.AsyncClient(timeout=WAIT_SECONDS) as client,
        client.stream("GET", f"{url}/api/streams/s", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        yield Leg(answer)


@DEFAULTS
async def test_each_event_arrives_before_the_next_is_published(
    server: Server, nginx: StartNginx, options: str
) -> None:
    url = await nginx(server.port, options)
    async with leg(url, server) as reader:
        assert reader.answer.headers["server"].startswith("nginx")
        for number in range(20):
            await server.publish("s", number)
            message = await reader.next("note")
            assert json.loads(message.data) == number


@DEFAULTS
async def test_a_reader_resumes(server: Server, nginx: StartNginx, options: str) -> None:
    url = await nginx(server.port, options)
    await server.publish("s", 1, 2, 3)
    async with leg(url, server) as reader:
        await reader.next("note")
        second = await reader.next("note")
    async with leg(url, server, second.id) as reader:
        assert json.loads((await reader.next("note")).data) == 3


async def test_heartbeats_pass(server: Server, nginx: StartNginx) -> None:
    url = await nginx(server.port)
    async with leg(url, server) as reader:
        first, second = [json.loads((await reader.next("heartbeat")).data) for _ in range(2)]
        assert first["timestamp"] < second["timestamp"]


async def test_compression_holds_nothing_back(server: Server, nginx: StartNginx) -> None:
    """nginx takes no notice of no-transform; but it flushes what it compresses unbuffered."""
    url = await nginx(server.port, GZIP)
    async with leg(url, server) as reader:
        assert reader.answer.headers["content-encoding"] == "gzip"
        for number in range(20):
            await server.publish("s", number)
            assert json.loads((await reader.next("note")).data) == number


@pytest.mark.parametrize("options", ["", GZIP], ids=["plain", "gzip"])
async def test_without_our_headers_events_are_held_back(
    bare_port: int, nginx: StartNginx, options: str
) -> None:
    """The control: this nginx does collect bytes, so the tests above can fail."""
    own = f"http://127.0.0.1:{bare_port}"
    assert not await _is_held_back(own, own)
    assert await _is_held_back(await nginx(bare_port, options), own)


async def _is_held_back(url: str, own: str) -> bool:
    """Whether the control's event does not come through ``url`` before the stream's end."""
    async with httpx.AsyncClient(timeout=WAIT_SECONDS) as client:
        request = client.build_request("GET", f"{url}/stream")
        first = asyncio.create_task(_first_message(client.send(request, stream=True)))
        await client.post(f"{own}/next")
        held = not (await asyncio.wait([first], timeout=HELD_SECONDS))[0]
        await client.post(f"{own}/last")
        assert (await first).data == "1"
    return held


async def _first_message(sending: Awaitable[httpx.Response]) -> Message:
    answer = await sending
    try:
        return await Leg(answer).next("message")
    finally:
        await answer.aclose()
