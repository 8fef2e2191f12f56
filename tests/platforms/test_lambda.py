"""What only Lambda does to a process: time limits, freezing, abandoned answers, many in one."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from infra.local.aws import FunctionUrl, HttpApi, LambdaFunction
from infra.local.platforms import WRAPPER
from infra.local.upstash import UpstashServer
from lastevent.core.event import NewEvent
from lastevent.core.wire import Decoder, Message
from lastevent.stores.base import RetentionRules
from lastevent.stores.url import open_store
from tests.platforms.conftest import SECRET
from tests.serve.running import state

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

WAIT_SECONDS = 30.0
MODES = ("stream", "buffered")
HELD = {"LASTEVENT_POLICY": "latency"}


class Deployed:
    """A function behind its front, and a client who may do everything."""

    def __init__(self, function: LambdaFunction, client: httpx.AsyncClient) -> None:
        self.function = function
        self.client = client

    async def leg(self, stream: str, cursor: str = "") -> list[Message]:
        """Read one leg to its end."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": cursor} if cursor else {})
        answer = await self.client.get(f"/api/streams/{stream}", headers=headers)
        assert answer.status_code == 200, answer.text
        return Decoder().feed(answer.content)

    async def publish(self, stream: str, data: object) -> str:
        """Append one event; return its id."""
        answer = await self.client.post(f"/api/streams/{stream}", json={"data": data})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["ids"][0])

    async def billed(self, count: int) -> tuple[int, ...]:
        """Return what the first environment's invocations cost, in ms, once they are as many."""
        async with asyncio.timeout(WAIT_SECONDS):
            while len(billed := self.function.environments[0].billed_ms) < count:
                await asyncio.sleep(0.05)
        return billed


@asynccontextmanager
async def deployed(
    built: Path,
    mode: str,
    upstash: UpstashServer,
    directory: Path,
    token: str,
    *,
    timeout: float = 29.0,
    concurrency: int = 1,
    settings: Mapping[str, str] = HELD,
) -> AsyncIterator[Deployed]:
    """Deploy what ``sam build`` made."""
    streams = mode == "stream"
    environment = {**upstash.environment, "LASTEVENT_AUTH_SECRET": SECRET, **settings}
    function = LambdaFunction(
        built / ("StreamFunction" if streams else "ApiFunction"),
        "functions.app.app" if streams else "functions.streams.handler",
        environment,
        data=directory / "lambda",
        timeout=timeout,
        wrapper=WRAPPER if streams else None,
        concurrency=concurrency,
    )
    front = FunctionUrl(function) if streams else HttpApi(function)
    async with function, front:
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(
            base_url=front.url, headers=headers, timeout=WAIT_SECONDS, trust_env=False
        ) as client:
            yield Deployed(function, client)


@pytest.fixture
async def upstash(tmp_path: Path) -> AsyncIterator[UpstashServer]:
    """A store that another process writes to as well."""
    async with UpstashServer(tmp_path / "upstash") as server:
        yield server


def notes(messages: list[Message]) -> list[str]:
    """Return the data of those that are not the leg's own."""
    return [it.data for it in messages if it.type not in ("stream", "heartbeat")]


async def subscriptions(upstash: UpstashServer) -> list[str]:
    """Return the channels that anybody is subscribed to."""
    headers = {"Authorization": f"Bearer {upstash.token}"}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(upstash.url, json=["PUBSUB", "CHANNELS"], headers=headers)
    return list(answer.json()["result"])


@pytest.mark.parametrize("mode", MODES)
async def test_a_leg_ends_before_the_time_limit(
    mode: str, on_lambda: Path, upstash: UpstashServer, tmp_path: Path, token: str
) -> None:
    async with deployed(on_lambda, mode, upstash, tmp_path, token, timeout=4.0) as place:
        cursor = await place.publish("s", 1)
        messages = await place.leg("s", cursor)
        assert state(messages[-1])["state"] == "rotate"
        assert "timed out" not in place.function.log.read_text()
        _, leg = await place.billed(2)
        assert 1000 < leg < 4000
        assert place.function.environments[0].ended is None


@pytest.mark.parametrize("mode", MODES)
async def test_what_came_while_it_was_frozen_comes_with_the_next_request(
    mode: str, on_lambda: Path, upstash: UpstashServer, tmp_path: Path, token: str
) -> None:
    """The thawed process has a store connection, and no idea of how long it slept (RULES 17)."""
    settings = HELD | {"LASTEVENT_MAX_LEG_SECONDS": "1.5"}
    store = open_store(f"upstash://:{upstash.token}@127.0.0.1:{upstash.port}", RetentionRules())
    async with deployed(on_lambda, mode, upstash, tmp_path, token, settings=settings) as place:
        cursor = await place.publish("s", 0)
        for number in range(1, 4):
            await place.leg("s", cursor)  # followed, and ended as planned
            async with asyncio.timeout(WAIT_SECONDS):
                while not place.function.environments[0].frozen:
                    await asyncio.sleep(0.01)
            assert await subscriptions(upstash) == [], "a frozen process listens to nothing"
            await store.log.append("s", [NewEvent("note", str(number))])
            await asyncio.sleep(0.3)
            messages = await place.leg("s", cursor)
            assert notes(messages) == [str(number)]
            cursor = messages[-1].id
        assert len(place.function.environments) == 1
    await store.close()


async def test_who_leaves_is_billed_to_the_legs_end_and_no_longer(
    on_lambda: Path, upstash: UpstashServer, tmp_path: Path, token: str
) -> None:
    settings = HELD | {"LASTEVENT_MAX_LEG_SECONDS": "3"}
    async with deployed(on_lambda, "stream", upstash, tmp_path, token, settings=settings) as place:
        await place.publish("s", 0)
        async with place.client.stream("GET", "/api/streams/s") as answer:
            await anext(answer.aiter_raw())
        _, leg = await place.billed(2)
        assert 2000 < leg < 4000
        assert await place.publish("s", 1), "and the function serves on"


async def test_several_streams_in_one_environment(
    on_lambda: Path, upstash: UpstashServer, tmp_path: Path, token: str
) -> None:
    """A function of Lambda Managed Instances: as many requests at once as it says."""
    settings = HELD | {"LASTEVENT_MAX_LEG_SECONDS": "6"}
    async with deployed(
        on_lambda, "stream", upstash, tmp_path, token, concurrency=8, settings=settings
    ) as place:
        cursor = await place.publish("s", 0)
        legs = [asyncio.create_task(place.leg("s", cursor)) for _ in range(6)]
        await asyncio.sleep(1.5)
        for number in range(1, 6):
            await place.publish("s", number)
        for leg in legs:
            assert notes(await leg) == ["1", "2", "3", "4", "5"]
        assert len(place.function.environments) == 1
