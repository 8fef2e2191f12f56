"""What was counted in a time, by one server or by several.

A count's name says what was counted:

    opened, resumed     legs, and those of clients that had been here before
    ended.REASON        legs by why they ended (core.bounds.Reason); ``left``: the client went
    connected           ms that connections were open, all of them together
    published, delivered    events appended, and events sent to readers
    polls               answers of the JSON face
    commands            what the store was asked for; absent where it does not count
    TRANSPORT.legs, .plannedEnds, .cuts, .polls    as pages counted, by the transport they used
    TRANSPORT.userMinutes   users of each minute, added up
    minutes             of which something was told; absent from a bucket that is one itself

``latencies`` are ``delivery`` (from a store's acknowledgement to the readers' connections) and one
for each transport (from there to the page, as pages measured).
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from lastevent.core.bounds import Reason
from lastevent.services.metrics.histogram import Histogram
from lastevent.services.metrics.users import Users

TRANSPORTS = ("stream", "polling")
PAGE_COUNTS = ("legs", "plannedEnds", "cuts", "polls")
DELIVERY = "delivery"
LEFT = "left"
PLANNED = tuple(reason.name.lower() for reason in Reason if reason.state == "rotate")
"""The ends after which a client was asked to come back."""

ENDS = (*(reason.name.lower() for reason in Reason), LEFT)


@dataclass(slots=True)
class Bucket:
    """``servers``: the processes whose counts are in it."""

    counts: Counter[str] = field(default_factory=Counter)
    latencies: dict[str, Histogram] = field(default_factory=dict)
    users: dict[str, Users] = field(default_factory=dict)
    servers: set[str] = field(default_factory=set)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``text`` gave."""
        counts, latencies, users, servers = json.loads(text)
        return cls(
            Counter(counts),
            {name: Histogram.parse(value) for name, value in latencies.items()},
            {name: Users(hashes) for name, hashes in users.items()},
            set(servers),
        )

    @property
    def text(self) -> str:
        """A record's value."""
        whole = (
            {name: count for name, count in self.counts.items() if count or name == "commands"},
            {name: it.json for name, it in self.latencies.items() if it.count},
            {name: sorted(it.hashes) for name, it in self.users.items() if it.hashes},
            sorted(self.servers),
        )
        return json.dumps(whole, separators=(",", ":"))

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened that is worth telling."""
        return not any(count for name, count in self.counts.items() if name != "commands")

    def latency(self, name: str) -> Histogram:
        """Return the latencies of a name, to be read and to be added to."""
        return self.latencies.setdefault(name, Histogram())

    def user(self, transport: str) -> Users:
        """Return the users of a transport, to be read and to be added to."""
        return self.users.setdefault(transport, Users())

    def join(self, other: "Bucket") -> None:
        """Take in what was counted elsewhere in the same minute."""
        self.counts.update(other.counts)
        for name, latencies in other.latencies.items():
            self.latency(name).add(latencies)
        for name, users in other.users.items():
            self.user(name).merge(users)
        self.servers |= other.servers

    def follow(self, minute: "Bucket") -> None:
        """Take in another time's: who came in both is one user, but a user of two minutes."""
        self.join(minute)
        if "minutes" not in minute.counts:
            self.counts["minutes"] += 1
        for transport, users in minute.users.items():
            if f"{transport}.userMinutes" not in minute.counts:
                self.counts[f"{transport}.userMinutes"] += users.count

    def planned(self) -> int:
        """How many legs ended as planned."""
        return sum(self.counts[f"ended.{name}"] for name in PLANNED)

    def reconnects(self) -> int:
        """How many clients came back that nobody sent away (serve.reconnects says why so)."""
        return max(0, self.counts["resumed"] - self.planned())
