"""The example of a generator as a stream, on servers that are processes and share a store."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.platforms import Server
from lastevent.client import Backoff, Stream
from lastevent.client.follower import StreamEvent
from lastevent.serve.auth import mint
from lastevent.services.ledger import GONE
from lastevent.services.runs import SHUT_DOWN

SECRET = "a secret of the tests, and of nothing else"
TOKEN = mint(SECRET, {"sub": "tester", "read": ["report:*"], "append": ["report:*"]}, 3600)
QUICK = Backoff(first=0.05, longest=0.5)
WAIT_SECONDS = 40.0
"""A safety limit: what takes longer than this has hung."""


class Reports:
    """Two servers of the example, ``here`` and ``there``, and who has reports written by them."""

    def __init__(self, here: Server, there: Server, client: httpx.AsyncClient) -> None:
        self.here = here
        self.there = there
        self._client = client

    async def call(self, method: str, at: Server, path: str = "", body: Any = None) -> Any:
        """Make a request for reports; return what the answer says."""
        answer = await self._client.request(method, f"{at.url}/api/reports{path}", json=body)
        assert answer.status_code < 400, answer.text
        return answer.json()

    async def start(self, at: Server, lines: int = 100_000, pause: float = 0.02) -> dict[str, Any]:
        """Have a report written; return what its starter is told, who leaves then."""
        told: dict[str, Any] = await self.call("POST", at, "", {"lines": lines, "pause": pause})
        assert told["state"] == "starting"
        return told

    def reader(self, at: Server, report: dict[str, Any], cursor: str | None = None) -> Stream:
        """Return somebody who follows a report."""
        return Stream(
            at.url + report["url"], token=TOKEN, cursor=cursor, attempts=None, backoff=QUICK
        )

    async def read(
        self, at: Server, report: dict[str, Any], cursor: str | None = None
    ) -> list[StreamEvent]:
        """Follow a report to its end."""
        async with self.reader(at, report, cursor) as stream:
            return [event async for event in stream]


@pytest.fixture
async def reports(tmp_path: Path) -> AsyncIterator[Reports]:
    environment = {
        "LASTEVENT_STORE_URL": f"sqlite:///{tmp_path}/reports.db",
        "LASTEVENT_AUTH_SECRET": SECRET,
        "LASTEVENT_LEASE_SECONDS": "1",
        "LASTEVENT_MAX_LEG_SECONDS": "1",
    }
    arguments = ["-m", "uvicorn", "examples.report:app", "--timeout-graceful-shutdown", "3"]
    servers = [Server(arguments, environment, tmp_path / f"{name}.log") for name in ("one", "two")]
    async with AsyncExitStack() as stack, asyncio.timeout(WAIT_SECONDS):
        await asyncio.gather(*(stack.enter_async_context(server) for server in servers))
        client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=WAIT_SECONDS
        )
        await stack.enter_async_context(client)
        yield Reports(servers[0], servers[1], client)


def lines(events: list[StreamEvent]) -> list[int]:
    """Return the numbers of a report's lines, which have to be from the first, each once."""
    found = [json.loads(event.data)["line"] for event in events if event.type == "line"]
    assert found == list(range(1, len(found) + 1)), "every line once, in order"
    return found


def end(events: list[StreamEvent], type: str) -> str | None:
    """Return the error that the last event tells, which has to be of this type."""
    assert [event.type for event in events if event.type != "line"] == [type]
    error: str | None = json.loads(events[-1].data).get("error")
    return error


async def until(look: Callable[[], Any], wanted: str) -> None:
    while (await look())["state"] != wanted:
        await asyncio.sleep(0.05)


async def test_it_goes_on_without_its_starter_and_whoever_leaves_resumes(reports: Reports) -> None:
    report = await reports.start(reports.here, lines=100)
    whole = [
        asyncio.create_task(reports.read(server, report))
        for server in (reports.here, reports.there)
    ]
    first: list[StreamEvent] = []
    async with reports.reader(reports.here, report) as leaves:
        async for event in leaves:
            first.append(event)
            if len(first) == 20:
                break
    await asyncio.sleep(0.5)
    rest = await reports.read(reports.there, report, first[-1].id)
    read, other = await asyncio.gather(*whole)
    assert read == other == first + rest, "who resumes gets exactly the rest"
    assert len(lines(read)) == 100
    assert end(read, "done") is None
    await until(lambda: reports.call("GET", reports.there, f"/{report['id']}"), "done")


async def test_any_server_can_cancel_it(reports: Reports) -> None:
    report = await reports.start(reports.here)
    reading = [
        asyncio.create_task(reports.read(server, report))
        for server in (reports.here, reports.there)
    ]
    async with reports.reader(reports.there, report) as stream:
        async for _ in stream:
            break
    told = await reports.call("DELETE", reports.there, f"/{report['id']}")
    assert told["state"] == "stopping"
    read, other = await asyncio.gather(*reading)
    assert read == other
    assert lines(read)
    assert end(read, "cancelled") is None
    await until(lambda: reports.call("GET", reports.here, f"/{report['id']}"), "cancelled")


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_the_end_of_its_server_is_told_to_all(reports: Reports, how: str) -> None:
    chance = random.Random(how)
    enough = chance.randint(1, 60)
    report = await reports.start(reports.here)
    reading = [asyncio.create_task(reports.read(reports.there, report)) for _ in range(2)]
    async with reports.reader(reports.here, report) as stream:
        seen = 0
        async for _ in stream:
            seen += 1
            if seen == enough:
                break
    await asyncio.sleep(chance.uniform(0.0, 0.05))
    await asyncio.to_thread(getattr(reports.here, how))
    read, other = await asyncio.gather(*reading)
    assert read == other
    assert len(lines(read)) >= enough
    assert end(read, "failure") == (GONE if how == "kill" else SHUT_DOWN)
    await until(lambda: reports.call("GET", reports.there, f"/{report['id']}"), "failed")
