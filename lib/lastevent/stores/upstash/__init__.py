"""``upstash://``: streams in an Upstash Redis, for any number of processes, over its REST API.

address     the URL and the environment
commands    a command and its reply; scripts
rest, tcp   what carries commands: the REST API, or a connection to any Redis
push        subscriptions over the REST API; announcer: messages for logs in other stores
scripts     the log in Lua: all that is atomic
appends     appends that go together
log, leases, records    three of the four powers of base; the wake-up is ``stores.hints``

The database acknowledges a write before its replicas have it (RULES 11): a fail-over may lose the
last ones, and give their sequences to others. The proof in a cursor shows it to the reader.
"""

import os

from lastevent.stores.base import Clock, RetentionRules, Store
from lastevent.stores.channel import Channel, Push
from lastevent.stores.hints import Hints
from lastevent.stores.upstash.address import address
from lastevent.stores.upstash.announcer import RedisAnnouncer
from lastevent.stores.upstash.commands import Commands
from lastevent.stores.upstash.leases import RedisLeases
from lastevent.stores.upstash.log import RedisLog
from lastevent.stores.upstash.records import RedisRecords


def open_url(url: str, retention: RetentionRules, clock: Clock) -> Store:
    """Return the store in the database that ``url`` or the environment names.

    See address.address for the forms; raises ConfigError for others.
    """
    # Here, since a connection to a Redis has no use for the HTTP client that they load.
    from lastevent.stores.upstash.push import RestPush
    from lastevent.stores.upstash.rest import Rest

    where = address(url, os.environ)
    rest = Rest(where.url, where.token)
    push = RestPush(rest.open, where.prefix, rest.usage)
    return store("upstash", rest, push, retention, clock, where.prefix)


def store(
    name: str,
    commands: Commands,
    push: Push,
    retention: RetentionRules,
    clock: Clock,
    prefix: str,
) -> Store:
    """Return the store behind ``commands``, woken by ``push``; its keys begin with ``prefix``."""
    log = RedisLog(commands, retention, clock, prefix)
    hints = log.hints = Hints(log.ends, push)

    async def prepare() -> None:
        await commands.call("PING")

    async def close() -> None:
        await log.close()
        await hints.close()
        await commands.close()

    return Store(
        name=name,
        log=log,
        wakeup=hints,
        leases=RedisLeases(commands, clock, prefix),
        records=RedisRecords(commands, clock, prefix),
        prepare=prepare,
        close=close,
        channel=Channel(push, RedisAnnouncer(commands, prefix)),
        usage=lambda: dict(commands.usage),
    )
