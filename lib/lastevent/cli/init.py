"""``lastevent init``: creates what a store needs."""

import argparse
import asyncio

from lastevent.cli.environment import add_store, settings
from lastevent.cli.target import Commands, add_command

DESCRIPTION = """\
Create what the store needs: files, tables, indexes. Doing it again changes nothing.
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "init", "create what a store needs", description=DESCRIPTION)
    add_store(parser)
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Prepare the store, and say what it is."""
    asyncio.run(_prepare(args))
    return 0


async def _prepare(args: argparse.Namespace) -> None:
    from lastevent.stores.url import open_store

    chosen = settings(args.store)
    store = open_store(chosen.store_url, chosen.retention, wakeup_url=chosen.wakeup_url)
    try:
        await store.prepare()
    finally:
        await store.close()
    if store.durable:
        print(f"The {store.name} store is ready.")
    else:
        print(f"The {store.name} store needs nothing, and lives and dies with its process.")
