"""All that the contract suite knows of a backend: how to open stores on data of the test's own.

A new backend adds itself to HARNESSES and passes the suite.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from lastevent.core.cursor import Cursor
from lastevent.core.event import Event, NewEvent
from lastevent.stores.base import Appended, Retention, RetentionRules, Store
from lastevent.stores.url import open_store

KEPT_EVENTS = 10
KEPT_SECONDS = 60.0

RETENTION = RetentionRules(
    (
        ("few:*", Retention(max_events=KEPT_EVENTS)),
        ("short:*", Retention(max_seconds=KEPT_SECONDS)),
    )
)
"""How long the tests' streams are kept, by their names; others as it is by default."""

WAIT_SECONDS = 20.0
"""A safety limit: what takes longer than this has hung."""


class Clock:
    """A store's clock that stands still until a test moves it. In Unix seconds."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Harness(ABC):
    """The data of one test, with the clock of the stores on it."""

    shared: ClassVar[bool]
    """Whether several stores, in several processes, may be open on the same data."""

    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        self.url = self.url_in(directory)
        self._opened: list[Store] = []

    @abstractmethod
    def url_in(self, directory: Path) -> str:
        """Return the URL of new data, which may lie in ``directory``."""

    async def open(self) -> Store:
        """Return a store on the data, ready for use. Only shared data may be opened twice."""
        assert self.shared or not self._opened
        store = open_store(self.url, RETENTION, self.clock)
        self._opened.append(store)
        await store.prepare()
        return store

    def advance(self, seconds: float) -> None:
        """Let the stores' time pass."""
        self.clock.now += seconds

    async def close(self) -> None:
        """Close all stores that were opened."""
        while self._opened:
            await self._opened.pop().close()


class MemoryHarness(Harness):
    shared = False

    def url_in(self, directory: Path) -> str:
        return "memory://"


class SqliteHarness(Harness):
    shared = True

    def url_in(self, directory: Path) -> str:
        return f"sqlite:///{directory}/data/test.db"


HARNESSES: dict[str, type[Harness]] = {"memory": MemoryHarness, "sqlite": SqliteHarness}


def notes(*texts: object) -> list[NewEvent]:
    """Return new events with these texts."""
    return [NewEvent("note", str(text)) for text in texts]


async def append(store: Store, stream: str, *texts: object, close: bool = False) -> Appended:
    """Append notes with these texts."""
    return await store.log.append(stream, notes(*texts), close=close)


async def follow(
    store: Store, stream: str, after: Cursor | None = None, limit: int = 1000
) -> tuple[list[Event], Cursor]:
    """Return all events after a cursor, page by page, and where they end; nothing may be lost."""
    events: list[Event] = []
    while True:
        page = await store.log.read(stream, after, limit)
        assert not page.truncated
        assert not events or page.start == after, "pages join on to each other"
        events += page.events
        after = page.cursor
        if page.at_end:
            return events, after


async def texts_after(store: Store, stream: str, after: Cursor | None = None) -> list[str]:
    """Return the texts of all events after a cursor; nothing may be lost."""
    events, _ = await follow(store, stream, after)
    return [event.data for event in events]
