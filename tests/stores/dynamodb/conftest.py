"""A table of the test's own, stores on it that a test can meddle with, and the server's proxy."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.local.dynamodb import RotoServer
from infra.local.proxy import Proxy
from lastevent.stores.base import Store
from lastevent.stores.dynamodb import open_table
from tests.stores.dynamodb.meddled import Meddled
from tests.stores.harness import RETENTION, Clock, DynamoHarness, Harness, dynamo_server

type Open = Callable[[], tuple[Store, Meddled]]


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    """A table."""
    made = DynamoHarness(tmp_path)
    yield made
    await made.close()


@pytest.fixture
def clock(harness: Harness) -> Clock:
    """The stores' clock."""
    return harness.clock


@pytest.fixture
async def open_one(harness: Harness, clock: Clock) -> AsyncIterator[Open]:
    """Return a function that opens a store on the table, as another process would."""
    await harness.open()  # makes the table
    async with AsyncExitStack() as stack:

        def open_one() -> tuple[Store, Meddled]:
            client = Meddled(urlsplit(harness.url).netloc, None)
            store = open_table(client, RETENTION, clock)
            stack.push_async_callback(store.close)
            return store, client

        yield open_one


@pytest.fixture
def one(open_one: Open) -> tuple[Store, Meddled]:
    """A store and its client."""
    return open_one()


@pytest.fixture
def proxy(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What all requests of the test's stores go through; it works again after the test."""
    server = dynamo_server(RotoServer)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
    yield server.proxy
    server.proxy.delay = 0.0
    server.proxy.restore()
