"""One publisher process of the chaos run: numbered events, each awaited, what was acknowledged.

    python -m tests.chaos.publisher NAME SECONDS SEED STREAM URL [URL …]

Prints ``ack ID NUMBER`` for each event that a server acknowledged. A publish that gave up, on all
servers, may have been written or not: its number is never used again.
"""

import asyncio
import random
import sys
from time import monotonic

from lastevent.client import Publisher
from lastevent.core.errors import Transient

BATCHES_A_SECOND = 12.0
"""Batches of one to five events, three on average."""


async def publish(name: str, seconds: float, seed: int, stream: str, urls: list[str]) -> None:
    """Publish batches of one to five events to ``stream``, on any of the servers."""
    until = monotonic() + seconds
    chance = random.Random(seed)
    publishers = [Publisher(f"{url}/api/streams/{stream}", give_up_after=4.0) for url in urls]
    number = 0
    while monotonic() < until:
        numbers = range(number, number + chance.randint(1, 5))
        number = numbers.stop
        key = f"{name}-{numbers.start}"
        batch = [("work", {"from": name, "n": n}) for n in numbers]
        # The key makes it the same publish on whichever server answers in the end.
        for _ in range(6):
            try:
                answer = await chance.choice(publishers).publish_batch(batch, key=key)
            except Transient:
                continue
            for identifier, n in zip(answer.ids, numbers, strict=True):
                print("ack", identifier, n, flush=True)
            break
        await asyncio.sleep(chance.expovariate(BATCHES_A_SECOND))
    for publisher in publishers:
        await publisher.aclose()


if __name__ == "__main__":
    _, name, seconds, seed, stream, *urls = sys.argv
    asyncio.run(publish(name, float(seconds), int(seed), stream, urls))
