"""What two servers might have counted in some hours, told to the store as they would have."""

import math
import random
from time import time

from lastevent.services.metrics.bucket import Bucket
from lastevent.services.metrics.minutes import Minutes
from lastevent.stores.url import open_store

GAP = range(20, 26)
"""Minutes before now in which no server told anything."""


def minute_of(place: int, chance: random.Random, *, commands: bool = True) -> Bucket:
    """What one server counts in a minute, ``place`` of a day's waves."""
    wave = 1 + 0.5 * math.sin(place / 230) + chance.uniform(-0.06, 0.06)
    legs = round(44 * wave)
    left = 3 + chance.randrange(3) + (9 if place % 97 < 4 else 0)
    events = round(300 * wave)
    bucket = Bucket()
    bucket.counts.update(
        {
            "opened": legs,
            "resumed": legs - 1 + left // 2,
            "ended.duration": legs - 1,
            "ended.left": left,
            "connected": round(40 * wave * 60_000),
            "published": events,
            "delivered": events * 12,
            "polls": 2,
            "stream.legs": legs,
            "stream.plannedEnds": legs - 1,
            "stream.cuts": left,
            "polling.polls": 8,
        }
    )
    if commands:
        bucket.counts["commands"] = round(560 * wave)
    for _ in range(60):
        bucket.latency("delivery").observe(chance.lognormvariate(1.2, 0.7))
        bucket.latency("stream").observe(chance.lognormvariate(3.4, 0.6))
    for _ in range(6):
        bucket.latency("polling").observe(chance.uniform(500, 30_000))
    for user in range(round(34 * wave)):
        bucket.user("stream").add(f"stream-{user}")
    for user in range(4):
        bucket.user("polling").add(f"polling-{user}")
    return bucket


async def seed(url: str, minutes: int) -> None:
    """Fill a store with the last ``minutes`` of two servers, with a GAP."""
    store = open_store(url)
    await store.prepare()
    chance = random.Random(42)
    last = int(time() // 60)  # more than the page shows, which waits for a minute to settle
    servers = [Minutes(store.records, name) for name in ("one", "two")]
    for place in range(minutes):
        if place not in GAP:
            for server in servers:
                await server.add(last - place, minute_of(minutes - place, chance))
    await store.close()
