"""Subscribers of the chaos run. They hide nothing: what arrives twice is kept twice.

One that is refused raises that. It would ask for ever, and look like a server that is silent.
"""

import asyncio
import json
import random
from dataclasses import dataclass, field

import httpx

from lastevent.client import Stream
from lastevent.core.errors import CursorExpired, Transient
from lastevent.core.wire import Decoder


@dataclass
class Seen:
    """What one subscriber got: the events' ids, data and types, in the order of arrival."""

    name: str
    ids: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    legs: int = 0
    cuts: int = 0
    resets: int = 0
    ended: bool = False


async def follow_raw(seen: Seen, path: str, urls: list[str], chance: random.Random) -> None:
    """Follow by hand: the bare wire, another server each time, no de-duplication.

    Some legs it cuts itself, wherever in a frame that happens to be.
    """
    cursor = ""
    async with httpx.AsyncClient(timeout=10) as client:
        while not seen.ended:
            seen.legs += 1
            decoder = Decoder(last_event_id=cursor)
            headers = {"Last-Event-ID": cursor} if cursor else {}
            patience = chance.uniform(0.1, 2.0) if chance.random() < 0.3 else 20.0
            url = f"{chance.choice(urls)}{path}"
            try:
                async with (
                    asyncio.timeout(patience),
                    client.stream("GET", url, headers=headers) as leg,
                ):
                    assert leg.status_code < 400 or leg.status_code >= 500, leg.status_code
                    if leg.status_code == 204:
                        seen.ended = True
                    async for chunk in leg.aiter_raw():
                        for message in decoder.feed(chunk):
                            if message.type == "stream":
                                state = json.loads(message.data)["state"]
                                seen.resets += state == "reset"
                                seen.ended = seen.ended or state == "end"
                            elif message.type != "heartbeat":
                                seen.ids.append(message.id)
                                seen.types.append(message.type)
                                seen.data.append(message.data)
            except (TimeoutError, httpx.HTTPError):
                seen.cuts += 1
                await asyncio.sleep(0.05)
            cursor = decoder.last_event_id


async def follow_client(seen: Seen, path: str, urls: list[str], chance: random.Random) -> None:
    """Follow with the Python client, on another server whenever it gives up."""
    cursor: str | None = None
    while not seen.ended:
        seen.legs += 1
        url = f"{chance.choice(urls)}{path}"
        async with Stream(url, cursor=cursor, attempts=2) as events:
            try:
                async for event in events:
                    seen.ids.append(event.id)
                    seen.types.append(event.type)
                    seen.data.append(event.data)
                seen.ended = True
            except CursorExpired:
                seen.resets += 1
            except Transient:
                seen.cuts += 1
            cursor = events.cursor
