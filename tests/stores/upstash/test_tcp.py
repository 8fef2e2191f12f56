"""The same store over the Redis protocol: what is its own, against a real Valkey."""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import redis.asyncio

from infra.local.proxy import Proxy
from infra.local.valkey_server import ValkeyServer
from lastevent.core.cursor import Cursor
from lastevent.core.errors import ConfigError, StoreUnavailable, Transient
from lastevent.stores.base import RetentionRules, Store
from lastevent.stores.channel import End
from lastevent.stores.upstash import tcp, tcp_push
from lastevent.stores.upstash.announcer import RedisAnnouncer
from lastevent.stores.upstash.connection import connector
from lastevent.stores.upstash.tcp import Tcp
from lastevent.stores.upstash.tcp_push import TcpPush
from lastevent.stores.url import open_store
from tests.stores.harness import WAIT_SECONDS, append, texts_after
from tests.stores.upstash.listening import Heard, listening, until


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def proxy(valkey: ValkeyServer) -> Iterator[Proxy]:
    proxy = Proxy(valkey.port)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[Store]:
    """A store behind a proxy, in an empty database."""
    url = f"redis://127.0.0.1:{proxy.port}"
    async with redis.asyncio.Redis.from_url(url) as client:
        await client.flushall()
    store = open_store(url)
    yield store
    await store.close()


@pytest.fixture
async def commands(proxy: Proxy) -> AsyncIterator[Tcp]:
    commands = Tcp(connector(f"redis://127.0.0.1:{proxy.port}")[0])
    yield commands
    await commands.close()


@pytest.fixture
def push(proxy: Proxy) -> TcpPush:
    connect, prefix = connector(f"redis://127.0.0.1:{proxy.port}?prefix=test:")
    return TcpPush(connect, prefix)


@pytest.fixture
def announcer(commands: Tcp) -> RedisAnnouncer:
    return RedisAnnouncer(commands, "test:")


def end(n: int, *, closed: bool = False) -> End:
    return End(Cursor(7, n, 1), closed)


# Commands


async def test_a_lost_answer_makes_no_second_event(proxy: Proxy, store: Store) -> None:
    await append(store, "s", 0)
    proxy.lose_answers(2, to=b"EVALSHA")
    await append(store, "s", 1)
    assert await texts_after(store, "s") == ["0", "1"]


async def test_scripts_that_the_server_forgot(store: Store, commands: Tcp) -> None:
    await append(store, "s", 1)
    await commands.call("SCRIPT", "FLUSH")
    await append(store, "s", 2)
    assert await texts_after(store, "s") == ["1", "2"]


async def test_a_dead_peer_is_given_up_within_the_limit(proxy: Proxy, store: Store) -> None:
    await append(store, "s", 1)
    proxy.silence()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await append(store, "s", 2)
    assert time.monotonic() - began < tcp.TOTAL_SECONDS + 2
    proxy.restore()
    await append(store, "s", 3)
    assert (await texts_after(store, "s"))[-1] == "3"


async def test_a_server_that_was_killed_comes_back(valkey: ValkeyServer, store: Store) -> None:
    end = (await append(store, "s", 1)).cursor
    waiting = asyncio.create_task(store.wakeup.wait({"s": end}, WAIT_SECONDS))
    await asyncio.sleep(0.2)
    await asyncio.to_thread(valkey.kill)
    with pytest.raises(StoreUnavailable):
        await append(store, "s", 2)
    assert await waiting == {"s"}, "who waits meets the trouble too"
    await asyncio.to_thread(valkey.start)
    await append(store, "s", 3)
    assert "1" in await texts_after(store, "s")
    assert await store.wakeup.wait({"s": end}, WAIT_SECONDS) == {"s"}


async def test_many_calls_share_few_connections(store: Store, commands: Tcp) -> None:
    await asyncio.gather(*(append(store, f"s:{n % 7}", n) for n in range(500)))
    clients = await commands.call("CLIENT", "LIST")
    assert isinstance(clients, str)
    assert clients.count("\n") <= tcp.MAX_CONNECTIONS + 2
    counts = [len(await texts_after(store, f"s:{n}")) for n in range(7)]
    assert sum(counts) == 500


async def test_who_is_cancelled_leaves_no_reply_to_others(commands: Tcp) -> None:
    await commands.call("SET", "name", "mine")
    for _ in range(20):
        slow = asyncio.create_task(commands.call("EVAL", "return 'wrong'", 0))
        await asyncio.sleep(0)
        slow.cancel()
        assert await commands.call("GET", "name") == "mine"


# The connections of a loop that has ended are closed when they are collected, which is said then.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_second_loop(valkey: ValkeyServer) -> None:
    store = open_store(f"redis://127.0.0.1:{valkey.port}?prefix=loops:")

    async def use(text: str) -> list[str]:
        end = (await store.log.describe("s")).head
        waiting = asyncio.create_task(store.wakeup.wait({"s": end}, WAIT_SECONDS))
        await asyncio.sleep(0.1)
        await append(store, "s", text)
        assert await waiting == {"s"}
        if text == "last":
            await store.close()
            return []
        return await texts_after(store, "s")

    assert asyncio.run(use("first")) == ["first"]
    assert asyncio.run(use("second")) == ["first", "second"]
    asyncio.run(use("last"))
    gc.collect()


async def test_a_wrong_password_is_named_and_not_shown(valkey: ValkeyServer) -> None:
    store = open_store(f"redis://:wrong-secret@127.0.0.1:{valkey.port}")
    with pytest.raises(StoreUnavailable, match="password") as refused:
        await append(store, "s", 1)
    assert "wrong-secret" not in repr(refused.value)
    await store.close()


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis:///0",
        "redis://host:port",
        "redis://host:99999",
        "redis://:secret@host/name",
        "redis://:secret@host/0?db=1",
        "redis://:secret@host#0",
        "rediss://:secret@host?prefix=a b",
    ],
)
def test_a_url_that_names_no_database(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        open_store(url)
    assert "secret" not in str(refused.value)


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "redis"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match=r"pip install 'lastevent\[redis\]'"):
        open_store("redis://127.0.0.1")


def test_tls_checks_the_server() -> None:
    connection = connector("rediss://user:secret@db.example.com:6380/2")[0](1.0)
    assert connection.ssl_context.check_hostname  # type: ignore[attr-defined]


# Messages


async def connections(commands: Tcp) -> int:
    """Return how many connections are subscribed to something."""
    clients = await commands.call("CLIENT", "LIST", "TYPE", "pubsub")
    assert isinstance(clients, str)
    return len(clients.splitlines())


async def settle(commands: Tcp, count: int) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while await connections(commands) != count:
            await asyncio.sleep(0.02)


async def test_messages_arrive_on_one_connection(
    push: TcpPush, announcer: RedisAnnouncer, commands: Tcp
) -> None:
    heard = Heard()
    async with listening(push, heard, [f"s:{n}" for n in range(1200)]):
        assert await connections(commands) == 1
        await announcer.announce("s:0", end(1))
        await announcer.announce("other", end(1))
        await announcer.announce("s:1199", end(2, closed=True))
        await until(lambda: len(heard.told) == 2)
    assert heard.told == [("s:0", end(1)), ("s:1199", end(2, closed=True))]
    await settle(commands, 0)


async def test_other_texts_on_a_channel_tell_nothing(
    push: TcpPush, announcer: RedisAnnouncer, valkey: ValkeyServer
) -> None:
    heard = Heard()
    async with listening(push, heard, ["a"]):
        async with redis.asyncio.Redis(port=valkey.port, protocol=2) as client:
            for text in (b"", b"ping", b"\xff\xfe", b"x" * 100_000):
                await client.publish("test:lastevent:{a}", text)
        await announcer.announce("a", end(2))
        await until(lambda: heard.told == [("a", end(2))])


async def test_streams_come_and_go(push: TcpPush, announcer: RedisAnnouncer, commands: Tcp) -> None:
    heard = Heard()
    async with listening(push, heard, ["a"]) as held:
        for n in range(100):
            held.subscription.watch([f"s:{n}"])
            if n % 3 == 0:
                await until(lambda n=n: f"s:{n}" in heard.standing_streams)  # type: ignore[misc]
        await until(lambda: len(heard.standing_streams) == 101)
        held.subscription.unwatch(f"s:{n}" for n in range(100))
        held.subscription.watch(["b"])
        await until(lambda: "b" in heard.standing_streams)
        assert len(await channels(commands)) == 3, "a, b and its own"
        await announcer.announce("s:5", end(1))
        await announcer.announce("a", end(2))
        await until(lambda: heard.told == [("a", end(2))])


async def channels(commands: Tcp) -> list[object]:
    found = await commands.call("PUBSUB", "CHANNELS", "test:*")
    assert isinstance(found, list)
    return list(found)


async def test_a_stream_that_comes_back_at_once_stands_again(push: TcpPush) -> None:
    heard = Heard()
    async with listening(push, heard, ["a", "b"]) as held:
        held.subscription.unwatch(["a"])
        heard.standing_streams.clear()
        held.subscription.watch(["a"])
        await until(lambda: heard.standing_streams == {"a"})


async def test_a_ping_proves_the_connection(
    push: TcpPush, announcer: RedisAnnouncer, proxy: Proxy, valkey: ValkeyServer
) -> None:
    direct = Tcp(connector(f"redis://127.0.0.1:{valkey.port}")[0])
    async with listening(push, Heard(), ["a"]) as held:
        assert held.subscription.proven
        channels = held.subscription.probe()
        assert not held.subscription.proven
        await announcer.ping(channels)
        await until(lambda: held.subscription.proven)
        proxy.silence()
        await RedisAnnouncer(direct, "test:").ping(held.subscription.probe())
        await asyncio.sleep(0.2)
        assert not held.subscription.proven
        assert not held.task.done(), "the connection itself says nothing"
    await direct.close()


async def test_a_cut_is_an_end(push: TcpPush, proxy: Proxy) -> None:
    async with listening(push, Heard(), ["a"]) as held:
        proxy.cut()
        with pytest.raises(Transient):
            await asyncio.wait_for(held.task, WAIT_SECONDS)


async def test_a_peer_that_never_answers(
    push: TcpPush, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp_push, "CONFIRM_SECONDS", 0.5)
    async with listening(push, Heard(), ["a"]) as held:
        proxy.silence()
        held.subscription.watch(["b"])
        with pytest.raises(Transient):
            await asyncio.wait_for(held.task, 3)
    subscription = push.subscription(Heard())
    with pytest.raises(Transient):
        await asyncio.wait_for(subscription.run(), 5)


async def test_nobody_there(commands: Tcp) -> None:
    subscription = TcpPush(connector("redis://127.0.0.1:9")[0]).subscription(Heard())
    with pytest.raises(Transient):
        await asyncio.wait_for(subscription.run(), WAIT_SECONDS)


async def test_wake_ups_survive_cuts_and_silence(
    proxy: Proxy, store: Store, valkey: ValkeyServer
) -> None:
    writer = open_store(f"redis://127.0.0.1:{valkey.port}", RetentionRules())
    end = (await append(writer, "s", 0)).cursor
    for n in range(1, 6):
        waiting = asyncio.create_task(store.wakeup.wait({"s": end}, WAIT_SECONDS))
        await asyncio.sleep(0.05)
        proxy.cut()
        appended = await append(writer, "s", n)
        proxy.restore()
        assert await waiting == {"s"}
        end = appended.cursor
    await writer.close()
