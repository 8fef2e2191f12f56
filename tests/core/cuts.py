"""How tests cut a byte stream before they feed it to a decoder."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from lastevent.core.wire import Decoder, Message


def decode(pieces: Iterable[bytes], decoder: Decoder | None = None) -> list[Message]:
    """Return all messages of ``pieces``, fed one after the other."""
    decoder = decoder or Decoder()
    return [message for piece in pieces for message in decoder.feed(piece)]


def bytewise(raw: bytes) -> list[bytes]:
    """Return ``raw`` one byte at a time."""
    return [raw[index : index + 1] for index in range(len(raw))]


def at(raw: bytes, places: Iterable[int]) -> list[bytes]:
    """Return ``raw`` cut at ``places``; pieces may be empty."""
    bounds = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[begin:end] for begin, end in pairwise(bounds)]


def every_way(raw: bytes) -> Iterator[list[bytes]]:
    """Yield ``raw`` whole, byte by byte, byte by byte with empty pieces, and in every two parts."""
    yield [raw]
    yield bytewise(raw)
    yield [part for byte in bytewise(raw) for part in (b"", byte)]
    for place in range(1, len(raw)):
        yield [raw[:place], raw[place:]]
