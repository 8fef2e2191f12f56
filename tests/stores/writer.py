"""A process that appends: ``python -m tests.stores.writer URL STREAM NAME COUNT``.

Prints the ids of each append, a line each, once it is acknowledged; COUNT 0 goes on for ever.
"""

import asyncio
import itertools
import random
import sys

from lastevent.core.errors import Transient
from lastevent.core.event import NewEvent
from lastevent.stores.url import open_store


async def write(url: str, stream: str, name: str, count: int) -> None:
    """Append batches of one to five events; what fails for the moment, again under its key.

    An event says its writer, its batch, its number in the batch, and the size of that.
    """
    store = open_store(url)
    batches = itertools.count() if count == 0 else range(count)
    for batch in batches:
        size = random.randint(1, 5)
        events = [NewEvent("note", f"{name} {batch} {n} {size}") for n in range(size)]
        for attempt in range(10):
            try:
                answer = await store.log.append(stream, events, key=f"{name}-{batch}")
                break
            except Transient:
                await asyncio.sleep(0.05 * (attempt + 1))
        else:
            raise SystemExit("the store stays busy")
        print(*answer.ids, flush=True)
    await store.close()


if __name__ == "__main__":
    url, stream, name, count = sys.argv[1:]
    asyncio.run(write(url, stream, name, int(count)))
