"""Jobs that say things, the connections that hear them, and what goes wrong on the way."""

import asyncio
import contextlib
import json
from asyncio import Transport
from dataclasses import dataclass, field
from time import time
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect


@dataclass(slots=True)
class Faults:
    """What goes wrong. ``status`` (with ``retry_after`` seconds, ``times`` or always) answers
    requests and handshakes; ``close`` closes with that code what joins; ``seconds`` delays both;
    ``mute``: connections stand and bring nothing, pongs neither."""

    status: int | None = None
    retry_after: float | None = None
    times: int | None = None
    close: int | None = None
    reason: str = ""
    seconds: float = 0.0
    mute: bool = False

    def take_status(self) -> int | None:
        """Return the status to answer with, if any, and count it."""
        if self.status is None or self.times == 0:
            return None
        if self.times is not None:
            self.times -= 1
        return self.status


class Connection:
    """A WebSocket that has joined a job, and what was sent over it."""

    def __init__(self, socket: WebSocket, transport: Transport) -> None:
        self.sent: list[int] = []
        self.began = int(time() * 1000)
        self.ended: int | None = None
        self._socket = socket
        self._transport = transport

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message, unless the other side has gone."""
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await self._socket.send_text(json.dumps(message))
            if isinstance(number := message.get("seq"), int):
                self.sent.append(number)

    async def send_raw(self, text: str) -> None:
        """Send text that is no message."""
        await self._socket.send_text(text)

    def cut(self) -> None:
        """Break the connection without a word."""
        self._transport.abort()

    def mute(self) -> None:
        """Hear nothing from now on: no ping is answered."""
        self._transport.pause_reading()

    @property
    def described(self) -> dict[str, Any]:
        """Its time, in Unix ms, and the numbers of what was sent."""
        return {"began": self.began, "ended": self.ended, "sent": self.sent}


@dataclass(slots=True)
class Job:
    """A job: all it has said, in order, each with its number ``seq`` and its time ``at``."""

    id: str
    said: list[dict[str, Any]] = field(default_factory=list)
    open: list[Connection] = field(default_factory=list)
    all: list[Connection] = field(default_factory=list)
    most: int = 0
    polled: dict[int, list[int]] = field(default_factory=dict)
    """When its state was asked for, in Unix ms, by the port of who asked."""

    @property
    def polls(self) -> int:
        """How often its state was asked for."""
        return sum(map(len, self.polled.values()))

    @property
    def state(self) -> dict[str, Any]:
        """What a poll is told: the last thing said, as a document."""
        first: dict[str, Any] = {"type": "progress", "progress": 0}
        last = self.said[-1] if self.said else first
        status = "running" if last["type"] == "progress" else last["type"]
        return {**last, "type": "import", "jobId": self.id, "status": status, "asked": self.polls}

    def poll(self, port: int) -> dict[str, Any]:
        """Return the state to who asks from ``port``."""
        self.polled.setdefault(port, []).append(int(time() * 1000))
        return self.state

    def join(self, connection: Connection) -> None:
        """Let a connection hear what is said from now on."""
        self.open.append(connection)
        self.all.append(connection)
        self.most = max(self.most, len(self.open))

    def leave(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        connection.ended = int(time() * 1000)
        self.open.remove(connection)

    async def say(self, message: dict[str, Any], faults: Faults) -> None:
        """Say something to all connections."""
        update = {"jobId": self.id, **message}
        update |= {"seq": len(self.said) + 1, "at": int(time() * 1000)}
        self.said.append(update)
        if not faults.mute:
            await asyncio.gather(*(connection.send(update) for connection in self.open))

    async def run(self, updates: int, seconds: float, faults: Faults) -> None:
        """Say so many updates, ``seconds`` apart, and then that it is done."""
        for number in range(1, updates + 1):
            await asyncio.sleep(seconds)
            progress = round(100 * number / (updates + 1), 2)
            step = {"type": "progress", "progress": progress, "message": f"Step {number}"}
            await self.say(step, faults)
        await asyncio.sleep(seconds)
        await self.say({"type": "completed", "result": {"steps": updates}}, faults)

    @property
    def described(self) -> dict[str, Any]:
        """What it said, who heard it, when each connection polled, and how many WebSockets it had:
        now, at most, in all."""
        return {
            "said": self.said,
            "polled": list(self.polled.values()),
            "connections": {"now": len(self.open), "max": self.most, "total": len(self.all)},
            "heard": [connection.described for connection in self.all],
        }
