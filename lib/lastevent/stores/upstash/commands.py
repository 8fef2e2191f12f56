"""Commands to a Redis, whatever carries them: Upstash's REST API (rest) or a connection (tcp).

Everything that the log, the leases and the records do is one script a call: one command, atomic,
and safe to send again when its answer was lost, since each write recognises itself (scripts).
"""

import hashlib
from collections.abc import Mapping, Sequence
from time import time
from typing import Protocol

from lastevent.core.errors import StoreUnavailable, TooLarge, Transient
from lastevent.stores.base import Clock

type Word = str | int
type Reply = str | int | list[Reply] | None


class NoScript(Exception):
    """The server does not have the script of this digest (yet, or any more)."""


class Commands(Protocol):
    """Sends commands and gives up within seconds. Works in any event loop, one at a time."""

    @property
    def key_locking(self) -> bool:
        """Whether scripts may carry Upstash's own flag ``allow-key-locking``."""
        ...

    @property
    def usage(self) -> Mapping[str, int]:
        """How often each command was sent, by its name: what is billed."""
        ...

    async def call(self, *words: Word) -> Reply:
        """Send one command, more than once if need be; return its reply.

        Raises Transient, TooLarge, and NoScript for a digest that is not known.
        """
        ...

    async def close(self) -> None:
        """End the connections."""
        ...


class Script:
    """A Lua script. Its keys must all be among KEYS, and it may be run twice.

    By that Upstash locks these keys only while it runs, where the script says that it may:
    https://upstash.com/docs/redis/features/key-locking
    """

    def __init__(self, *parts: str) -> None:
        self._body = "\n".join(part.strip("\n") for part in parts) + "\n"
        self._texts: dict[tuple[str, ...], tuple[str, str]] = {}

    async def run(
        self,
        commands: Commands,
        keys: Sequence[str],
        arguments: Sequence[Word],
        *,
        replica: bool = False,
    ) -> Reply:
        """Run it where writes are made; with ``replica``, where reads are served.

        Only the former has the last word on what is in the database: a replica may lag (RULES 8).
        """
        flags = ["no-writes"] * replica + ["allow-key-locking"] * commands.key_locking
        text, digest = self._text(*flags)
        suffix = "_RO" if replica else ""
        words = (len(keys), *keys, *arguments)
        try:
            return await commands.call(f"EVALSHA{suffix}", digest, *words)
        except NoScript:
            return await commands.call(f"EVAL{suffix}", text, *words)

    def _text(self, *flags: str) -> tuple[str, str]:
        if flags not in self._texts:
            text = (f"#!lua flags={','.join(flags)}\n" if flags else "") + self._body
            digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
            self._texts[flags] = text, digest
        return self._texts[flags]


def instant(clock: Clock) -> str:
    """Return what a script takes as the time, in Unix ms: nothing for the database's own.

    The processes of a function run on many machines; the database is one (RULES 17). Another clock
    than the machine's is somebody's who wants to set the time.
    """
    return "" if clock is time else str(int(clock() * 1000))


def milliseconds(seconds: float) -> int:
    """Return a duration as scripts take it."""
    return int(seconds * 1000)


_PASSING = frozenset({"BUSY", "LOADING", "MASTERDOWN", "READONLY", "TRYAGAIN", "UNBLOCKED"})

_SENTENCES = {
    "NOPERM": "the database's token or user may not run scripts: a read-only one cannot write",
    "NOAUTH": "the database wants a password that was not given",
    "WRONGPASS": "the database refused the token or password: check that it is this database's",
    "OOM": "the database is full",
    "MISCONF": "the database cannot write to its disk",
}
_QUOTAS = {
    # https://upstash.com/docs/redis/troubleshooting
    "max single record size": "a stream or a kind of documents has outgrown what the database "
    "keeps under one key: keep fewer events, or raise the database's limit",
    "capacity quota": "the database is full: its quota of data is used up",
    "request limit": "the database's quota of commands is used up",
    "requests limit": "the database's quota of commands is used up",
}


def refusal(text: str) -> Exception:
    """Return the error for an error reply. The reply's own text is not shown to anybody."""
    code = text.partition(" ")[0]
    if code.upper() == "NOSCRIPT":
        return NoScript()
    for part, sentence in _QUOTAS.items():
        if part in text:
            return StoreUnavailable(sentence)
    if "size exceeded" in text:
        return TooLarge("this is more than the database takes in one request")
    if code in _PASSING:
        return Transient("the database is busy or changes hands")
    return StoreUnavailable(_SENTENCES.get(code, f"the database refused a command ({code[:40]})"))
