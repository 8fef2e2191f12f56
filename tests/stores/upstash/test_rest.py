"""The transport: what it does about trouble, how long, and what it says."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic

import pytest
import redis.asyncio

from infra.local.upstash import UpstashServer
from lastevent.core.errors import InvalidRequest, StoreUnavailable, TooLarge, Transient
from lastevent.core.event import NewEvent
from lastevent.stores.base import Store
from lastevent.stores.upstash.commands import NoScript, refusal
from lastevent.stores.upstash.rest import MAX_REQUEST_BYTES, Patience, Rest
from lastevent.stores.url import open_store
from tests.stores.harness import append, texts_after, upstash_url

TOKEN = "hush-hush"
SHORT = Patience(connect=0.3, answer=0.2, total=0.5)
LIMIT = 3.0
"""A safety limit, in seconds, on what SHORT ends within half a second."""


@pytest.fixture
async def rest(upstash: UpstashServer) -> AsyncIterator[Rest]:
    rest = Rest(upstash.url, upstash.token)
    yield rest
    await rest.close()


async def served(server: UpstashServer, name: str) -> int:
    return (await server.commands()).get(name, 0)


# What passes is tried again.


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_status_that_passes(rest: Rest, upstash: UpstashServer, status: int) -> None:
    await upstash.fault("status", status=status, times=3)
    assert await rest.call("ECHO", "x") == "x"
    assert rest.usage == {"ECHO": 4}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_connection_that_ends(rest: Rest, upstash: UpstashServer, when: str) -> None:
    await upstash.fault("drop", when="before" if when == "before" else "after", times=3)
    assert await rest.call("ECHO", "x") == "x"


async def test_retries_have_an_end(rest: Rest, upstash: UpstashServer) -> None:
    await upstash.fault("status", status=500)
    with pytest.raises(StoreUnavailable):
        await rest.call("ECHO", "x")
    assert rest.usage == {"ECHO": 1 + len(Patience().pauses)}


async def test_a_short_pause_that_was_asked_for_is_made(rest: Rest, upstash: UpstashServer) -> None:
    await upstash.fault("status", status=429, retry_after=0.4, times=1)
    began = monotonic()
    assert await rest.call("ECHO", "x") == "x"
    assert monotonic() - began >= 0.4


async def test_a_long_pause_is_left_to_the_caller(rest: Rest, upstash: UpstashServer) -> None:
    await upstash.fault("status", status=429, retry_after=30)
    with pytest.raises(Transient, match="too often"):
        await rest.call("ECHO", "x")
    assert rest.usage == {"ECHO": 1}


# What does not is not.


async def test_a_wrong_token(upstash: UpstashServer) -> None:
    rest = Rest(upstash.url, TOKEN)
    with pytest.raises(StoreUnavailable, match="UPSTASH_REDIS_REST_TOKEN") as refusal:
        await rest.call("PING")
    assert TOKEN not in str(refusal.value) + repr(refusal.value)
    assert rest.usage == {"PING": 1}
    await rest.close()


async def test_a_token_that_may_only_read(upstash: UpstashServer) -> None:
    rest = Rest(upstash.url, upstash.read_only_token)
    with pytest.raises(StoreUnavailable, match="read-only"):
        await rest.call("SET", "x", "1")
    await rest.close()


async def test_a_command_that_the_database_refuses(rest: Rest) -> None:
    with pytest.raises(StoreUnavailable, match=r"refused a command \(ERR\)"):
        await rest.call("NONSENSE", TOKEN)
    assert rest.usage == {"NONSENSE": 1}


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        ("ERR max daily request limit exceeded. Limit: 1, Usage: 2", StoreUnavailable, "quota"),
        ("ERR max requests limit exceeded.", StoreUnavailable, "quota"),
        ("ERR DB capacity quota exceeded", StoreUnavailable, "full"),
        ("OOM command not allowed when used memory > 'maxmemory'.", StoreUnavailable, "full"),
        ("ERR max single record size exceeded", StoreUnavailable, "keep fewer events"),
        ("ERR max request size exceeded. Limit: 1 bytes, Actual: 2 bytes", TooLarge, "request"),
        ("NOPERM this user has no permissions", StoreUnavailable, "read-only"),
        ("WRONGPASS invalid or missing auth token", StoreUnavailable, "token"),
        ("READONLY You can't write against a read only replica.", Transient, "changes hands"),
        ("NOSCRIPT No matching script. Please use EVAL.", NoScript, ""),
    ],
)
def test_what_an_error_reply_means(reply: str, error: type[Exception], says: str) -> None:
    found = refusal(reply)
    assert type(found) is error
    assert says in str(found)


async def test_more_than_a_request_may_have(rest: Rest, store: Store) -> None:
    with pytest.raises(TooLarge):
        await rest.call("ECHO", "x" * MAX_REQUEST_BYTES)
    assert not rest.usage, "it was not even sent"
    end = (await append(store, "s", 1)).cursor
    large = [NewEvent("note", "x" * 256 * 1024)] * 50
    with pytest.raises(TooLarge):
        await store.log.append("s", large)
    assert (await store.log.describe("s")).head == end


async def test_text_that_is_no_unicode(store: Store) -> None:
    with pytest.raises(InvalidRequest):
        await store.records.put("k", "a", "half a pair: \ud83d")


# Whoever does not answer.


def http(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


@asynccontextmanager
async def answering(answer: Callable[[bytes], list[bytes]]) -> AsyncIterator[Rest]:
    """A transport to a server that gives these answers, each in pieces with pauses between."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            pieces = answer(await reader.readuntil(b"\r\n\r\n"))
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.1 if len(pieces) > 1 else 0)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        rest = Rest(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", TOKEN, SHORT)
        yield rest
        await rest.close()


async def within_limit(call: Awaitable[object], sentence: str) -> None:
    began = monotonic()
    with pytest.raises(StoreUnavailable, match=sentence) as trouble:
        await call
    assert monotonic() - began < LIMIT
    assert TOKEN not in str(trouble.value)


async def test_a_dead_peer(upstash: UpstashServer) -> None:
    await upstash.fault("hang")
    rest = Rest(upstash.url, upstash.token, SHORT)
    await within_limit(rest.call("PING"), "does not answer|in time")
    await upstash.clear_faults()
    assert await rest.call("PING") == "PONG"
    await rest.close()


async def test_by_default_a_dead_peer_is_given_up_within_five_seconds(
    store: Store, upstash: UpstashServer
) -> None:
    await upstash.fault("hang")
    began = monotonic()
    with pytest.raises(StoreUnavailable):
        await append(store, "s", 1)
    assert monotonic() - began < 8


async def test_nobody_listens(unused_tcp_port: int) -> None:
    rest = Rest(f"http://127.0.0.1:{unused_tcp_port}", TOKEN, SHORT)
    await within_limit(rest.call("PING"), "reached|in time")
    await rest.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>hi</html>",
        b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n7",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
    ],
    ids=["html", "other json", "number", "nothing there", "no http", "cut off"],
)
async def test_something_else_answers(answer: bytes) -> None:
    async with answering(lambda _: [answer]) as rest:
        await within_limit(rest.call("PING"), "Upstash")


async def test_the_token_does_not_follow_a_redirect() -> None:
    def answer(request: bytes) -> list[bytes]:
        if b" / " in request:
            return [b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"]
        return [http(b'{"result":"PONG"}')]

    async with answering(answer) as rest:
        await within_limit(rest.call("PING"), "no Upstash database")


async def test_an_answer_that_drips() -> None:
    """Each byte comes in time, and the last one never."""
    whole = http(b'{"result":"PONG"}')
    async with answering(lambda _: [whole[n : n + 1] for n in range(len(whole))]) as rest:
        await within_limit(rest.call("PING"), "in time")


async def test_who_closes_gets_no_new_connections(rest: Rest) -> None:
    await rest.call("PING")
    await rest.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await rest.call("PING")


async def test_who_is_cancelled_disturbs_nobody(store: Store, upstash: UpstashServer) -> None:
    await append(store, "s", 0)
    await upstash.fault("delay", when="after", seconds=0.3, times=10)
    tasks = [asyncio.create_task(append(store, "s", n)) for n in range(1, 11)]
    await asyncio.sleep(0.1)
    for task in tasks[1::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    texts = await texts_after(store, "s")
    assert len(texts) == len(set(texts))
    assert {"0", "1", "3", "5", "7", "9"} <= set(texts)


# Scripts.


async def test_a_server_that_has_forgotten_the_scripts(
    store: Store, upstash: UpstashServer, database: redis.asyncio.Redis
) -> None:
    await append(store, "s", 1)
    await database.script_flush()
    before = await served(upstash, "EVAL")
    await append(store, "s", 2)
    await append(store, "s", 3)
    assert await served(upstash, "EVAL") == before + 1
    assert await texts_after(store, "s") == ["1", "2", "3"]


@pytest.mark.parametrize("reply", [b"LOADING x", b"BUSY x"])
async def test_a_database_that_is_busy(reply: bytes) -> None:
    """It says so in a reply of status 400, which passes; the next one is the answer."""
    answers = iter([http(b'{"error":"%s"}' % reply, 400), http(b'{"result":"PONG"}')])
    async with answering(lambda _: [next(answers)]) as rest:
        assert await rest.call("PING") == "PONG"


# Event loops.


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore:loop is closed:ResourceWarning")
def test_another_event_loop(upstash: UpstashServer, prefix: str) -> None:
    """A warm function may run each call in a loop of its own."""
    store = open_store(upstash_url(upstash, prefix))
    for n in range(3):
        asyncio.run(append(store, "s", n))

    async def finish() -> list[str]:
        texts = await texts_after(store, "s")
        await store.close()
        return texts

    assert asyncio.run(finish()) == ["0", "1", "2"]
    gc.collect()  # a loop that has ended cannot close its connections any more
