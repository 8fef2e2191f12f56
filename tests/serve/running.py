"""A server that runs, and a reader of its legs."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import pytest
import uvicorn

from lastevent.core.wire import Decoder, Message
from lastevent.serve.app import App
from lastevent.serve.service import Service

WAIT_SECONDS = 10.0

any_store = pytest.mark.parametrize("settings", ["memory://"], indirect=True, ids=["memory"])
"""For tests that have nothing to do with how a store keeps things: one kind is enough."""


class InProcess(uvicorn.Server):
    """Leaves the process's signals to pytest."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Running:
    """A server that runs: where, and what is inside."""

    url: str
    app: App
    service: Service
    client: httpx.AsyncClient
    server: uvicorn.Server

    async def publish(self, stream: str, *data: object, close: bool = False) -> list[str]:
        body = {"events": [{"type": "note", "data": item} for item in data], "close": close}
        answer = await self.client.post(f"/api/streams/{stream}", json=body)
        assert answer.status_code == 201, answer.text
        return cast(list[str], answer.json()["ids"])

    @contextlib.asynccontextmanager
    async def leg(self, path: str, **headers: str) -> AsyncIterator["LegReader"]:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if "/" not in path:
            path = f"/api/streams/{path}"
        async with self.client.stream(
            "GET", path, headers={"Accept": "text/event-stream"} | headers
        ) as answer:
            yield LegReader(answer)


@dataclass
class LegReader:
    """Reads one leg message by message."""

    answer: httpx.Response
    decoder: Decoder = field(default_factory=Decoder)
    raw: bytearray = field(default_factory=bytearray)
    _waiting: list[Message] = field(default_factory=list)
    _bytes: AsyncIterator[bytes] | None = None

    async def next(self, timeout: float = WAIT_SECONDS) -> Message | None:
        """Return the next message, None at the response's end."""
        if self._bytes is None:
            self._bytes = self.answer.aiter_raw()
        async with asyncio.timeout(timeout):
            while not self._waiting:
                try:
                    chunk = await anext(self._bytes)
                except StopAsyncIteration:
                    return None
                self.raw += chunk
                self._waiting += self.decoder.feed(chunk)
        return self._waiting.pop(0)

    async def until(self, state: str) -> list[Message]:
        """Return the messages up to and including the control event of ``state``."""
        messages: list[Message] = []
        while True:
            message = await self.next()
            assert message is not None, f"no {state} in {messages}"
            messages.append(message)
            if message.type == "stream" and json.loads(message.data)["state"] == state:
                return messages

    async def notes(self, count: int) -> list[Message]:
        """Return the next ``count`` messages that are not the leg's own."""
        messages: list[Message] = []
        while len(messages) < count:
            message = await self.next()
            assert message is not None, f"the leg ended after {messages}"
            if message.type not in ("stream", "heartbeat"):
                messages.append(message)
        return messages


def state(message: Message | None) -> dict[str, Any]:
    """Return what a control event says."""
    assert message is not None
    assert message.type == "stream"
    return cast(dict[str, Any], json.loads(message.data))


Serve = Callable[..., Awaitable[Running]]


async def gone(server: Running) -> None:
    """Wait until the server has noticed that all its readers left."""
    async with asyncio.timeout(WAIT_SECONDS):
        while server.service.connections:
            await asyncio.sleep(0.01)
