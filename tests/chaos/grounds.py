"""What a chaos run stands on: a store, what its servers must know of it, and its own bad days.

sqlite      a file; its bad days are the servers' deaths
upstash     the emulator over a real Valkey that is killed and comes back, with lost answers,
            refusals, cut and mute subscriptions, and a replica that lags
redis       the same Valkey without the emulator, over TCP
dynamodb    a server in memory, which is cut off, falls silent and loses answers instead
combined    dynamodb, whose events are told through upstash
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.dynamodb import REGION, RotoServer
from infra.local.upstash.server import UpstashServer
from infra.local.valkey_server import ValkeyServer

Mischief = Callable[[random.Random], Awaitable[None]]
"""Does one bad thing to the store, and undoes what does not pass by itself."""

AWAY_SECONDS = (0.2, 1.5)
TABLE = f"dynamodb://chaos?region={REGION}"


@dataclass(frozen=True, slots=True)
class Ground:
    """A store for a run. ``mischief``: what happens to it, each as likely as the others.

    ``pace`` stretches the pauses between bad things, where servers take longer to come back.
    """

    url: str
    environ: Mapping[str, str] = field(default_factory=dict)
    mischief: Sequence[Mischief] = ()
    pace: float = 1.0

    async def trouble(self, chance: random.Random, until: asyncio.Event) -> int:
        """Make trouble until the event is set; return how often. What was broken is mended."""
        troubles = 0
        while self.mischief and not until.is_set():
            await asyncio.sleep(self.pace * chance.uniform(0.5, 1.5))
            await chance.choice(self.mischief)(chance)
            troubles += 1
        return troubles


@asynccontextmanager
async def sqlite(directory: Path) -> AsyncIterator[Ground]:
    yield Ground(f"sqlite:///{directory}/chaos.db")


@asynccontextmanager
async def upstash(directory: Path) -> AsyncIterator[Ground]:
    async with UpstashServer(directory / "upstash", faults=True, replica=True) as server:
        yield Ground("upstash://", server.environment, _mischief(server), pace=1.5)


@asynccontextmanager
async def redis(directory: Path) -> AsyncIterator[Ground]:
    valkey = ValkeyServer(directory / "valkey")

    async def crash(chance: random.Random) -> None:
        await asyncio.to_thread(valkey.kill)
        await asyncio.sleep(chance.uniform(*AWAY_SECONDS))
        await asyncio.to_thread(valkey.start)

    async with valkey:
        yield Ground(f"redis://127.0.0.1:{valkey.port}", mischief=[crash])


@asynccontextmanager
async def dynamodb(directory: Path) -> AsyncIterator[Ground]:
    async with RotoServer(directory) as server:
        yield Ground(TABLE, server.environment, _cuts(server), pace=2.0)


@asynccontextmanager
async def combined(directory: Path) -> AsyncIterator[Ground]:
    async with AsyncExitStack() as stack:
        table = await stack.enter_async_context(RotoServer(directory))
        push = await stack.enter_async_context(UpstashServer(directory / "upstash", faults=True))
        environ = {
            **table.environment,
            **push.environment,
            "LASTEVENT_WAKEUP_URL": "upstash://",
        }
        yield Ground(TABLE, environ, [*_cuts(table), push_cut(push)], pace=2.0)


def push_cut(server: UpstashServer) -> Mischief:
    async def cut(chance: random.Random) -> None:
        await server.cut_subscriptions()

    return cut


def _mischief(server: UpstashServer) -> list[Mischief]:
    async def crash(chance: random.Random) -> None:
        await server.kill_store()
        await asyncio.sleep(chance.uniform(*AWAY_SECONDS))
        await server.start_store()

    async def lose_answers(chance: random.Random) -> None:
        await server.fault("drop", times=chance.randint(1, 6))

    async def refuse(chance: random.Random) -> None:
        await server.fault("status", status=chance.choice((429, 500, 503)), times=4)

    async def mute(chance: random.Random) -> None:
        await server.mute_subscriptions()
        await asyncio.sleep(chance.uniform(*AWAY_SECONDS))
        await server.mute_subscriptions(False)
        await server.cut_subscriptions()

    async def lag(chance: random.Random) -> None:
        await server.lag(chance.uniform(0.05, 0.5))
        await asyncio.sleep(chance.uniform(*AWAY_SECONDS))
        await server.lag(0)

    return [crash, lose_answers, refuse, push_cut(server), mute, lag]


def _cuts(server: RotoServer) -> list[Mischief]:
    proxy = server.proxy

    async def cut(chance: random.Random) -> None:
        await asyncio.to_thread(proxy.cut)
        await asyncio.sleep(chance.uniform(*AWAY_SECONDS))
        await asyncio.to_thread(proxy.restore)

    async def silence(chance: random.Random) -> None:
        await asyncio.to_thread(proxy.silence)
        await asyncio.sleep(chance.uniform(*AWAY_SECONDS))
        await asyncio.to_thread(proxy.restore)

    async def lose_answers(chance: random.Random) -> None:
        await asyncio.to_thread(proxy.lose_answers, chance.randint(1, 6))

    return [cut, silence, lose_answers]


GROUNDS = {
    "sqlite": sqlite,
    "upstash": upstash,
    "redis": redis,
    "dynamodb": dynamodb,
    "combined": combined,
}
