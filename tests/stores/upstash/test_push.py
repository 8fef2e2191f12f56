"""Subscriptions over the REST API, where it takes several channels a connection and where not."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis.asyncio

from infra.local.upstash import UpstashServer
from lastevent.core.cursor import Cursor
from lastevent.core.errors import StoreUnavailable, Transient
from lastevent.stores.channel import End
from lastevent.stores.upstash import push as module
from lastevent.stores.upstash.announcer import RedisAnnouncer
from lastevent.stores.upstash.push import RestPush
from lastevent.stores.upstash.rest import Rest
from tests.stores.harness import WAIT_SECONDS
from tests.stores.upstash.listening import Heard, listening, until

CHANNELS = ("many", "first", "refused")


@pytest.fixture(scope="module", params=CHANNELS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UpstashServer]:
    """The emulator, which takes several channels, confirms the first, or refuses the request."""
    directory: Path = tmp_path_factory.mktemp("upstash")
    with UpstashServer(directory, faults=True, durable=False, channels=request.param) as server:
        yield server


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONFIRM_SECONDS", 0.5)
    monkeypatch.setattr(module, "RESPONSE_SECONDS", 2.0)


@pytest.fixture
async def rest(server: UpstashServer) -> AsyncIterator[Rest]:
    rest = Rest(server.url, server.token)
    yield rest
    await rest.close()
    await server.clear_faults()
    await server.mute_subscriptions(False)


@pytest.fixture
def push(rest: Rest) -> RestPush:
    return RestPush(rest.open, "test:")


@pytest.fixture
def announcer(rest: Rest) -> RedisAnnouncer:
    return RedisAnnouncer(rest, "test:")


def end(n: int, *, closed: bool = False) -> End:
    return End(Cursor(7, n, 1), closed)


async def connections(server: UpstashServer) -> int:
    """Return how many connections are subscribed to something."""
    client = redis.asyncio.Redis(port=server.store_port, protocol=2)
    try:
        return len(await client.client_list(_type="pubsub"))
    finally:
        await client.aclose()


async def settle(server: UpstashServer, count: int) -> None:
    """Wait until so many connections are subscribed."""
    async with asyncio.timeout(WAIT_SECONDS):
        while await connections(server) != count:
            await asyncio.sleep(0.05)


async def test_messages_arrive(
    server: UpstashServer, push: RestPush, announcer: RedisAnnouncer
) -> None:
    heard = Heard()
    async with listening(push, heard, ["a", "b:1~x"]):
        await settle(server, 1 if push.several else 2)
        await announcer.announce("a", end(1))
        await announcer.announce("other", end(1))
        await announcer.announce("b:1~x", end(2, closed=True))
        await announcer.announce("a", End(Cursor.after(7)))
        await until(lambda: len(heard.told) == 3)
    assert sorted(heard.told) == [
        ("a", end(1)),
        ("a", End(Cursor.after(7))),
        ("b:1~x", end(2, closed=True)),
    ]
    await settle(server, 0)


async def test_what_the_service_takes_is_found_out_once(
    server: UpstashServer, push: RestPush, request: pytest.FixtureRequest
) -> None:
    heard = Heard()
    async with listening(push, heard, ["a"]):
        assert push.several == ("many" in request.node.name)
    before = (await server.commands()).get("SUBSCRIBE", 0)
    async with listening(push, Heard(), ["a"]):
        used = (await server.commands())["SUBSCRIBE"] - before
    assert used == (2 if push.several else 1)


async def test_other_texts_on_a_channel_tell_nothing(
    rest: Rest, push: RestPush, announcer: RedisAnnouncer
) -> None:
    heard = Heard()
    async with listening(push, heard, ["a"]):
        for text in ("", "ping", "x" * 5000, "a,b,c", "two\nlines", f"{end(1).cursor}closed"):
            await rest.call("PUBLISH", "test:lastevent:{a}", text)
        await announcer.announce("a", end(2))
        await until(lambda: heard.told == [("a", end(2))])


async def test_streams_come_and_go_and_nothing_is_lost(
    server: UpstashServer, push: RestPush, announcer: RedisAnnouncer
) -> None:
    heard = Heard()
    streams = [f"s:{n}" for n in range(20)]
    published: dict[str, list[End]] = {name: [] for name in streams}

    async def publish() -> None:
        for n in range(1, 10_000):
            for name in streams:
                if name in heard.standing_streams:
                    await announcer.announce(name, end(n))
                    published[name].append(end(n))
            await asyncio.sleep(0.001)

    async with listening(push, heard, streams[:1]) as held:
        publishing = asyncio.create_task(publish())
        most = 0
        for name in streams[1:]:
            held.subscription.watch([name])
            await until(lambda name=name: name in heard.standing_streams)  # type: ignore[misc]
            most = max(most, await connections(server))
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        assert most <= (2 * module.MAX_SMALL if push.several else len(streams))
        for name in streams:
            await until(lambda name=name: ends(heard, name) >= set(published[name]))  # type: ignore[misc]
        if push.several:
            assert await connections(server) <= module.MAX_SMALL
        held.subscription.unwatch(streams[1:])
        held.subscription.watch(["last"])
        await until(lambda: "last" in heard.standing_streams)
        await announcer.announce(streams[0], end(0))
        await until(lambda: end(0) in ends(heard, streams[0]))
        held.subscription.unwatch([streams[0], "last"])
        await settle(server, 0)


def ends(heard: Heard, stream: str) -> set[End]:
    return {end for name, end in heard.told if name == stream}


async def test_a_stream_that_comes_back_stands_again(push: RestPush) -> None:
    heard = Heard()
    async with listening(push, heard, ["a", "b"]) as held:
        held.subscription.unwatch(["a"])
        heard.standing_streams.clear()
        held.subscription.watch(["a"])
        await until(lambda: heard.standing_streams == {"a"})


async def test_many_long_names(
    server: UpstashServer, push: RestPush, announcer: RedisAnnouncer
) -> None:
    async with listening(push, Heard(), ["a"]):
        """It knows now whether the service takes several."""
    streams = [f"{n}:" + 240 * "n" for n in range(200 if push.several else 32)]
    heard = Heard()
    async with listening(push, heard, streams):
        assert 2 < await connections(server) <= module.MAX_CONNECTIONS
        for name in (streams[0], streams[-1]):
            await announcer.announce(name, end(1))
        await until(lambda: len(heard.told) == 2)


async def test_connections_have_a_limit(
    server: UpstashServer, push: RestPush, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 3)
    monkeypatch.setattr(module, "MAX_PATH", 150)
    heard = Heard()
    async with listening(push, heard, ["first"]) as held:
        held.subscription.watch(f"stream:{n}" for n in range(50))
        await settle(server, 3)
        stood = len(heard.standing_streams)
        assert 3 <= stood < 50
        held.subscription.unwatch(list(heard.standing_streams))
        await until(lambda: len(heard.standing_streams) > stood)


async def test_a_cut_is_an_end(server: UpstashServer, push: RestPush) -> None:
    async with listening(push, Heard(), ["a", "b"]) as held:
        await server.cut_subscriptions()
        with pytest.raises(Transient):
            await asyncio.wait_for(held.task, WAIT_SECONDS)
    await settle(server, 0)


async def test_pings_prove_every_connection(
    server: UpstashServer, push: RestPush, announcer: RedisAnnouncer
) -> None:
    async with listening(push, Heard(), ["a", "b", "c"]) as held:
        assert held.subscription.proven
        channels = held.subscription.probe()
        assert not held.subscription.proven
        await announcer.ping(channels)
        await until(lambda: held.subscription.proven)
        await server.mute_subscriptions()
        await announcer.ping(held.subscription.probe())
        await asyncio.sleep(0.3)
        assert not held.subscription.proven
        assert not held.task.done(), "the connection itself says nothing"


async def test_one_ping_does_not_prove_another_connection(
    push: RestPush, announcer: RedisAnnouncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PATH", 150)
    async with listening(push, Heard(), [f"stream:{n}" for n in range(6)]) as held:
        channels = held.subscription.probe()
        if not push.several:
            await announcer.ping(list(channels)[1:])
            await asyncio.sleep(0.2)
            assert not held.subscription.proven
        await announcer.ping(channels)
        await until(lambda: held.subscription.proven)


async def test_a_connection_that_is_being_made_needs_no_ping(
    server: UpstashServer, push: RestPush, announcer: RedisAnnouncer
) -> None:
    heard = Heard()
    async with listening(push, heard, ["a"]) as held:
        await server.fault("delay", seconds=0.3, commands=["SUBSCRIBE"])
        held.subscription.watch(["b"])
        await asyncio.sleep(0.15)
        await announcer.ping(held.subscription.probe())
        await until(lambda: "b" in heard.standing_streams)
        await until(lambda: held.subscription.proven)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_refusal_that_passes(server: UpstashServer, push: RestPush, status: int) -> None:
    await server.fault("status", status=status, times=1, commands=["SUBSCRIBE"])
    subscription = push.subscription(Heard())
    subscription.watch(["a"])
    with pytest.raises(Transient, match=str(status)):
        await asyncio.wait_for(subscription.run(), WAIT_SECONDS)
    assert push.several


async def test_a_wrong_token_is_named_and_not_shown(server: UpstashServer) -> None:
    rest = Rest(server.url, "wrong-token-of-somebody")
    subscription = RestPush(rest.open).subscription(Heard())
    subscription.watch(["a"])
    with pytest.raises(StoreUnavailable, match="UPSTASH_REDIS_REST_TOKEN") as refused:
        await asyncio.wait_for(subscription.run(), WAIT_SECONDS)
    assert "wrong-token" not in str(refused.value)
    await rest.close()


async def test_a_peer_that_never_answers(server: UpstashServer, push: RestPush) -> None:
    await server.fault("hang", times=1, commands=["SUBSCRIBE"])
    subscription = push.subscription(Heard())
    subscription.watch(["a"])
    with pytest.raises(Transient):
        await asyncio.wait_for(subscription.run(), module.RESPONSE_SECONDS + 2)


async def test_an_address_where_nobody_answers() -> None:
    rest = Rest("http://127.0.0.1:9", "token")
    subscription = RestPush(rest.open).subscription(Heard())
    subscription.watch(["a"])
    with pytest.raises(Transient):
        await asyncio.wait_for(subscription.run(), WAIT_SECONDS)
    await rest.close()


async def test_a_subscription_to_nothing_connects_to_nothing(
    server: UpstashServer, push: RestPush
) -> None:
    subscription = push.subscription(Heard())
    task = asyncio.create_task(subscription.run())
    await asyncio.sleep(0.1)
    assert await connections(server) == 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
