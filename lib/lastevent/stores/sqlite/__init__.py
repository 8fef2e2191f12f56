"""``sqlite:///path``: streams in one file, for several processes of one machine.

engine    the threads and their transactions
schema    the tables, and connections to them
rows      outlines and events as rows
log, wakeup, leases, records    the four powers of base
sweep     removes what has expired
failure   sqlite3's errors as ours
"""

from pathlib import Path

from lastevent.core.errors import ConfigError
from lastevent.stores.base import Clock, RetentionRules, Store
from lastevent.stores.sqlite.engine import Engine
from lastevent.stores.sqlite.leases import SqliteLeases
from lastevent.stores.sqlite.log import SqliteLog
from lastevent.stores.sqlite.records import SqliteRecords
from lastevent.stores.sqlite.sweep import Sweep
from lastevent.stores.sqlite.wakeup import SqliteWakeup

PREFIX = "sqlite:///"


def open_url(url: str, retention: RetentionRules, clock: Clock) -> Store:
    """Return the store in the file that ``url`` names; raise ConfigError if it names none.

    ``sqlite:///relative/path`` or ``sqlite:////absolute/path``. File and directory are created
    when they are first needed.
    """
    path = url.removeprefix(PREFIX)
    if not url.startswith(PREFIX) or not path.strip("/") or "?" in path or path == ":memory:":
        raise ConfigError(
            "write the store's URL as sqlite:///relative/path or sqlite:////absolute/path"
        )
    return open_file(Path(path), retention, clock)


def open_file(
    path: Path,
    retention: RetentionRules,
    clock: Clock,
    *,
    busy_seconds: float = 5.0,
    sweep_seconds: float = 60.0,
) -> Store:
    """Return the store in the file at ``path``.

    ``busy_seconds``: how long a call waits for other processes that write. ``sweep_seconds``: how
    often this process looks for what has expired.
    """
    wakeup = SqliteWakeup(lambda: engine.connection(readonly=True))
    engine = Engine(
        path,
        moved=wakeup.moved,
        sweep=Sweep(retention, clock),
        busy_seconds=busy_seconds,
        sweep_seconds=sweep_seconds,
    )

    async def prepare() -> None:
        await engine.write(lambda db: None)

    async def close() -> None:
        await wakeup.close()
        await engine.close()

    return Store(
        name="sqlite",
        log=SqliteLog(engine, retention, clock),
        wakeup=wakeup,
        leases=SqliteLeases(engine, clock),
        records=SqliteRecords(engine, clock),
        prepare=prepare,
        close=close,
    )
