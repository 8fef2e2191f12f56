"""``redis://`` and ``rediss://``: the same store in any Redis or Valkey, over its own protocol.

For hosts that can hold a connection.
"""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from lastevent.core.errors import StoreUnavailable, Transient
from lastevent.stores.base import Clock, RetentionRules, Store
from lastevent.stores.upstash import store
from lastevent.stores.upstash.commands import Reply, Word
from lastevent.stores.upstash.connection import Connect, Lost, connector, translated
from lastevent.stores.upstash.tcp_push import TcpPush

if TYPE_CHECKING:
    from redis.asyncio.connection import Connection

MAX_CONNECTIONS = 32
ANSWER_SECONDS = 3.0
TOTAL_SECONDS = 5.0

PAUSES = (0.0, 0.1, 0.3, 0.9)
"""Before a call is made again, up to half as long by chance. The first is none: connections that
were kept have often died while the process was frozen."""


def open_url(url: str, retention: RetentionRules, clock: Clock) -> Store:
    """Return the store in the database at ``url``; raise ConfigError (connection.connector)."""
    connect, prefix = connector(url)
    return store("redis", Tcp(connect), TcpPush(connect, prefix), retention, clock, prefix)


class Tcp:
    """commands.Commands. Connections are kept, and belong to one event loop.

    Each write recognises itself when it comes again, so that a call whose answer was lost is
    simply made once more.
    """

    key_locking = False

    def __init__(self, connect: Connect) -> None:
        self.usage: Counter[str] = Counter()
        self._connect = connect
        self._pool: _Pool | None = None

    async def call(self, *words: Word) -> Reply:
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                return await self._insist(words)
        except TimeoutError as error:
            raise StoreUnavailable("the Redis database did not answer in time") from error

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None and pool.loop is asyncio.get_running_loop():
            await pool.drop()

    async def _insist(self, words: tuple[Word, ...]) -> Reply:
        """Make a call, and make it again while it fails in ways that pass."""
        for pause in PAUSES:
            try:
                return await self._once(words)
            except Transient as error:
                if type(error) not in (Lost, Transient):
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
        return await self._once(words)

    async def _once(self, words: tuple[Word, ...]) -> Reply:
        if self._pool is None or self._pool.loop is not asyncio.get_running_loop():
            self._pool = _Pool(self._connect)
        self.usage[str(words[0])] += 1
        try:
            return await self._pool.call(words)
        except Exception as error:
            failure = translated(error)
            if isinstance(failure, Lost):
                await self._pool.drop()
            raise failure from error


class _Pool:
    """The connections of one event loop."""

    def __init__(self, connect: Connect) -> None:
        self.loop = asyncio.get_running_loop()
        self._connect = connect
        self._idle: list[Connection] = []
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)

    async def call(self, words: tuple[Word, ...]) -> Reply:
        """Send a command on a connection of its own, and wait for its reply."""
        async with self._room:
            connection = self._idle.pop() if self._idle else self._connect(ANSWER_SECONDS)
            try:
                await connection.send_command(*words)
                return cast(Reply, await connection.read_response())
            finally:
                # If the reply was not read, be it by cancellation, it has disconnected itself.
                self._idle.append(connection)

    async def drop(self) -> None:
        """End the connections that nobody uses."""
        while self._idle:
            with suppress(Exception):
                await self._idle.pop().disconnect(nowait=True)
