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
    data = json.dumps(fields, separators=(",", ":"))
    return f"{lead}event: {type}\ndata: {data}\n\n".encode()


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
    blocks without data move ``last_event_id`` and dispatch nothing, as browsers do it. A message
    that grows over ``max_bytes`` raises TooLarge: a stream without line ends must not fill memory.
    """

    __slots__ = (
        "_after_cr",
        "_data",
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
        # Pieces of a line whose end has not come: joined once, when it has. Adding to one buffer
        # instead would copy it again for every piece.
        self._fragments: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._started = False

    def feed(self, chunk: bytes) -> list[Message]:
        """Take in ``chunk`` and return the messages that it completes, in order."""
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk.startswith(b"\n"):
                chunk = chunk[1:]
        if not chunk:
            return []
        self._size += len(chunk)
        if b"\n" not in chunk and b"\r" not in chunk:
            self._fragments.append(chunk)
            self._check_size()
            return []
        self._fragments.append(chunk)
        *lines, rest = _LINE_END_BYTES.split(b"".join(self._fragments))
        self._fragments = [rest] if rest else []
        self._after_cr = chunk.endswith(b"\r")
        if not self._started:
            self._started = True
            lines[0] = lines[0].removeprefix(_BOM)
        messages: list[Message] = []
        for line in lines:
            if line:
                self._field(line)
            else:
                self._dispatch(messages)
        self._size = len(rest) + sum(map(len, self._data))
        self._check_size()
        return messages

    def _check_size(self) -> None:
        if self._size > self._max_bytes:
            raise TooLarge(f"a message of the event stream is over {self._max_bytes} bytes")

    def _field(self, line: bytes) -> None:
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value) if len(value) < 10 else _LONGEST_RETRY

    def _dispatch(self, messages: list[Message]) -> None:
        self.last_event_id = self._id
        if self._data:
            messages.append(Message(self._id, self._type or MESSAGE, "\n".join(self._data)))
            self._data = []
        self._type = ""
