"""All that the contract suite knows of a backend: how to open stores on data of the test's own.

A new backend adds itself to HARNESSES and passes the suite.
"""

import atexit
import os
import secrets
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import httpx
import pytest

from infra.local.dynamodb import DynamoServer, RotoServer
from infra.local.upstash import UpstashServer
from infra.local.upstash.control import PREFIX
from lastevent.core.cursor import Cursor
from lastevent.core.event import Event, NewEvent
from lastevent.stores.base import Appended, Retention, RetentionRules, Store
from lastevent.stores.url import open_store

KEPT_EVENTS = 10
KEPT_SECONDS = 60.0

RETENTION = RetentionRules(
    (
        ("few:*", Retention(max_events=KEPT_EVENTS)),
        ("short:*", Retention(max_seconds=KEPT_SECONDS)),
    )
)
"""How long the tests' streams are kept, by their names; others as it is by default."""

WAIT_SECONDS = 20.0
"""A safety limit: what takes longer than this has hung."""


class Clock:
    """A store's clock that stands still until a test moves it. In Unix seconds."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Harness(ABC):
    """The data of one test, with the clock of the stores on it."""

    shared: ClassVar[bool]
    """Whether several stores, in several processes, may be open on the same data."""

    slow: ClassVar[bool] = False
    """Whether `make test-fast` leaves it out."""

    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        self.url = self.url_in(directory)
        self.wakeup_url: str | None = None
        self._opened: list[Store] = []

    @abstractmethod
    def url_in(self, directory: Path) -> str:
        """Return the URL of new data, which may lie in ``directory``."""

    async def open(self) -> Store:
        """Return a store on the data, ready for use. Only shared data may be opened twice."""
        assert self.shared or not self._opened
        store = open_store(self.url, RETENTION, self.clock, wakeup_url=self.wakeup_url)
        self._opened.append(store)
        await store.prepare()
        return store

    def advance(self, seconds: float) -> None:
        """Let the stores' time pass."""
        self.clock.now += seconds

    async def close(self) -> None:
        """Close all stores that were opened."""
        while self._opened:
            await self._opened.pop().close()


class MemoryHarness(Harness):
    shared = False

    def url_in(self, directory: Path) -> str:
        return "memory://"


class SqliteHarness(Harness):
    shared = True

    def url_in(self, directory: Path) -> str:
        return f"sqlite:///{directory}/data/test.db"


class UpstashHarness(Harness):
    """A part of a database that the tests of this process share, by the prefix of its keys."""

    shared = True

    def url_in(self, directory: Path) -> str:
        server = upstash_server()
        return upstash_url(server, prefix=f"{secrets.token_hex(6)}:")


class UnsureUpstashHarness(Harness):
    """The same where a call in thirty goes wrong, most often after all it asked for was done."""

    shared = True
    slow = True

    def url_in(self, directory: Path) -> str:
        return upstash_url(unsure_upstash_server(), prefix=f"{secrets.token_hex(6)}:")


class RedisHarness(Harness):
    """The same in the Redis protocol, spoken to the Valkey behind that server."""

    shared = True
    slow = True  # as the next: little of it is not in the others

    def url_in(self, directory: Path) -> str:
        port = upstash_server().store_port
        return f"redis://127.0.0.1:{port}/0?prefix={secrets.token_hex(6)}:"


class CombinedHarness(SqliteHarness):
    """A log in one store, woken through another."""

    slow = True

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.wakeup_url = RedisHarness(directory).url


def upstash_url(server: UpstashServer, prefix: str = "") -> str:
    """Return the URL of the store in a local server."""
    return f"upstash://:{server.token}@127.0.0.1:{server.port}?prefix={prefix}"


@cache
def upstash_server() -> UpstashServer:
    """Return a server for all tests of this process, which ends with it."""
    directory = TemporaryDirectory(prefix="lastevent-upstash-")
    atexit.register(directory.cleanup)
    server = UpstashServer(Path(directory.name), durable=False)
    server.start()
    atexit.register(server.stop)
    return server


@cache
def unsure_upstash_server() -> UpstashServer:
    """Return a server with faults, for all tests of this process."""
    directory = TemporaryDirectory(prefix="lastevent-upstash-")
    atexit.register(directory.cleanup)
    server = UpstashServer(Path(directory.name), durable=False, faults=True)
    server.start()
    atexit.register(server.stop)
    for rule in (
        {"kind": "drop", "when": "after", "probability": 0.02, "seed": 1},
        {"kind": "status", "status": 500, "when": "after", "probability": 0.01, "seed": 2},
        {"kind": "status", "status": 429, "probability": 0.005, "seed": 3},
    ):
        httpx.post(f"{server.url}{PREFIX}/faults", json=rule, trust_env=False).raise_for_status()
    return server


class DynamoHarness(Harness):
    """A table of the test's own, in a server that the tests of this process share."""

    shared = True
    slow = True
    server_type: ClassVar[type[DynamoServer]] = RotoServer

    def url_in(self, directory: Path) -> str:
        # The store finds its server as users' do: by the SDK's own variables.
        server = dynamo_server(self.server_type)
        os.environ.update(server.environment)
        # Past the proxy, which only slows down a test that does not use it.
        os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = f"http://127.0.0.1:{server.port}"
        return f"dynamodb://test-{secrets.token_hex(6)}"


class UnsureDynamoHarness(Harness):
    """The same where one answer in thirty is lost after the request went through."""

    shared = True
    slow = True

    def url_in(self, directory: Path) -> str:
        os.environ.update(unsure_dynamo_server().environment)
        return f"dynamodb://test-{secrets.token_hex(6)}"


@cache
def unsure_dynamo_server() -> RotoServer:
    """Return a server that loses answers, for all tests of this process."""
    directory = TemporaryDirectory(prefix="lastevent-dynamodb-")
    atexit.register(directory.cleanup)
    server = RotoServer(Path(directory.name))
    server.start()
    atexit.register(server.stop)
    server.proxy.be_unsure(0.03, seed=4)
    return server


@cache
def dynamo_server(server_type: type[DynamoServer]) -> DynamoServer:
    """Return a server for all tests of this process, which ends with it."""
    directory = TemporaryDirectory(prefix="lastevent-dynamodb-")
    atexit.register(directory.cleanup)
    server = server_type(Path(directory.name))
    server.start()
    atexit.register(server.stop)
    return server


HARNESSES: dict[str, type[Harness]] = {
    "memory": MemoryHarness,
    "sqlite": SqliteHarness,
    "upstash": UpstashHarness,
    "upstash-unsure": UnsureUpstashHarness,
    "redis": RedisHarness,
    "combined": CombinedHarness,
    "dynamodb": DynamoHarness,
    "dynamodb-unsure": UnsureDynamoHarness,
}

BACKENDS = [
    pytest.param(harness, id=name, marks=[pytest.mark.slow] * harness.slow)
    for name, harness in HARNESSES.items()
]
"""The same as parameters of a test."""


def notes(*texts: object) -> list[NewEvent]:
    """Return new events with these texts."""
    return [NewEvent("note", str(text)) for text in texts]


async def append(store: Store, stream: str, *texts: object, close: bool = False) -> Appended:
    """Append notes with these texts."""
    return await store.log.append(stream, notes(*texts), close=close)


async def follow(
    store: Store, stream: str, after: Cursor | None = None, limit: int = 1000
) -> tuple[list[Event], Cursor]:
    """Return all events after a cursor, page by page, and where they end; nothing may be lost."""
    events: list[Event] = []
    while True:
        page = await store.log.read(stream, after, limit)
        assert not page.truncated
        assert not events or page.start == after, "pages join on to each other"
        events += page.events
        after = page.cursor
        if page.at_end:
            return events, after


async def texts_after(store: Store, stream: str, after: Cursor | None = None) -> list[str]:
    """Return the texts of all events after a cursor; nothing may be lost."""
    events, _ = await follow(store, stream, after)
    return [event.data for event in events]
