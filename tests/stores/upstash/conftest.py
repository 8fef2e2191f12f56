"""A local server with faults on demand, and stores in it."""

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest
import redis.asyncio

from infra.local.upstash import UpstashServer
from lastevent.stores.base import Store
from lastevent.stores.url import open_store
from tests.stores.harness import RETENTION, upstash_url


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpstashServer]:
    with UpstashServer(tmp_path_factory.mktemp("faults"), faults=True, durable=False) as server:
        yield server


@pytest.fixture
async def upstash(_server: UpstashServer) -> AsyncIterator[UpstashServer]:
    """A server in which nothing is wrong yet."""
    yield _server
    await _server.clear_faults()


@pytest.fixture
def prefix() -> str:
    """The beginning of the keys of this test."""
    return f"{secrets.token_hex(6)}:"


@pytest.fixture
def url(upstash: UpstashServer, prefix: str) -> str:
    """The URL of a store with nothing in it."""
    return upstash_url(upstash, prefix)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """A store with nothing in it, by the database's own time."""
    store = open_store(url, RETENTION)
    yield store
    await store.close()


@pytest.fixture
async def database(upstash: UpstashServer) -> AsyncIterator[redis.asyncio.Redis]:
    """What lies behind the REST API, for a look past the store."""
    client = redis.asyncio.Redis(port=upstash.store_port, protocol=2, decode_responses=True)
    yield client
    await client.aclose()
