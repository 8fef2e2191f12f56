"""The JSON face of what the uses serve as legs: for clients that no stream reaches, and poll."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time
from typing import Any

import jwt
import pytest
from starlette.requests import Request
from starlette.routing import Route

from lastevent.core.errors import Forbidden
from lastevent.core.event import NewEvent
from lastevent.serve.app import leg_endpoint
from lastevent.serve.service import Service
from lastevent.serve.subscribe import Subscription
from lastevent.stores.base import Retention, RetentionRules
from tests.serve.running import Running, Serve

SECRET = "s" * 40
JSON = {"Accept": "application/json"}
PATH = "/api/told"


def token(sub: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {jwt.encode({'sub': sub, 'exp': time() + 60}, SECRET, 'HS256')}"
    }


class Told:
    """A use that serves streams of its own to one user, and knows while somebody is there."""

    def __init__(self, *streams: str, **more: Any) -> None:
        self.present = 0
        self.came = 0
        self._subscription = Subscription(streams, during=self._during, granted=True, **more)

    async def resolve(self, service: Service, request: Request) -> Subscription:
        if (await service.auth.identify(request)).sub != "ann":
            raise Forbidden("these are ann's")
        return self._subscription

    @asynccontextmanager
    async def _during(self, ends_at: float | None) -> AsyncIterator[None]:
        self.present += 1
        self.came += 1
        yield
        self.present -= 1


async def serving(serve: Serve, told: Told, **changes: Any) -> Running:
    routes = [Route(PATH, leg_endpoint(told.resolve), methods=["GET"])]
    return await serve(routes=routes, development=False, auth_secret=SECRET, **changes)


async def get(server: Running, query: str = "") -> Any:
    answer = await server.client.get(PATH + query, headers=JSON | token("ann"))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def append(server: Running, stream: str, *data: str, close: bool = False) -> None:
    events = [NewEvent("note", text) for text in data]
    await server.service.store.log.append(stream, events, close=close)


def data(page: Any) -> list[str]:
    return [event["data"] for event in page["events"]]


async def test_it_gives_what_the_use_grants_and_to_nobody_else(serve: Serve) -> None:
    server = await serving(serve, Told("user:ann"))
    await append(server, "user:ann", "1", "2")
    page = await get(server)
    assert data(page) == ["1", "2"]
    await append(server, "user:ann", "3")
    assert data(await get(server, f"?after={page['cursor']}")) == ["3"]
    for headers, status in ((token("bob"), 403), ({}, 401)):
        answer = await server.client.get(PATH, headers=JSON | headers)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


async def test_the_uses_own_start_and_types(serve: Serve) -> None:
    server = await serving(serve, Told("user:ann", start="now", types=frozenset({"note"})))
    await append(server, "user:ann", "1")
    page = await get(server)
    assert page["events"] == []
    await server.service.store.log.append("user:ann", [NewEvent("other", "2")])
    await append(server, "user:ann", "3")
    assert data(await get(server, f"?after={page['cursor']}")) == ["3"]
    assert data(await get(server, "?from=start")) == ["1", "3"]


async def test_who_polls_is_there_meanwhile(serve: Serve) -> None:
    told = Told("user:ann")
    server = await serving(serve, told)
    polling = asyncio.create_task(get(server, "?wait=20"))
    async with asyncio.timeout(10):
        while not told.present:
            await asyncio.sleep(0.01)
    await append(server, "user:ann", "1")
    assert data(await polling) == ["1"]
    assert told.present == 0
    await get(server)
    assert told.came == 2, "a short visit counts too: what viewers pump is pumped by it"


async def test_nobody_is_needed_for_what_is_over(serve: Serve) -> None:
    told = Told("user:ann")
    server = await serving(serve, told)
    await append(server, "user:ann", "1", close=True)
    page = await get(server, "?wait=20")
    assert (data(page), page["closed"], told.came) == (["1"], True, 0)


@pytest.mark.parametrize("passing", [True, False])
async def test_what_passes_is_no_loss(serve: Serve, passing: bool) -> None:
    streams = frozenset({"typing:ann"}) if passing else frozenset()
    rules = RetentionRules(otherwise=Retention(max_events=2))
    server = await serving(serve, Told("typing:ann", passing=streams), retention=rules)
    await append(server, "typing:ann", "1")
    cursor = (await get(server, "?from=start"))["cursor"]
    await append(server, "typing:ann", "2", "3", "4", "5")
    page = await get(server, f"?after={cursor}")
    assert page["truncated"] is not passing
    assert data(page) == ([] if passing else ["4", "5"])
