"""Publisher and Stream against the real server, which is killed and started again meanwhile."""

import asyncio
import random
from pathlib import Path

import pytest

from lastevent.client import Backoff, Publisher, Stream
from lastevent.core.errors import Forbidden, StreamClosed, Unauthenticated
from lastevent.serve.auth import mint
from tests.cli.command import Server, running

QUICK = Backoff(first=0.05, longest=0.5)
SECRET = "a secret of more than thirty-two characters"


@pytest.mark.timeout(120)
async def test_every_acknowledged_event_arrives_once_and_in_order(tmp_path: Path) -> None:
    """Legs of half a second, two publishers, three readers, two kills in the middle."""
    chance = random.Random(7)
    server = Server(tmp_path, LASTEVENT_MAX_LEG_SECONDS="0.5", LASTEVENT_HEARTBEAT_SECONDS="0.5")
    url = f"{server.url}/api/streams/log"
    acknowledged: dict[str, str] = {}
    done = asyncio.Event()

    async def publish(name: str) -> None:
        async with Publisher(url, backoff=QUICK, timeout=2.0) as publisher:
            number = 0
            while not done.is_set():
                batch = [("note", f"{name} {number + n}") for n in range(chance.randint(1, 5))]
                answer = await publisher.publish_batch(batch)
                assert not acknowledged.keys() & answer.ids
                acknowledged.update(zip(answer.ids, [data for _, data in batch], strict=True))
                number += len(batch)
                await asyncio.sleep(0.01)

    async def read() -> list[tuple[str, str]]:
        stream = Stream(url, attempts=None, backoff=QUICK)
        return [(event.id, event.data) async for event in stream]

    await asyncio.to_thread(server.start)
    try:
        async with asyncio.timeout(60):
            readers = [asyncio.create_task(read()) for _ in range(3)]
            publishers = [asyncio.create_task(publish(name)) for name in "ab"]
            for _ in range(2):
                await asyncio.sleep(1.2)
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
            await asyncio.sleep(1.0)
            done.set()
            await asyncio.gather(*publishers)
            async with Publisher(url) as publisher:
                await publisher.close_stream()
            expected = sorted(acknowledged.items())  # ids of one stream sort as its order
            assert len(expected) > 100
            for reader in readers:
                assert await reader == expected
    finally:
        await asyncio.to_thread(server.kill)


def token(seconds: float = 3600, **grants: list[str]) -> str:
    return mint(SECRET, {"sub": "x", **grants}, seconds)


async def test_tokens(tmp_path: Path) -> None:
    reading, writing = token(read=["log"]), token(append=["*"])
    expired = token(-60, read=["log"])
    with running(tmp_path, LASTEVENT_AUTH_SECRET=SECRET) as server:
        url = f"{server.url}/api/streams/log"
        async with Publisher(url, token=writing) as publisher:
            await publisher.publish("note", {"n": 1}, close=True)
            with pytest.raises(StreamClosed):
                await publisher.publish("note", {"n": 2})
        async with Publisher(url, token=reading) as publisher:
            with pytest.raises(Forbidden):
                await publisher.publish("note", 1)
        tokens = iter([expired, reading])
        stream = Stream(url, token=lambda: next(tokens))
        assert [event.json() async for event in stream] == [{"n": 1}]
        with pytest.raises(Unauthenticated, match="expired"):
            await anext(aiter(Stream(url, token=expired)))


@pytest.mark.slow
async def test_a_token_that_ends_within_a_leg_is_renewed(tmp_path: Path) -> None:
    asked = 0

    def renew() -> str:
        nonlocal asked
        asked += 1
        return token(2, read=["log"])

    variables = {"LASTEVENT_AUTH_SECRET": SECRET, "LASTEVENT_HEARTBEAT_SECONDS": "0.3"}
    with running(tmp_path, **variables) as server:
        url = f"{server.url}/api/streams/log"
        async with Publisher(url, token=token(append=["*"])) as publisher, asyncio.timeout(30):
            found: list[int] = []
            await publisher.publish("note", 0)
            # No failure is allowed: a token that ends is none.
            async for event in Stream(url, token=renew, attempts=0):
                found.append(event.json())
                if len(found) == 3:
                    break
                await asyncio.sleep(2.1)
                await publisher.publish("note", len(found))
        assert found == [0, 1, 2]
        assert asked >= 3
