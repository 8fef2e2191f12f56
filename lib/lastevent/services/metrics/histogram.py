"""Latencies in exponential buckets, the same everywhere: histograms of servers add up.

Bucket ``i`` holds what is over 2^(i/4) ms and at most 2^((i+1)/4): each is 19 % wider than the one
before, which is how far a quantile may be off (OpenTelemetry's exponential histogram of scale 2:
https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram).
"""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Self

PER_OCTAVE = 4
LOWEST, HIGHEST = -16, 67
"""From 1/16 ms to 131 s; what is less is counted with the lowest, what is more with the highest."""

type HistogramJson = list[float | list[int]]
"""The sum in ms, then an index and a count for each bucket that is not empty."""


class Histogram:
    """Counts of latencies in ms, and their sum."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.sum = 0.0

    @classmethod
    def parse(cls, value: HistogramJson) -> Self:
        """Read what ``json`` gave."""
        found = cls()
        total, *buckets = value
        assert isinstance(total, int | float)
        found.sum = total
        for bucket in buckets:
            assert isinstance(bucket, list)
            found.counts[bucket[0]] = bucket[1]
        return found

    @property
    def json(self) -> HistogramJson:
        """It as JSON has it."""
        return [
            round(self.sum, 1),
            *([index, count] for index, count in sorted(self.counts.items())),
        ]

    @property
    def count(self) -> int:
        """How many latencies there are."""
        return self.counts.total()

    def observe(self, ms: float, count: int = 1) -> None:
        """Take in ``count`` latencies of ``ms``. Clocks differ: one below zero is none."""
        ms = max(0.0, ms)
        index = LOWEST if ms == 0.0 else math.ceil(math.log2(ms) * PER_OCTAVE) - 1
        self.counts[min(max(index, LOWEST), HIGHEST)] += count
        self.sum += ms * count

    def add(self, other: "Histogram") -> None:
        """Take in another's."""
        self.counts.update(other.counts)
        self.sum += other.sum

    def quantile(self, share: float) -> float | None:
        """Return the latency in ms that ``share`` of all are at most; None if there are none.

        Within a bucket they are taken as spread evenly on its logarithmic scale.
        """
        rank = share * self.count
        if not self.count:
            return None
        for index, count in sorted(self.counts.items()):
            if rank <= count:
                return upper(index - 1) * 2 ** (rank / count / PER_OCTAVE)
            rank -= count
        return upper(max(self.counts))

    def up_to(self) -> Iterator[tuple[float, int]]:
        """Yield the end of each octave in ms and how many are at most that, the last infinite."""
        for end in range(LOWEST + PER_OCTAVE - 1, HIGHEST, PER_OCTAVE):
            yield upper(end), sum(count for index, count in self.counts.items() if index <= end)
        yield math.inf, self.count


def upper(index: int) -> float:
    """Return the most ms that are counted in a bucket."""
    return float(2 ** ((index + 1) / PER_OCTAVE))
