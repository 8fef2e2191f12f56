"""The store behind the API: a primary, perhaps a replica that lags, and who serves what."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from infra.local.child import HOST
from infra.local.upstash.catalogue import Catalogue, name_of
from infra.local.upstash.refusal import Refused, unavailable
from infra.local.upstash.resp import Command, Connection, Failure, Reply
from infra.local.upstash.scripts import Scripts

CALL_SECONDS = 20.0
SYNC_SECONDS = 10.0
MAX_IDLE_CONNECTIONS = 64


class Node:
    """One Valkey, spoken to over connections that are used again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []

    async def call_all(self, commands: Sequence[Command]) -> list[Reply]:
        """Send commands over one connection; Refused (503) when it breaks or takes too long."""
        try:
            async with asyncio.timeout(CALL_SECONDS), self._connection() as connection:
                return await connection.call_all(commands)
        except (OSError, EOFError):
            self.forget()
            raise unavailable() from None

    async def connect(self) -> Connection:
        """Return a connection of one's own. Raises Refused (503)."""
        try:
            return await Connection.open(HOST, self._port)
        except OSError:
            raise unavailable() from None

    async def position(self) -> tuple[bytes, int]:
        """Return the replication's history and how far in it this node is."""
        (reply,) = await self.call_all([[b"INFO", b"replication"]])
        assert isinstance(reply, bytes)
        return _position(reply)

    def forget(self) -> None:
        """Drop the connections that are not in use: the node has ended, or has come back."""
        while self._idle:
            self._idle.pop().close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        connection = self._idle.pop() if self._idle else await self.connect()
        try:
            yield connection
        except BaseException:
            # A call that was cut short leaves its reply behind: nobody else may read that one.
            connection.close()
            raise
        if len(self._idle) < MAX_IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:
            connection.close()


class Database:
    """Runs commands where the service would, and counts them as its bill would."""

    def __init__(self, primary: Node, replica: Node | None, catalogue: Catalogue) -> None:
        self.primary = primary
        self.catalogue = catalogue
        self.counts: Counter[str] = Counter()
        self._replica = replica
        self._scripts = Scripts(catalogue)
        self._served = 0

    @classmethod
    async def open(cls, primary: Node, replica: Node | None) -> "Database":
        """Ask the store for its commands."""
        (reply,) = await primary.call_all([[b"COMMAND"]])
        return cls(primary, replica, Catalogue.of(reply))

    async def run(self, commands: Sequence[Command], token: str | None) -> list[Reply]:
        """Run commands one after another, and return their replies.

        Where there is a replica it serves what only reads, once it has got as far as the token
        says (Read Your Writes). Not documented: a pipeline with a write in it goes to the primary
        as a whole.
        """
        node = self.primary
        if self._replica and all(map(self.catalogue.reads, commands)):
            node = await self._caught_up(self._replica, token)
        translated = [self._scripts.translate(command) for command in commands]
        replies = await node.call_all(translated)
        self._count(commands)
        return [
            self._scripts.answer(command, reply)
            for command, reply in zip(commands, replies, strict=True)
        ]

    async def run_atomically(self, commands: Sequence[Command]) -> list[Reply]:
        """Run commands as one transaction. Raises Refused when the store discards it."""
        translated = [self._scripts.translate(command) for command in commands]
        replies = await self.primary.call_all([[b"MULTI"], *translated, [b"EXEC"]])
        answers = replies[-1]
        if not isinstance(answers, list):
            queued = [reply.text for reply in replies[1:-1] if isinstance(reply, Failure)]
            raise Refused(queued[0] if queued else str(answers))
        self._count(commands)
        return [
            self._scripts.answer(command, reply)
            for command, reply in zip(commands, answers, strict=True)
        ]

    async def sync_token(self) -> str:
        """Return the header `upstash-sync-token` for an answer: the primary's state by now."""
        if not self._replica:
            self._served += 1
            return f"{self._served}"
        history, offset = await self.primary.position()
        return f"{history.decode()}:{offset}"

    def count_subscription(self, name: str, channels: int) -> None:
        """Count a subscription: one command a channel, whatever it brings. Not documented."""
        self.counts[name] += channels

    def _count(self, commands: Sequence[Command]) -> None:
        # "Billed per command": a script is one, whatever it calls. What the store answered with an
        # error counts, too (not documented).
        self.counts.update(map(name_of, commands))

    async def _caught_up(self, replica: Node, token: str | None) -> Node:
        """Return who may serve a read with this token; wait for the replica."""
        wanted, _, offset = (token or "").partition(":")
        if not offset.isdigit():
            return replica
        for _ in range(int(SYNC_SECONDS / 0.005)):
            history, reached = await replica.position()
            if history != wanted.encode():
                # The primary has come back with a new history: only it can know.
                return self.primary
            if reached >= int(offset):
                return replica
            await asyncio.sleep(0.005)
        return self.primary


def _position(reply: bytes) -> tuple[bytes, int]:
    fields = dict(line.partition(b":")[::2] for line in reply.splitlines() if b":" in line)
    # On a replica, master_repl_offset is what it has applied.
    return fields[b"master_replid"], int(fields[b"master_repl_offset"])
