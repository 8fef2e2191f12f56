"""One client, any platform: publish, follow, kill, resume, close; unchanged on all of them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from infra.local.platforms import Platform
from lastevent.client import Backoff, Publisher, Stream
from tests.platforms.conftest import SECRET

QUICK = Backoff(first=0.05, longest=0.5)
COUNT = 60
KILLS = (15, 35)
WAIT_SECONDS = 90.0
"""A safety limit: what takes longer than this has hung."""

SHARED = ("upstash", "dynamodb")
PLACES = [
    ("uvicorn", "sqlite"),
    *[("uvicorn", store) for store in (*SHARED, "dynamodb+upstash")],
    *[("vercel", store) for store in (*SHARED, "dynamodb+upstash")],
    *[("lambda-stream", store) for store in (*SHARED, "dynamodb+upstash")],
    *[("lambda-buffered", store) for store in (*SHARED, "dynamodb+upstash")],
]

pytestmark = [pytest.mark.slow, pytest.mark.node, pytest.mark.timeout(300)]

Make = Callable[[str, dict[str, str], Path], Platform]
Stores = Callable[[str], Awaitable[dict[str, str]]]


@pytest.mark.parametrize(("platform", "store"), PLACES, ids=["-".join(it) for it in PLACES])
async def test_publish_follow_kill_resume_close(
    platform: str, store: str, make: Make, stores: Stores, token: str, tmp_path: Path
) -> None:
    environment = {
        **await stores(store),
        "LASTEVENT_AUTH_SECRET": SECRET,
        "LASTEVENT_MAX_LEG_SECONDS": "2",
    }
    place = make(platform, environment, tmp_path)
    url = f"{place.url}/api/streams/one"
    reading = asyncio.Event()

    async def read(cursor: str | None = None) -> list[tuple[str, str]]:
        got = []
        stream = Stream(url, token=token, cursor=cursor, attempts=None, backoff=QUICK)
        async for event in stream:
            got.append((event.id, event.data))
            reading.set()
        return got

    async with place, asyncio.timeout(WAIT_SECONDS):
        async with Publisher(url, token=token, backoff=QUICK, timeout=5.0) as publisher:
            published: list[tuple[str, str]] = []
            readers = [asyncio.create_task(read()) for _ in range(2)]
            for number in range(COUNT):
                answer = await publisher.publish("note", str(number), close=number == COUNT - 1)
                published.append((answer.ids[0], str(number)))
                if number == 0:
                    await reading.wait()
                if number in KILLS:
                    await asyncio.to_thread(place.kill)
                    readers.append(asyncio.create_task(read(answer.cursor)))
                await asyncio.sleep(0.02)
            assert answer.closed
        first, second, *late = await asyncio.gather(*readers)
        assert first == second == published
        for begin, got in zip(KILLS, late, strict=True):
            assert got == published[begin + 1 :], "who resumes gets exactly the rest"
        async with httpx.AsyncClient(trust_env=False) as client:
            over = await client.get(
                url,
                headers={
                    "Accept": "text/event-stream",
                    "Authorization": f"Bearer {token}",
                    "Last-Event-ID": published[-1][0],
                },
                timeout=WAIT_SECONDS,
            )
        assert over.status_code == 204, "a client that has everything is told not to come back"
