"""A plain client of the REST API, which shows all that was answered."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from infra.local.upstash import UpstashServer

WAIT_SECONDS = 20.0
"""A safety limit: what takes longer than this has hung."""


class Lines:
    """The messages of an open subscription."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> str:
        """Return the next message, without `data: `. Raises StopAsyncIteration at the end."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                line = await anext(self._lines)
                if line:
                    assert line.startswith("data: ")
                    return line.removeprefix("data: ")


class Rest:
    """A client of one emulator."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    @classmethod
    @asynccontextmanager
    async def of(cls, server: UpstashServer, token: str | None = None) -> AsyncIterator["Rest"]:
        """Make a client with the standard token, or another."""
        headers = {"Authorization": f"Bearer {token or server.token}"}
        async with httpx.AsyncClient(
            base_url=server.url, headers=headers, trust_env=False, timeout=WAIT_SECONDS
        ) as http:
            yield cls(http)

    async def send(self, *command: Any, **headers: str) -> httpx.Response:
        """Send a command as an array; `upstash_encoding="base64"` is a header."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post("/", json=list(command), headers=named)

    async def call(self, *command: Any) -> Any:
        """Return a command's result; it must have one."""
        answer = await self.send(*command)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    async def error(self, *command: Any) -> str:
        """Return a command's error; it must have one."""
        answer = await self.send(*command)
        assert answer.status_code == 400, answer.text
        body: Mapping[str, str] = answer.json()
        assert body.keys() == {"error"}
        return body["error"]

    @asynccontextmanager
    async def subscribed(self, path: str) -> AsyncIterator[Lines]:
        """Open a subscription, `/subscribe/chat`."""
        async with self.http.stream("POST", path) as response:
            yield Lines(response)
