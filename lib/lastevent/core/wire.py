"""The event stream format, both ways (WHATWG HTML §9.2.5 and §9.2.6).

Encoding makes one frame of bytes of an event. Decoding takes bytes as they arrive, cut anywhere,
and gives back messages.

The format has no CR or LF inside a line: text is sent as one ``data:`` line for each of its lines,
and the reader joins them by LF. CR and CRLF in an event's data therefore arrive as LF; whoever
needs them sends JSON.
"""

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from lastevent.core.cursor import CURSOR_LENGTH
from lastevent.core.errors import TooLarge
from lastevent.core.event import MESSAGE, Event

CONTENT_TYPE = "text/event-stream"

ID_LINE_LENGTH = len("id: ") + CURSOR_LENGTH + len("\n")
"""Bytes before the rest of a log event's frame; see with_id."""

_LINE_END = re.compile(r"\r\n|\r|\n")
_LINE_END_BYTES = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"
_JSON = json.JSONEncoder(separators=(",", ":"))  # json.dumps would make one each time
_LONGEST_RETRY = 10**9  # ms, eleven days; and int() refuses a text of thousands of digits


def encode(event: Event) -> bytes:
    """Return an event of a log as one frame.

    Its parts were checked when it was appended (event.NewEvent), so nothing is checked here.
    """
    data = event.data
    if "\n" in data or "\r" in data:
        data = "\ndata: ".join(_LINE_END.split(data))
    if event.type == MESSAGE:
        return f"id: {event.id}\ndata: {data}\n\n".encode()
    return f"id: {event.id}\nevent: {event.type}\ndata: {data}\n\n".encode()


def with_id(identifier: str, frame: bytes) -> bytes:
    """Return ``frame``, made by encode, under another id."""
    return b"id: %b\n%b" % (identifier.encode(), frame[ID_LINE_LENGTH:])


def encode_control(type: str, fields: Mapping[str, object], identifier: str | None = None) -> bytes:
    """Return one of the leg's own events as a frame, its ``fields`` as JSON."""
    lead = "" if identifier is None else f"id: {identifier}\n"
    return f"{lead}event: {type}\ndata: {_JSON.encode(fields)}\n\n".encode()


def encode_retry(milliseconds: int) -> bytes:
    """Return the line that sets a native client's reconnection time, in ms."""
    return b"retry: %d\n\n" % milliseconds


class Message(NamedTuple):
    """One dispatched message. ``id`` is the last id seen, which may be an earlier message's."""

    id: str
    type: str
    data: str


class Decoder:
    """Bytes in, messages out, by the rules of WHATWG HTML §9.2.6.

    ``last_event_id`` and ``retry`` (ms, None until one came) hold what the stream has set so far;
    blocks without data move ``last_event_id`` and dispatch nothing, as browsers do it. An id holds
    on until the next, also from one response to the next one's decoder (again as browsers do it,
    though the standard begins each response without one).

    ``max_bytes`` limits a line, and the data lines of one message together: a stream without line
    ends, or without blank lines, must not fill memory.
    """

    __slots__ = (
        "_after_cr",
        "_data",
        "_data_bytes",
        "_fragments",
        "_id",
        "_max_bytes",
        "_size",
        "_started",
        "_type",
        "last_event_id",
        "retry",
    )

    def __init__(self, *, max_bytes: int = 4 * 1024 * 1024, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.retry: int | None = None
        self._max_bytes = max_bytes
        self._id = last_event_id
        self._type = ""
        self._data: list[str] = []
        self._data_bytes = 0
        # Pieces of a line whose end has not come: joined once, when it has. Adding to one buffer
        # instead would copy it again for every piece.
        self._fragments: list[bytes] = []
        self._size = 0  # of the data lines held, and of the line that is being read
        self._after_cr = False
        self._started = False

    def feed(self, chunk: bytes) -> list[Message]:
        """Take in ``chunk`` and return the messages that it completes, in order.

        Raises TooLarge for a message over the limit, from then on at every call. The messages
        before it are returned first, since ``last_event_id`` says that the reader has them.
        """
        messages: list[Message] = []
        if self._size <= self._max_bytes:
            self._take(chunk, messages)
        if self._size > self._max_bytes and not messages:
            raise TooLarge(f"a message of the event stream is over {self._max_bytes} bytes")
        return messages

    def _take(self, chunk: bytes, messages: list[Message]) -> None:
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if not chunk:
            return
        self._fragments.append(chunk)
        if b"\n" not in chunk and b"\r" not in chunk:
            self._size += len(chunk)
            return
        *lines, rest = _LINE_END_BYTES.split(b"".join(self._fragments))
        self._fragments = [rest] if rest else []
        self._after_cr = chunk.endswith(b"\r")
        if not self._started:
            self._started = True
            lines[0] = lines[0].removeprefix(_BOM)
        for line in lines:
            self._size = self._data_bytes + len(line)
            if self._size > self._max_bytes:
                return
            if line:
                self._field(line)
            else:
                self._dispatch(messages)
        self._size = self._data_bytes + len(rest)

    def _field(self, line: bytes) -> None:
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._data_bytes += len(line) + 1  # with its end, so that empty lines count
        elif name == "event":
            self._type = value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            digits = value.lstrip("0") or "0"
            self.retry = int(digits) if len(digits) < 10 else _LONGEST_RETRY

    def _dispatch(self, messages: list[Message]) -> None:
        self.last_event_id = self._id
        if self._data:
            messages.append(Message(self._id, self._type or MESSAGE, "\n".join(self._data)))
            self._data = []
            self._data_bytes = 0
        self._type = ""
