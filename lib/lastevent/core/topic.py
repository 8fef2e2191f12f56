"""Stream names, and the patterns that grant access to them or set their retention.

A name is 1 to 255 of ``A-Za-z0-9:._~-`` and begins with a letter or a digit, so that it needs no
escaping in a URL. A pattern is a name, or a beginning followed by one ``*`` at its end: ``build:*``
matches every name that begins with ``build:``, and ``*`` alone matches all.
"""

import re
from collections.abc import Iterable

from lastevent.core.errors import InvalidName

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._~-]{0,254}")
_BEGINNING = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9:._~-]{0,253})?\*")


def stream_name(text: str) -> str:
    """Return ``text`` if it is a stream name; raise InvalidName otherwise."""
    if not _NAME.fullmatch(text):
        raise InvalidName(
            f"{text[:80]!r} is not a stream name: write 1 to 255 of A-Z a-z 0-9 : . _ ~ - "
            "beginning with a letter or a digit"
        )
    return text


def stream_pattern(text: str) -> str:
    """Return ``text`` if it is a stream pattern; raise InvalidName otherwise."""
    if not _NAME.fullmatch(text) and not _BEGINNING.fullmatch(text):
        raise InvalidName(
            f"{text[:80]!r} is not a stream pattern: write a stream name, or the beginning of one "
            "followed by *"
        )
    return text


def matches(pattern: str, name: str) -> bool:
    """Whether ``pattern`` covers the stream ``name``."""
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == pattern


def matches_any(patterns: Iterable[str], name: str) -> bool:
    """Whether any of ``patterns`` covers the stream ``name``."""
    return any(matches(pattern, name) for pattern in patterns)
