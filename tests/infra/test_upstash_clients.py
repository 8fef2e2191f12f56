"""Upstash's own clients, against the emulator: so it is not fitted to ours."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from upstash_redis import Redis
from upstash_redis.asyncio import Redis as AsyncRedis
from upstash_redis.errors import UpstashError

from infra.local.upstash import UpstashServer
from tests.infra.rest import Rest
from tests.project.tree import ROOT

CLIENT = ROOT / "tests" / "infra" / "upstash_client.mjs"
LOCKED = "#!lua flags=allow-key-locking\n"
TEXTS = ["", "plain", "bär 🐈 \0 \r\n", "OK", '{"a":[1,null]}', "x" * 200_000]

EXPECTED: dict[str, Any] = {
    "texts": ["OK", True] * len(TEXTS),
    "values": [
        {"a": [1, None, "ü"]},
        None,
        True,
        {"a": 1, "b": "zwei"},
        ["m", 1.5],
        {"1-1": {"text": "hello"}},
        [{"a": [1, None, "ü"]}, None],
        "PONG",
    ],
    "encodings": ["bär", "bär"],
    "automaticPipeline": [1, 2, 2],
    "pipeline": [
        {"result": "OK"},
        {"error": "ERR value is not an integer or out of range"},
        {"result": "x"},
    ],
    "transaction": [["OK", 2], "UpstashError", 100],
    "scripts": [
        "NOSCRIPT No matching script.",
        ["script", "a", 1],
        ["script", "b", 2],
        ["script", "c", 3],
        3,
        40,
    ],
    "subscribe": [
        ["message:chat", {"channel": "chat", "message": message}]
        for message in ({"a": "ü"}, "a,b", "")
    ],
    "psubscribe": [
        [
            "pmessage",
            {"pattern": "news.*", "channel": "news.uk", "message": {"rain": True}},
        ]
    ],
    "readYourWrites": [3, True],
    "errors": [
        {
            "name": "UpstashError",
            "message": 'WRONGPASS invalid or missing auth token, command was: ["get","a"]',
        },
        {
            "name": "UpstashError",
            "message": "WRONGTYPE Operation against a key holding the wrong kind of value, "
            'command was: ["lpush","text",1]',
        },
        {"name": "UpstashError", "message": "ERR max request size exceeded"},
    ],
}


@pytest.fixture(scope="module")
def printed(session_server: UpstashServer) -> dict[str, Any]:
    """What the JavaScript client printed, part by part."""
    run = subprocess.run(
        ["node", CLIENT],
        cwd=ROOT,
        env={**os.environ, **session_server.environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, f"npm ci, then node: {run.stderr}"
    assert run.stderr == ""
    printed: dict[str, Any] = json.loads(run.stdout)
    return printed


@pytest.mark.node
@pytest.mark.parametrize("part", EXPECTED)
def test_the_javascript_client(printed: dict[str, Any], part: str) -> None:
    assert printed[part] == {"result": EXPECTED[part]}


@pytest.mark.node
def test_nothing_that_the_javascript_client_does_is_left_out(printed: dict[str, Any]) -> None:
    assert printed.keys() == EXPECTED.keys()


@pytest.fixture
def sdk(server: UpstashServer) -> Iterator[Redis]:
    """The Python client; its own retries, which repeat writes, are off."""
    with Redis(server.url, server.token, rest_retries=0) as client:
        yield client


@pytest.fixture
async def asyncio_sdk(server: UpstashServer) -> AsyncIterator[AsyncRedis]:
    """The same for asyncio."""
    async with AsyncRedis(server.url, server.token, rest_retries=0) as client:
        yield client


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
@pytest.mark.parametrize("encoding", ["base64", None])
def test_the_python_client_reads_what_it_wrote(
    server: UpstashServer, text: str, encoding: Any
) -> None:
    with Redis(server.url, server.token, rest_encoding=encoding, rest_retries=0) as client:
        assert client.set("text", text, ex=100)
        assert client.get("text") == text


def test_the_python_clients_types(sdk: Redis) -> None:
    assert sdk.get("absent") is None
    assert sdk.hset("hash", values={"a": "1", "b": "zwei"}) == 2
    assert sdk.hgetall("hash") == {"a": "1", "b": "zwei"}
    assert sdk.zadd("sorted", {"m": 1.5}) == 1
    assert sdk.zrange("sorted", 0, -1, withscores=True) == [("m", 1.5)]
    assert sdk.xadd("stream", "1-1", {"text": "hello"}) == "1-1"
    assert [*map(tuple, sdk.xrange("stream"))] == [("1-1", ["text", "hello"])]
    assert sdk.ping() == "PONG"


def test_the_python_clients_pipeline_and_transaction(sdk: Redis) -> None:
    pipeline = sdk.pipeline()
    pipeline.set("n", 1)
    pipeline.incr("n")
    assert pipeline.exec() == [True, 2]
    transaction = sdk.multi()
    transaction.incr("n")
    transaction.get("n")
    assert transaction.exec() == [3, "3"]


def test_the_python_clients_scripts(sdk: Redis) -> None:
    text = f"{LOCKED}return {{KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}}"
    digest = sdk.script_load(text)
    assert sdk.evalsha(digest, ["n"], ["a"]) == ["n", "a", 1]
    assert sdk.eval(text, ["n"], ["b"]) == ["n", "b", 2]
    assert sdk.script_exists(digest, "0" * 40) == [True, False]
    with pytest.raises(UpstashError, match="NOSCRIPT"):
        sdk.evalsha("0" * 40)


def test_the_python_clients_errors(server: UpstashServer, sdk: Redis) -> None:
    sdk.set("text", "x")
    with pytest.raises(UpstashError, match="WRONGTYPE"):
        sdk.lpush("text", 1)
    with pytest.raises(UpstashError, match="max request size exceeded"):
        sdk.set("long", "x" * 11_000_000)
    with (
        Redis(server.url, "x", rest_retries=0) as stranger,
        pytest.raises(UpstashError, match="WRONGPASS"),
    ):
        stranger.get("text")


def test_the_python_client_keeps_the_sync_token(sdk: Redis) -> None:
    tokens = set()
    for n in range(3):
        sdk.set("n", n)
        tokens.add(sdk._sync_token)
    assert len(tokens) == 3


async def test_the_python_client_for_asyncio(asyncio_sdk: AsyncRedis, rest: Rest) -> None:
    async with rest.subscribed("/subscribe/chat") as lines:
        await lines.next()
        assert await asyncio_sdk.publish("chat", "hello") == 1
        assert await lines.next() == "message,chat,hello"
    await asyncio.gather(*(asyncio_sdk.incr("n") for _ in range(20)))
    assert await asyncio_sdk.get("n") == "20"
