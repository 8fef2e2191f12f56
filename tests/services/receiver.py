"""A webhook's receiver on loopback: checks signatures, remembers messages, has bad days."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import time
from typing import Any, Literal

KEY = bytes(range(32))
WAIT_SECONDS = 10.0

type Fault = int | Literal["deaf", "drop", "redirect"]
"""A status to answer with; ``deaf``: no answer; ``drop``: taken, but the answer is lost."""


@dataclass
class Receiver:
    """``faults`` are met by the next requests, one each; what is taken is in ``taken``, by id."""

    url: str
    faults: list[Fault] = field(default_factory=list)
    retry_after: str | None = None
    requests: int = 0
    taken: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was told: a message that came again under its id is one."""
        return list(dict(self.taken).values())

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.messages]

    def answer(self, headers: dict[str, str], body: bytes) -> bytes | None:
        self.requests += 1
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int):
            extra = f"retry-after: {self.retry_after}\r\n" if self.retry_after else ""
            return f"HTTP/1.1 {fault} No\r\n{extra}content-length: 0\r\n\r\n".encode()
        if fault == "deaf":
            return None
        if fault == "redirect":
            return f"HTTP/1.1 307 No\r\nlocation: {self.url}\r\ncontent-length: 0\r\n\r\n".encode()
        self._take(headers, body)
        return b"" if fault == "drop" else b"HTTP/1.1 204 Yes\r\n\r\n"

    def _take(self, headers: dict[str, str], body: bytes) -> None:
        """Check a message as the specification has a receiver do it, by no code of ours."""
        id, seconds = headers["webhook-id"], headers["webhook-timestamp"]
        signed = b".".join([id.encode(), seconds.encode(), body])
        proof = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"].split(" ") == [f"v1,{proof}"]
        assert abs(int(seconds) - time()) < 300
        assert headers["content-type"] == "application/json"
        assert "." not in id
        self.taken.append((id, json.loads(body)))


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Listen until the end of the context."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                pairs = (line.split(": ", 1) for line in head[1:] if line)
                headers = {name.lower(): value for name, value in pairs}
                body = await reader.readexactly(int(headers["content-length"]))
                said = receiver.answer(headers, body)
                if said is None:
                    await reader.read()
                else:
                    writer.write(said)
                    await writer.drain()
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    receiver = Receiver(f"http://{host}:{port}/hook")
    async with listening:
        yield receiver
