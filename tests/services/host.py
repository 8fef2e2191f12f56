"""A server of previews in a process of its own: ``python host.py STORE-URL LEASE-SECONDS SCRIPT``.

Starts SCRIPT by ``sh -c``, says the preview's id, and goes on until it is killed or its standard
input ends; then it shuts down as a server does. A line on its input pauses all of it, until another
line comes. (SIGSTOP would pause it too, perhaps in a transaction that locks the database for all.)
"""

import asyncio
import sys

from lastevent.services.previews import Previews
from lastevent.sources.command import CommandSpec
from lastevent.stores.url import open_store


async def main(url: str, lease_seconds: float, script: str) -> None:
    store = open_store(url)
    await store.prepare()
    commands = {"job": CommandSpec(("sh", "-c", script))}
    previews = Previews(store, commands, lease_seconds=lease_seconds)
    print((await previews.start("job")).id, flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print("paused", flush=True)
        sys.stdin.readline()
    await previews.aclose()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), sys.argv[3]))
