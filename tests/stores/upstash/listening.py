"""A listener that remembers, and a subscription that is held as Hints holds it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from lastevent.core.errors import Transient
from lastevent.stores.channel import End, Push, Subscription
from tests.stores.harness import WAIT_SECONDS


@dataclass
class Heard:
    """channel.Listener: what stood, and what was told, in order."""

    standing_streams: set[str] = field(default_factory=set)
    told: list[tuple[str, End]] = field(default_factory=list)

    def standing(self, streams: Iterable[str]) -> None:
        self.standing_streams.update(streams)

    def moved(self, stream: str, end: End) -> None:
        self.told.append((stream, end))


@dataclass(frozen=True, slots=True)
class Held:
    """A subscription, and the task that holds it."""

    subscription: Subscription
    task: "asyncio.Task[None]"


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def listening(push: Push, heard: Heard, streams: Iterable[str]) -> AsyncIterator[Held]:
    """Hold a subscription to ``streams``, all of which stand."""
    wanted = list(streams)
    while True:
        subscription = push.subscription(heard)
        subscription.watch(wanted)
        task = asyncio.create_task(subscription.run())
        with suppress(Transient):  # it may have found out what the store can do, and begins again
            await until(lambda: task.done() or heard.standing_streams.issuperset(wanted))  # noqa: B023
            if not task.done():
                break
            await task
    try:
        yield Held(subscription, task)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Transient):
            await task
