"""Subscriptions as server-sent events."""

import asyncio
from pathlib import Path

import httpx
import pytest

from infra.local.upstash import UpstashServer
from infra.local.upstash.subscriptions import Channels
from tests.infra.rest import WAIT_SECONDS, Rest


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_messages_come_as_documented(rest: Rest, method: str) -> None:
    async with rest.http.stream(method, "/subscribe/chat") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.aiter_lines()
        assert await anext(lines) == "data: subscribe,chat,1"
        assert (await rest.http.post("/publish/chat/hello")).json() == {"result": 1}
        assert await rest.call("PUBLISH", "chat", "how are, you\ntoday? 🐈") == 1
        assert [await anext(lines) for _ in range(6)] == [
            "",
            "data: message,chat,hello",
            "",
            "data: message,chat,how are, you",
            "data: today? 🐈",
            "",
        ]
    async with asyncio.timeout(WAIT_SECONDS):
        while await rest.call("PUBLISH", "chat", "anybody?"):
            await asyncio.sleep(0.01)


async def test_a_pattern_names_the_channel(rest: Rest) -> None:
    async with rest.subscribed("/psubscribe/news.*") as lines:
        assert await lines.next() == "psubscribe,news.*,1"
        await rest.call("PUBLISH", "news.uk", "rain")
        assert await lines.next() == "pmessage,news.*,news.uk,rain"


async def test_a_channel_is_decoded_from_the_path(rest: Rest) -> None:
    async with rest.subscribed("/subscribe/lastevent:%7Ba%2Fb%7D") as lines:
        assert await lines.next() == "subscribe,lastevent:{a/b},1"
        await rest.call("PUBLISH", "lastevent:{a/b}", "x")
        assert await lines.next() == "message,lastevent:{a/b},x"


async def test_several_channels_are_confirmed_one_by_one(server: UpstashServer, rest: Rest) -> None:
    before = (await server.commands()).get("SUBSCRIBE", 0)
    async with rest.subscribed("/subscribe/a/b") as lines:
        assert [await lines.next(), await lines.next()] == ["subscribe,a,1", "subscribe,b,2"]
        await rest.call("PUBLISH", "b", "x")
        assert await lines.next() == "message,b,x"
    assert (await server.commands())["SUBSCRIBE"] == before + 2


@pytest.mark.parametrize("path", ["/subscribe", "/subscribe/", "/psubscribe/a//b"])
async def test_a_channel_must_be_named(rest: Rest, path: str) -> None:
    answer = await rest.http.post(path)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("ERR wrong number of arguments")


@pytest.mark.parametrize("channels", ["first", "refused"])
async def test_a_connection_may_be_for_one_channel(tmp_path: Path, channels: Channels) -> None:
    async with (
        UpstashServer(tmp_path, durable=False, channels=channels) as server,
        Rest.of(server) as rest,
    ):
        if channels == "refused":
            assert (await rest.http.post("/subscribe/a/b")).status_code == 400
        async with rest.subscribed(
            "/subscribe/a/b" if channels == "first" else "/subscribe/a"
        ) as lines:
            assert await lines.next() == "subscribe,a,1"
            assert await rest.call("PUBLISH", "b", "x") == 0
            assert await rest.call("PUBLISH", "a", "x") == 1
            assert await lines.next() == "message,a,x"


async def test_subscriptions_can_be_cut(server: UpstashServer, rest: Rest) -> None:
    async with rest.subscribed("/subscribe/a") as one, rest.subscribed("/subscribe/a") as two:
        await one.next()
        await two.next()
        await server.cut_subscriptions()
        for lines in (one, two):
            with pytest.raises(httpx.RemoteProtocolError):
                await lines.next()
    async with rest.subscribed("/subscribe/a") as again:
        assert await again.next() == "subscribe,a,1"


async def test_a_muted_subscription_stands_and_brings_nothing(
    server: UpstashServer, rest: Rest
) -> None:
    async with rest.subscribed("/subscribe/a") as lines:
        await lines.next()
        await server.mute_subscriptions()
        assert await rest.call("PUBLISH", "a", "lost") == 1
        async with rest.subscribed("/psubscribe/*") as later:
            assert await later.next() == "psubscribe,*,1"
            assert await rest.call("PUBLISH", "a", "lost") == 2
            # What was published before this answer has been passed over.
            await rest.call("PING")
            await server.mute_subscriptions(False)
            await rest.call("PUBLISH", "a", "heard")
            assert await later.next() == "pmessage,*,a,heard"
        assert await lines.next() == "message,a,heard"


@pytest.mark.parametrize("status", [404, 429])
async def test_new_subscriptions_can_be_refused(
    server: UpstashServer, rest: Rest, status: int
) -> None:
    async with rest.subscribed("/subscribe/a") as standing:
        await standing.next()
        await server.fault("status", status=status, commands=["SUBSCRIBE"], times=1)
        assert await rest.call("PING") == "PONG"
        assert (await rest.http.post("/subscribe/a")).status_code == status
        await rest.call("PUBLISH", "a", "x")
        assert await standing.next() == "message,a,x"


async def test_a_subscription_ends_with_the_store(tmp_path: Path) -> None:
    async with (
        UpstashServer(tmp_path, faults=True, durable=False) as server,
        Rest.of(server) as rest,
        rest.subscribed("/subscribe/a") as lines,
    ):
        await lines.next()
        await server.kill_store()
        with pytest.raises(StopAsyncIteration):
            await lines.next()
        assert (await rest.http.post("/subscribe/a")).status_code == 503
