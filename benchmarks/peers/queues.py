"""What the servers in Python share: the usual design, a queue for each subscriber.

A stream is a list of what was published, from which a subscriber gets what it missed, and a queue
a subscriber, into which each event is put once more.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator

from starlette.requests import Request


class Channel:
    """One stream."""

    def __init__(self) -> None:
        self.history: list[str] = []
        self.queues: set[asyncio.Queue[tuple[int, str]]] = set()

    def publish(self, data: str) -> int:
        """Keep one more event, tell all subscribers, and return its number, from 1 on."""
        self.history.append(data)
        number = len(self.history)
        for queue in self.queues:
            queue.put_nowait((number, data))
        return number

    async def events(self, after: int) -> AsyncIterator[tuple[int, str]]:
        """Yield the events after number ``after``, without an end."""
        queue: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        known = len(self.history)
        self.queues.add(queue)
        try:
            for number in range(after + 1, known + 1):
                yield number, self.history[number - 1]
            while True:
                yield await queue.get()
        finally:
            self.queues.discard(queue)


channels: defaultdict[str, Channel] = defaultdict(Channel)


async def taken(request: Request) -> dict[str, list[str]]:
    """Publish what a request brings, one event or a list of them, and return its answer."""
    body = json.loads(await request.body())
    channel = channels[request.path_params["stream"]]
    events = body if isinstance(body, list) else [body]
    return {"ids": [f"{channel.publish(event['data']):020d}" for event in events]}


def following(request: Request) -> AsyncIterator[tuple[int, str]]:
    """Return the events that a request wants to follow."""
    after = int(request.headers.get("last-event-id") or 0)
    return channels[request.path_params["stream"]].events(after)
