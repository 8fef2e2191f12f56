"""Which events of a log have been told already. No IO.

The API is asked for what came since a time, inclusive, that lies some seconds before the newest
event told: lines become visible late, and several share a millisecond. What has been told since
then is remembered by its id, so that it is told once. Beyond the window nothing is told any more.
"""

import base64
import hashlib
from collections.abc import Iterable

from lastevent.sources.vercel.events import LogEvent

OVERLAP_MS = 30_000
MOST_IDS = 2000
"""Of a log that is faster than that, the window is shorter; a millisecond is never split."""

MOST_IDS_A_MS = 4000
"""Where more than that share the newest millisecond, the window begins after it."""

_KEY = 8


class Window:
    """``since``: the time to ask from, in Unix ms, inclusive; 0 is the beginning."""

    def __init__(self, since: int = 0) -> None:
        self.since = since
        self._told: dict[str, int] = {}

    @classmethod
    def parse(cls, since: int, told: str) -> "Window":
        """Read what ``since`` and ``told`` gave."""
        window = cls(since)
        for group in told.split():
            offset, _, keys = group.partition(":")
            for start in range(0, len(keys), _KEY):
                window._told[keys[start : start + _KEY]] = since + int(offset)
        return window

    @property
    def told(self) -> str:
        """The ids of the window: by the time of each after ``since``, 8 characters an id."""
        groups: dict[int, list[str]] = {}
        for key, date in self._told.items():
            groups.setdefault(date - self.since, []).append(key)
        return " ".join(f"{offset}:{''.join(keys)}" for offset, keys in sorted(groups.items()))

    def fresh(self, events: Iterable[LogEvent]) -> list[LogEvent]:
        """Return those that have not been told."""
        return [it for it in events if it.date >= self.since and _key(it) not in self._told]

    def tell(self, events: Iterable[LogEvent], before: LogEvent | None = None) -> None:
        """Remember these, and forget what is too old to matter.

        ``before``: an event that is still to be told, so that nothing since may be forgotten.
        """
        for event in events:
            self._told[_key(event)] = event.date
        if self._told:
            since = self._beginning()
            if before is not None:
                since = min(since, before.date)
            self.since = max(self.since, since)
            self._told = {key: date for key, date in self._told.items() if date >= self.since}

    def _beginning(self) -> int:
        dates = sorted(self._told.values(), reverse=True)
        since = dates[0] - OVERLAP_MS
        if len(dates) > MOST_IDS:
            since = max(since, min(dates[MOST_IDS] + 1, dates[0]))
        if len(dates) > MOST_IDS_A_MS and dates[MOST_IDS_A_MS] == dates[0]:
            since = dates[0] + 1
        return since


def _key(event: LogEvent) -> str:
    """Return 48 bits of an id: two of a window of thousands are the same once in 10^8 windows."""
    hash = hashlib.blake2b(event.id.encode(errors="replace"), digest_size=6).digest()
    return base64.urlsafe_b64encode(hash).decode()
