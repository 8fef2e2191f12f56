"""What the subscribers of one run have received, checked while it comes and judged at the end.

All subscribers of a stream must get the same marks in the same order. So the marks are kept once,
by whoever is ahead, and a subscriber costs a comparison of what came with a slice of them. Those
that differ are kept and judged apart.
"""

import asyncio
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from benchmarks.marks import MarkReader, Verdict, judge, published_ns, sequence_of


class Subscriber:
    """One connection: how many marks it has got, and those that were not what others got."""

    __slots__ = ("count", "is_timed", "live", "opening", "reader", "strays")

    def __init__(self, is_timed: bool) -> None:
        self.is_timed = is_timed
        self.reader = MarkReader()
        self.live = asyncio.Event()
        self.opening = b""  # what came before it was live
        self.count = 0
        self.strays: list[bytes] = []


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the publisher's call to the subscriber's read."""

    p50: float
    p99: float
    longest: float


class Audience:
    """The subscribers of one run.

    ``marker`` comes to one when it is live. The latency of deliveries is kept of each ``timed``-th
    one: of all when it is 1, of nobody when it is 0.
    """

    def __init__(self, subscribers: int, marker: str, *, timed: int) -> None:
        self._marker = marker.encode()
        self.subscribers = [
            Subscriber(timed > 0 and number % timed == 0) for number in range(subscribers)
        ]
        self.delivered = 0
        self.last_ns = 0
        self._order: list[bytes] = []
        self._delays: array[int] = array("q")

    def receive(self, subscriber: Subscriber, piece: bytes, now_ns: int) -> None:
        """Take in what came for ``subscriber`` at ``now_ns``."""
        if not subscriber.live.is_set():
            subscriber.opening += piece
            if self._marker in subscriber.opening:
                subscriber.live.set()
        marks = subscriber.reader.feed(piece)
        if not marks:
            return
        self.delivered += len(marks)
        self.last_ns = now_ns
        if subscriber.is_timed:
            self._delays.extend([now_ns - published_ns(mark) for mark in marks])
        if not subscriber.strays:
            begin = subscriber.count
            known = self._order[begin : begin + len(marks)]
            if known == marks:
                subscriber.count += len(marks)
                return
            if known == marks[: len(known)]:
                self._order += marks[len(known) :]
                subscriber.count += len(marks)
                return
        subscriber.strays += marks

    @property
    def first_published_ns(self) -> int:
        """When the first of the events that came was published."""
        return min(map(published_ns, self._order), default=0)

    def verdict(self, order: Sequence[int]) -> Verdict:
        """Compare what everybody got with the log's ``order``."""
        got = [sequence_of(mark) for mark in self._order]
        common: dict[int, Verdict] = {}
        total = Verdict()
        for subscriber in self.subscribers:
            if subscriber.strays:
                strays = [sequence_of(mark) for mark in subscriber.strays]
                total += judge(order, got[: subscriber.count] + strays)
                continue
            if subscriber.count not in common:
                common[subscriber.count] = judge(order, got[: subscriber.count])
            total += common[subscriber.count]
        return total

    @property
    def latency(self) -> Latency:
        """The latency of the deliveries that were timed, zeros if there were none."""
        delays = sorted(self._delays) or [0]
        return Latency(*(delays[ceil(share * len(delays)) - 1] / 1e6 for share in (0.5, 0.99, 1.0)))
