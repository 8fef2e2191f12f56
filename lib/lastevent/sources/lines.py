"""From bytes of output to lines of text.

A line ends with ``\\n`` or ``\\r\\n``. A lone ``\\r`` stays in the text: progress lines are made of
it, and it is the reader's to interpret. Bytes are UTF-8; what is not becomes U+FFFD.

A line is handed out whole, with two exceptions that are one mechanism: a line over the limit comes
in pieces, and text that waits for the end of its line (a prompt, a progress line) can be had before
it. All pieces of a line but the last are ``open``: the next piece continues the line.
"""

import codecs
from typing import NamedTuple

LONGEST_CHARACTER = 4
"""Bytes of one character in UTF-8 at most."""


class Piece(NamedTuple):
    """A line, or a part of one: ``open`` if the next piece continues it."""

    text: str
    open: bool


class LineSplitter:
    """Splits one channel's output; pieces have at most ``max_bytes`` of UTF-8 each."""

    def __init__(self, max_bytes: int) -> None:
        if max_bytes < LONGEST_CHARACTER:
            raise ValueError(f"a piece of a line needs at least {LONGEST_CHARACTER} bytes")
        self._max_bytes = max_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""  # at most max_bytes, and what feed adds to it
        self._open = False

    @property
    def has_rest(self) -> bool:
        """Whether flush would give anything."""
        return self._rest not in ("", "\r")

    def feed(self, data: bytes) -> list[Piece]:
        """Return the lines that ``data`` brings to an end, and what is too long to wait for one."""
        *lines, rest = (self._rest + self._decoder.decode(data)).split("\n")
        pieces: list[Piece] = []
        for line in lines:
            pieces += self._line(line.removesuffix("\r"))
        *full, self._rest = self._cut(rest)
        return pieces + self._opened(full)

    def flush(self) -> list[Piece]:
        """Return the text that waits for the end of its line.

        A carriage return at its end waits on: it may turn out to be a part of that end.
        """
        text = self._rest.removesuffix("\r")
        self._rest = self._rest[len(text) :]
        return self._opened([text] if text else [])

    def end(self) -> list[Piece]:
        """Return the rest when no more output will come; no line stays open."""
        text = self._rest + self._decoder.decode(b"", final=True)
        self._rest = ""
        return self._line(text) if text or self._open else []

    def _line(self, text: str) -> list[Piece]:
        *full, last = self._cut(text)
        self._open = False
        return [*(Piece(part, True) for part in full), Piece(last, False)]

    def _opened(self, texts: list[str]) -> list[Piece]:
        self._open = self._open or bool(texts)
        return [Piece(text, True) for text in texts]

    def _cut(self, text: str) -> list[str]:
        """Return parts of at most max_bytes each, the last not empty unless it is alone."""
        most = self._max_bytes
        if len(text) * LONGEST_CHARACTER <= most or (len(text) <= most and text.isascii()):
            return [text]
        data = text.encode()
        parts: list[str] = []
        begin = 0
        while len(data) - begin > most:
            end = begin + most
            while data[end] & 0xC0 == 0x80:  # within a character (RFC 3629 §3)
                end -= 1
            parts.append(data[begin:end].decode())
            begin = end
        return [*parts, data[begin:].decode()]
