"""The ends of logs, for those who wait for them (hints.Hints)."""

import asyncio
from collections.abc import Collection, Mapping

from lastevent.stores.base import Clock
from lastevent.stores.channel import End
from lastevent.stores.dynamodb.chain import Chain
from lastevent.stores.dynamodb.chunk import Tip
from lastevent.stores.dynamodb.client import Client, Watch

CLOSER_SECONDS = 60.0
"""How often a stream's chain is looked at itself, beside the copy of its outline."""

MAX_REMEMBERED = 10_000
_AT_ONCE = 8


class DynamoEnds:
    """channel.Ends: one request for each hundred streams, strongly consistent.

    It reads the outlines' copies, which are written before an append is acknowledged. A writer that
    died in between has left the copy behind: so each stream's chain itself is looked at once in a
    while, from where the copy says that it goes on, and the copy is made good.
    """

    def __init__(self, client: Client, chain: Chain, clock: Clock) -> None:
        self._client = client
        self._chain = chain
        self._watch = Watch(clock)
        self._looked: dict[str, tuple[float, ...]] = {}
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def __call__(
        self, streams: Collection[str], ping: Collection[str] = ()
    ) -> Mapping[str, End]:
        async with self._client.limited():
            copies = await self._chain.copies(streams)
            due = [name for name in streams if self._is_due(name)]
            tips = await asyncio.gather(*(self._closer(name, copies.get(name)) for name in due))
        copies |= zip(due, tips, strict=True)
        return {name: copies.get(name, Tip()).end for name in streams}

    def _is_due(self, stream: str) -> bool:
        looked = self._looked.get(stream)
        return looked is None or self._watch.since(looked) >= CLOSER_SECONDS

    async def _closer(self, stream: str, copy: Tip | None) -> Tip:
        async with self._at_once:
            now = self._watch.now()
            tip = copy or Tip()
            run = await self._chain.run(stream, tip.next, 1)
            if run.chunks or not run.at_end:
                tip = await self._chain.tip(stream, mend=True)
        if len(self._looked) >= MAX_REMEMBERED:
            self._looked.clear()
        self._looked[stream] = now
        return tip
