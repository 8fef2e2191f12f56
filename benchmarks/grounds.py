"""What a subject's data lies in: a file, or a local server that is started for it on fresh data.

The local servers keep their data in memory: what is measured is what ours costs beside them, and
not this machine's disk. Only SQLite writes to it.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.dynamodb import REGION, RotoServer
from infra.local.upstash import UpstashServer
from infra.local.valkey_server import ValkeyServer

TABLE = f"dynamodb://bench?region={REGION}"


@dataclass(frozen=True, slots=True)
class Ground:
    """A store that is ready: its URL, that of its wake-up, and the variables that go with them.

    ``upstash`` is the server whose commands are billed, if there is one.
    """

    url: str
    wakeup_url: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    upstash: UpstashServer | None = None


Opener = Callable[[Path], AbstractAsyncContextManager[Ground]]
"""Starts what a store needs on a fresh directory, and ends it."""


@asynccontextmanager
async def memory(directory: Path) -> AsyncIterator[Ground]:
    """Nothing: the store is in the server's process."""
    yield Ground("memory://")


@asynccontextmanager
async def sqlite(directory: Path) -> AsyncIterator[Ground]:
    """A file."""
    yield Ground(f"sqlite:///{directory / 'bench.db'}")


@asynccontextmanager
async def upstash(directory: Path) -> AsyncIterator[Ground]:
    """The emulator of the Upstash REST API."""
    async with UpstashServer(directory / "upstash", durable=False) as server:
        yield Ground("upstash://", environ=server.environment, upstash=server)


@asynccontextmanager
async def upstash_polled(directory: Path) -> AsyncIterator[Ground]:
    """The same, which refuses subscriptions, so that readers have to look."""
    async with UpstashServer(directory / "upstash", durable=False, faults=True) as server:
        await server.fault("status", status=403, commands=["SUBSCRIBE"])
        yield Ground("upstash://", environ=server.environment, upstash=server)


@asynccontextmanager
async def redis(directory: Path) -> AsyncIterator[Ground]:
    """A Valkey, over TCP."""
    async with ValkeyServer(directory / "valkey", durable=False) as server:
        yield Ground(f"redis://127.0.0.1:{server.port}")


@asynccontextmanager
async def dynamodb(directory: Path) -> AsyncIterator[Ground]:
    """A server that speaks DynamoDB."""
    async with RotoServer(directory) as server:
        yield Ground(TABLE, environ=server.environment)


@asynccontextmanager
async def dynamodb_pushed(directory: Path) -> AsyncIterator[Ground]:
    """The same, whose events are told through Upstash."""
    async with dynamodb(directory) as table, upstash(directory) as push:
        environ = {**table.environ, **push.environ}
        yield Ground(table.url, push.url, environ, push.upstash)
