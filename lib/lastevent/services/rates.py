"""Rates: how often somebody may do something, counted in the store, for all servers together.

Each counter is one record with one number, the time from which its owner has the whole burst again;
each use moves it on by the share of one (the generic cell rate algorithm, ITU-T I.371). So nothing
is reset at the turn of a minute, and a counter that is full again vanishes.
"""

import asyncio
import random
from dataclasses import dataclass
from time import time

from lastevent.core.errors import Conflict, InvalidRequest, TooManyRequests
from lastevent.stores.base import Records

KIND = "rates"
_ATTEMPTS = 10
_SHORT_SECONDS, _LONG_SECONDS = 0.005, 0.32
"""Pauses double from the one to the other: so many at once as a rate allows get their turn."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``count`` uses at once, and again as many spread over each ``seconds``."""

    count: int
    seconds: float

    def __post_init__(self) -> None:
        if self.count < 1 or self.seconds <= 0:
            raise InvalidRequest("a rate is a number of uses, in a time")

    def __str__(self) -> str:
        return f"{self.count} in {self.seconds:g} seconds"

    def next(self, full_at: float, now: float, uses: int = 1) -> float:
        """Return ``full_at`` after more ``uses``; raise TooManyRequests if so many are not left."""
        share = self.seconds / self.count
        after = max(full_at, now) + share * uses
        if after - now > self.seconds + min(share / 2, 0.01):  # fractions do not add up to a whole
            wait = after - now - self.seconds
            raise TooManyRequests(f"at most {self}: wait {wait:.1f} seconds", wait)
        return after


class Rates:
    """The counters in a store. Servers compare their own clocks: one that is ahead by some seconds
    lets through what these seconds are worth."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def take(self, what: str, who: str, rate: Rate, uses: int = 1) -> None:
        """Count ``uses``; raise TooManyRequests, with the time to wait, when they are too many.

        Who is so quick that the store hears of it from everywhere at once is too quick as well.
        """
        id = f"{what}/{who}"
        for attempt in range(_ATTEMPTS):
            record = await self._records.get(KIND, id)
            now = time()
            full_at = rate.next(float(record.value) if record else 0.0, now, uses)
            try:
                await self._records.put(
                    KIND,
                    id,
                    f"{full_at:.6f}",
                    expect=record.version if record else 0,
                    seconds=full_at - now + 1,
                )
                return
            except Conflict:
                pause = min(_SHORT_SECONDS * 2**attempt, _LONG_SECONDS)
                await asyncio.sleep(random.uniform(0, pause))
        raise TooManyRequests(f"at most {rate}, and not all at once")
