"""A process whose files may not grow: ``python -m tests.stores.sqlite.disk_full PATH``.

Appends until the store refuses, then once more with room again; prints how often it was answered.
"""

import asyncio
import resource
import sys

from lastevent.core.errors import StoreUnavailable
from lastevent.core.event import NewEvent
from lastevent.stores.url import open_store

LIMIT = 1 << 20


async def fill(path: str) -> None:
    store = open_store(f"sqlite:///{path}")
    await store.prepare()
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, most))
    answered = 0
    refused = 0
    while refused < 3:
        calls = [
            store.log.append("s", [NewEvent("note", "x" * 20_000)] * 2, key=f"{answered}-{n}")
            for n in range(5)
        ]
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(outcome, StoreUnavailable):
                refused += 1
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                answered += 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    await store.log.append("s", [NewEvent("note", "room")] * 2)
    print(answered + 1)
    await store.close()


if __name__ == "__main__":
    asyncio.run(fill(sys.argv[1]))
