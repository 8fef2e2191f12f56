"""Events: as a publisher hands them in, and as a log gives them back.

A NewEvent is checked when it is made, so that whatever lies in a log can be written to the wire
without another look. An Event is a plain tuple, because a replay makes thousands of them.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from lastevent.core.errors import InvalidEvent

MESSAGE = "message"
"""The type of an event that names none (WHATWG HTML §9.2.6, "dispatch the event", step 5)."""

RESERVED_TYPES = frozenset({"open", "error", "stream", "heartbeat"})
"""Types nobody may publish: a browser fires the first two itself, the others are the leg's own."""

MAX_TYPE_LENGTH = 128
MAX_HEADERS = 16
MAX_HEADER_BYTES = 2048

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_LINE_BREAKERS = ("\0", "\r", "\n")


class Event(NamedTuple):
    """One event of a log.

    ``id`` is the cursor of a reader that has this event, ``time`` is when the store took it in, in
    Unix milliseconds; it never decreases along a stream.
    """

    id: str
    type: str
    data: str
    time: int
    headers: Mapping[str, str] = _NO_HEADERS


class _Said(NamedTuple):
    type: str
    data: str
    headers: Mapping[str, str] = _NO_HEADERS


class NewEvent(_Said):
    """One event to append.

    Raises InvalidEvent for a type that is reserved, over 128 characters, or that holds NUL, CR or
    LF (each would end the field or be misread, WHATWG HTML §9.2.6); for text that is not valid
    Unicode; and for headers that are not a small map of text.
    """

    __slots__ = ()

    def __new__(cls, type: str, data: str, headers: Mapping[str, str] = _NO_HEADERS) -> "NewEvent":
        """Check them; raise InvalidEvent."""
        _check_type(type)
        _check_unicode(data, "data")
        if headers:
            _check_headers(headers)
        return super().__new__(cls, type, data, headers)

    @property
    def size(self) -> int:
        """Bytes of the data in UTF-8: what the limit on an event counts."""
        return len(self.data) if self.data.isascii() else len(self.data.encode())


@lru_cache(1024)
def _check_type(kind: str) -> None:
    if not kind or len(kind) > MAX_TYPE_LENGTH:
        raise InvalidEvent(f"an event's type has 1 to {MAX_TYPE_LENGTH} characters")
    if kind in RESERVED_TYPES:
        raise InvalidEvent(f"the type {kind!r} is reserved; choose another name")
    if any(char in kind for char in _LINE_BREAKERS):
        raise InvalidEvent("an event's type cannot hold NUL, CR or LF")
    _check_unicode(kind, "type")


def _check_unicode(text: str, what: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidEvent(f"an event's {what} holds half a surrogate pair") from error


def _check_headers(headers: Mapping[str, str]) -> None:
    if len(headers) > MAX_HEADERS:
        raise InvalidEvent(f"an event has at most {MAX_HEADERS} headers")
    size = 0
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str) or not name:
            raise InvalidEvent("an event's headers map names to text")
        _check_unicode(name + value, "headers")
        size += len(name.encode()) + len(value.encode())
    if size > MAX_HEADER_BYTES:
        raise InvalidEvent(f"an event's headers have at most {MAX_HEADER_BYTES} bytes together")


def digest(events: Iterable[NewEvent], close: bool) -> bytes:
    """Return what an idempotency key is bound to: a hash of everything the publisher said."""
    said = [[event.type, event.data, sorted(event.headers.items())] for event in events]
    text = json.dumps([said, close], ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
