"""The mark that every measured event carries, and the verdict on what a subscriber received.

An event's data begins with ``~SEQUENCE:NANOSECONDS~``: the publisher's own number, and its
monotonic clock when it began to publish. A subscriber finds marks by splitting at the tilde, which
occurs nowhere else in these streams. That costs a fraction of what decoding would, and counts an
event only when its mark has come whole.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

DATA_BYTES = 200


def data(sequence: int, now_ns: int) -> str:
    """Return an event's data: its mark, filled up to DATA_BYTES."""
    return f"~{sequence}:{now_ns}~".ljust(DATA_BYTES, "x")


def sequence_of(mark: bytes) -> int:
    """Return the publisher's number in a mark."""
    return int(mark.partition(b":")[0])


def published_ns(mark: bytes) -> int:
    """Return when the marked event was published, on the machine's monotonic clock."""
    return int(mark.partition(b":")[2])


class MarkReader:
    """Finds the marks in one connection's bytes, cut anywhere."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the marks that ``piece`` completes, in order."""
        parts = (self._rest + piece if self._rest else piece).split(b"~")
        # An even number of parts: the last one begins a mark that is not over.
        self._rest = b"" if len(parts) % 2 else b"~" + parts.pop()
        return parts[1::2]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What went wrong between a publisher and its subscribers, in deliveries. Zeros are right."""

    lost: int = 0
    repeated: int = 0
    disordered: int = 0

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(
            self.lost + other.lost,
            self.repeated + other.repeated,
            self.disordered + other.disordered,
        )

    @property
    def is_right(self) -> bool:
        """Whether everything came once and in order."""
        return self == Verdict()


def judge(order: Sequence[int], got: Iterable[int]) -> Verdict:
    """Compare what one subscriber ``got`` with the log's ``order``, which names each event once.

    An event that nobody published counts as repeated: it is one too many. One counts as disordered
    if its first arrival comes after that of an event that follows it in the log.
    """
    places = {sequence: place for place, sequence in enumerate(order)}
    seen: set[int] = set()
    repeated = disordered = 0
    furthest = -1
    for sequence in got:
        place = places.get(sequence)
        if place is None or sequence in seen:
            repeated += 1
            continue
        seen.add(sequence)
        disordered += place < furthest
        furthest = max(furthest, place)
    return Verdict(len(places) - len(seen), repeated, disordered)
