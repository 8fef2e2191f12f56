"""What a store can do: four separate powers, and the values that pass between.

EventLog    append, read, describe, delete: the truth (promise 5)
Wakeup      wait: a hint that a stream may have moved
Leases      acquire, renew, release: one holder at a time, with a fencing token
Records     get, put, query, delete: small documents with a version

A Store is the four of them together; a log and a wake-up may come from different backends. All
methods may raise Transient or StoreUnavailable, and return or raise within a few seconds whatever
the backend does. A write that raised may nevertheless have been made: retry an append with a key.

Time is the store's: a backend is made with a ``clock`` that returns Unix seconds.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from lastevent.core.cursor import Cursor
from lastevent.core.event import Event, NewEvent
from lastevent.core.extent import Extent
from lastevent.core.topic import matches
from lastevent.stores.channel import Channel

KEY_SECONDS = 24 * 3600
"""How long an idempotency key answers (RULES 9); clients stop retrying well before."""

EXTENT_SECONDS = 30 * 24 * 3600
"""How long a stream's outline outlives its last event (RULES 6)."""

MAX_BATCH_EVENTS = 1000
"""Events in one append at most: a batch is written whole, as one piece (RULES 9)."""

MAX_BOOKMARK_BYTES = 64 * 1024
"""Of a bookmark in UTF-8. Some stores write it with each append to its stream: keep it short."""


class Appended(NamedTuple):
    """The answer to an append.

    ``ids`` are the events' ids in order, ``cursor`` the position after the last of them (of the
    log's end, when there were none), ``repeated`` tells that the key had been seen and this is the
    first answer again.
    """

    ids: tuple[str, ...]
    cursor: Cursor
    closed: bool
    repeated: bool = False

    @classmethod
    def up_to(
        cls, cursor: Cursor, count: int, closed: bool, *, repeated: bool = False
    ) -> "Appended":
        """Return the answer to an append of ``count`` events that ended at ``cursor``."""
        sequences = range(cursor.sequence - count + 1, cursor.sequence + 1)
        # Cursor.__str__, without making a Cursor of each.
        prefix, proof = f"{cursor.generation:012x}", f"{cursor.proof:04x}"
        return cls(tuple(f"{prefix}{n:010x}{proof}" for n in sequences), cursor, closed, repeated)


class Page(NamedTuple):
    """Consecutive events, oldest first, without a hole.

    ``cursor`` is the position after the last event, or where the reader stands when there is none.
    ``head`` is the end of the log and ``closed`` its state at the time of reading. ``truncated``:
    events between the reader's cursor and ``start`` are lost; ``start`` is the position before the
    first event of the page.
    """

    events: tuple[Event, ...]
    start: Cursor
    cursor: Cursor
    head: Cursor
    closed: bool
    truncated: bool = False

    @property
    def at_end(self) -> bool:
        """Whether nothing followed this page when it was read."""
        return self.cursor == self.head


class EventLog(Protocol):
    """Named append-only logs."""

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        key: str | None = None,
        expect: Cursor | None = None,
        fence: int | None = None,
        close: bool = False,
        bookmark: str | None = None,
    ) -> Appended:
        """Append all ``events`` in order, and close the stream if asked to, in one atomic step.

        ``bookmark`` is text that the stream remembers from this same step on, until the next one
        replaces it (None leaves it): how far a source has been read (RULES 15). It outlives the
        events, trimmed or expired, is forgotten when the stream is deleted, and comes back from
        ``describe``.

        A stream comes into being with its first append, also of no events. Checked in this order
        (RULES 9):

        ``key`` (1 to 255 characters): seen on this stream within a day, the first answer is
        returned again, also when that append closed the stream; with other events or another
        ``close`` raises KeyReused. A repeated call leaves the bookmark as it is, and may come with
        another. Deleting a stream forgets its keys.
        ``fence``: a lease's token; a lower one than the stream has seen raises Fenced, a higher one
        is remembered, also when there are no events. It outlives the stream's deletion.
        A closed stream raises StreamClosed, unless nothing is appended.
        ``expect``: the position that the log's end must have (``Cursor.after(0)`` for a stream that
        never existed); otherwise raises Conflict.

        More than MAX_BATCH_EVENTS events, and a bookmark over MAX_BOOKMARK_BYTES, raise TooLarge.
        Appended is returned once all of it is as durable as the store makes it.
        """
        ...

    async def read(self, stream: str, after: Cursor | None, limit: int = 500) -> Page:
        """Return at most ``limit`` events that follow ``after``, oldest first, ``after`` excluded.

        None reads from the first event kept. A cursor whose following events are gone, or that
        says nothing about this log, gets a page that is ``truncated`` and begins at the first event
        kept (extent.Extent.place); it never raises for that. A stream that does not exist is empty.
        Expired events are never returned. A page may be shorter than ``limit`` for other reasons
        than the log's end: go by ``at_end``. What it concludes is authoritative (RULES 8).
        """
        ...

    async def describe(self, stream: str) -> Extent:
        """Return the stream's outline, of a stream that does not exist too. Authoritative."""
        ...

    async def delete(self, stream: str) -> bool:
        """Delete the stream's events, keys and bookmark; return whether it existed.

        Its generation is remembered, so that its cursors are recognised as of a lost stream.
        """
        ...


class Wakeup(Protocol):
    """Hints that streams may have moved: late, doubled or missing, never the truth (promise 5)."""

    async def wait(self, cursors: Mapping[str, Cursor], timeout: float) -> frozenset[str]:
        """Wait until the end of one of these streams may differ from its cursor.

        Returns their names, or nothing after ``timeout`` seconds. The position is compared once
        the watch stands, so an append between the caller's last read and this call is not missed
        (RULES 13). Closing and deleting count as movement, and a stream that is closed already as
        having moved: leave out those that are read to their end. A hint may come twice or for
        nothing. What may be lost on its way is looked for within about a minute, once for all
        streams that are waited for; who meets trouble in doing so wakes its callers, so that they
        meet it too.
        """
        ...

    async def rest(self) -> None:
        """Let go of subscriptions and tasks, since the process may be frozen now.

        To be called while nobody waits; who waits later begins anew.
        """
        ...


class Lease(NamedTuple):
    """A lease that was granted; ``token`` is higher than that of every earlier holder."""

    name: str
    holder: str
    token: int


class Leases(Protocol):
    """One holder a name at a time, by the store's clock."""

    async def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take the lease for ``seconds`` if nobody holds it; return None if somebody does.

        Who holds it already under this very ``holder`` gets it again with the same token, for
        ``seconds`` from now, so that a repeated call is safe: name a holder for one attempt, not
        for a person or a process. Costs no write while another's lease runs. A store without a
        clock counts its length from when this process first sees it (RULES 17): ask again.
        """
        ...

    async def renew(self, lease: Lease, seconds: float) -> bool:
        """Hold on for ``seconds`` from now; return False if the lease was lost."""
        ...

    async def release(self, lease: Lease) -> None:
        """Let go. Releasing a lease that was lost does nothing."""
        ...


class Record(NamedTuple):
    """A document: JSON text under a kind and an id. ``version`` grows by one with each write."""

    kind: str
    id: str
    version: int
    value: str
    updated: int
    """When it was last written, in Unix ms."""


class Records(Protocol):
    """Small documents, each written by compare-and-set or without."""

    async def get(self, kind: str, id: str) -> Record | None:
        """Return the document, or None."""
        ...

    async def put(
        self,
        kind: str,
        id: str,
        value: str,
        *,
        expect: int | None = None,
        seconds: float | None = None,
    ) -> Record:
        """Write the document; return it with its new version.

        ``expect`` is the version that must be there now (0: none), otherwise raises Conflict; None
        writes in any case. It vanishes ``seconds`` from now, or stays. Versions start at 1 again
        after a deletion.
        """
        ...

    async def query(
        self, kind: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> list[Record]:
        """Return documents whose id begins with ``prefix`` and sorts after ``after``, by id."""
        ...

    async def delete(self, kind: str, id: str, *, expect: int | None = None) -> bool:
        """Delete the document; return whether it was there. ``expect`` as in put."""
        ...


class Retention(NamedTuple):
    """How much of a stream is kept: the newest ``max_events``, none older than ``max_seconds``."""

    max_seconds: float = 7 * 24 * 3600
    max_events: int = 100_000


class RetentionRules(NamedTuple):
    """Retention by stream pattern; the first that matches counts, else ``otherwise``."""

    rules: tuple[tuple[str, Retention], ...] = ()
    otherwise: Retention = Retention()

    def of(self, stream: str) -> Retention:
        """Return the retention of ``stream``."""
        for pattern, retention in self.rules:
            if matches(pattern, stream):
                return retention
        return self.otherwise


Clock = Callable[[], float]
"""Returns Unix seconds."""


class Store(NamedTuple):
    """The four powers together, as one process uses them.

    ``name`` is the backend's, for health and ``doctor``. ``durable``: what is acknowledged survives
    the process. ``shared``: several processes see the same data. ``prepare`` creates what the
    backend needs and may be called again; ``close`` ends its threads and connections. ``channel``,
    where the backend has one, can tell of another store's streams (combined.combine). ``usage``,
    where requests are billed, returns what this process has asked for since the store was opened:
    by name, commands or requests and capacity units.
    """

    name: str
    log: EventLog
    wakeup: Wakeup
    leases: Leases
    records: Records
    prepare: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
    durable: bool = True
    shared: bool = True
    channel: Channel | None = None
    usage: Callable[[], Mapping[str, float]] | None = None
