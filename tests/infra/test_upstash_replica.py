"""A replica that lags, and the token that makes a read wait for it (Read Your Writes)."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from infra.local.upstash import UpstashServer
from tests.infra.rest import WAIT_SECONDS, Rest

LAG_SECONDS = 0.5
SYNC_TOKEN = "upstash-sync-token"


@pytest.fixture(scope="module")
def lagging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpstashServer]:
    """An emulator with a replica."""
    directory: Path = tmp_path_factory.mktemp("replicated")
    with UpstashServer(directory, faults=True, replica=True) as server:
        yield server


@pytest.fixture
async def rest(lagging: UpstashServer) -> AsyncIterator[Rest]:
    """A client of it, its replica up to date."""
    await lagging.lag(0)
    async with Rest.of(lagging) as client:
        await client.call("FLUSHALL")
        async with asyncio.timeout(WAIT_SECONDS):
            while await client.call("DBSIZE"):
                await asyncio.sleep(0.01)
        yield client


async def test_a_read_may_be_behind_and_one_with_the_token_is_not(
    lagging: UpstashServer, rest: Rest
) -> None:
    await lagging.lag(LAG_SECONDS)
    began = time.monotonic()
    token = (await rest.send("SET", "foo", "bar")).headers[SYNC_TOKEN]
    assert await rest.call("GET", "foo") is None
    answer = await rest.send("GET", "foo", upstash_sync_token=token)
    assert answer.json() == {"result": "bar"}
    assert time.monotonic() - began >= LAG_SECONDS
    assert await rest.call("GET", "foo") == "bar"


async def test_scripts_that_may_write_run_on_the_primary(
    lagging: UpstashServer, rest: Rest
) -> None:
    await lagging.lag(3600)
    text = "return redis.call('GET', KEYS[1])"
    assert await rest.call("SET", "foo", "bar") == "OK"
    assert await rest.call("EVAL", text, 1, "foo") == "bar"
    assert await rest.call("EVAL_RO", text, 1, "foo") is None
    pipeline = await rest.http.post("/pipeline", json=[["SET", "a", 1], ["GET", "foo"]])
    assert pipeline.json()[1] == {"result": "bar"}
    transaction = await rest.http.post("/multi-exec", json=[["GET", "foo"]])
    assert transaction.json() == [{"result": "bar"}]


async def test_a_message_can_come_before_its_entry_can_be_read(
    lagging: UpstashServer, rest: Rest
) -> None:
    await lagging.lag(3600)
    async with rest.subscribed("/subscribe/chat") as lines:
        await lines.next()
        await rest.http.post("/multi-exec", json=[["SET", "foo", 1], ["PUBLISH", "chat", "foo"]])
        assert await lines.next() == "message,chat,foo"
        assert await rest.call("EXISTS", "foo") == 0
    await lagging.lag(0)
    token = (await rest.send("PING")).headers[SYNC_TOKEN]
    answer = await rest.send("EXISTS", "foo", upstash_sync_token=token)
    assert answer.json() == {"result": 1}


async def test_a_script_is_to_be_sent_to_the_replica_once_more(rest: Rest) -> None:
    text = "return 'here'"
    digest = await rest.call("SCRIPT", "LOAD", text)
    assert await rest.call("EVALSHA", digest, 0) == "here"
    assert (await rest.error("EVALSHA_RO", digest, 0)).startswith("NOSCRIPT ")
    assert await rest.call("EVAL_RO", text, 0) == "here"
    assert await rest.call("EVALSHA_RO", digest, 0) == "here"


async def test_a_token_from_before_a_crash_is_no_trap(lagging: UpstashServer, rest: Rest) -> None:
    token = (await rest.send("SET", "foo", "bar")).headers[SYNC_TOKEN]
    await lagging.kill_store()
    assert (await rest.send("SET", "foo", "lost")).status_code == 503
    await lagging.start_store()
    answer = await rest.send("GET", "foo", upstash_sync_token=token)
    assert answer.json() == {"result": "bar"}
    again = (await rest.send("SET", "foo", "new")).headers[SYNC_TOKEN]
    answer = await rest.send("GET", "foo", upstash_sync_token=again)
    assert answer.json() == {"result": "new"}


@pytest.mark.parametrize("token", ["", "nonsense", "a:b", "7"])
async def test_a_foreign_token_changes_nothing(rest: Rest, token: str) -> None:
    answer = await rest.send("GET", "foo", upstash_sync_token=token)
    assert answer.json() == {"result": None}
