"""What the store says of its commands, and which of them the REST API has."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self, cast

from infra.local.upstash.refusal import MAX_KEY_BYTES, no_permission, not_available, too_large
from infra.local.upstash.resp import Command, Reply

# REST API, "REST - Redis API Compatibility": of the connection's commands only these, no blocking
# ones, no subscription by command (SUBSCRIBE: "not the stateless REST endpoint"), no transaction.
_CONNECTION = frozenset({"PING", "ECHO"})
_PUBLISHING = frozenset({"PUBLISH", "PUBSUB"})
_READING_STREAMS = frozenset({"XREAD", "XREADGROUP"})
_REFUSED_CATEGORIES = frozenset({"@connection", "@blocking", "@pubsub", "@transaction", "@admin"})

# "Some powerful read commands (e.g. SCAN, KEYS) are also restricted with read only token."
_NOT_READ_ONLY = frozenset({"KEYS", "SCAN", "RANDOMKEY"})


type Keys = Literal["WITHOUT_KEYS", "WITH_ONE_KEY", "WITH_ONLY_KEYS"]

_PLACES: dict[Keys, tuple[int, int, int]] = {
    "WITHOUT_KEYS": (0, 0, 0),
    "WITH_ONE_KEY": (1, 1, 1),
    "WITH_ONLY_KEYS": (1, -1, 1),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: its flags, its categories, and which of its arguments are keys."""

    flags: frozenset[str]
    categories: frozenset[str]
    first: int
    last: int
    step: int


class Catalogue:
    """The store's commands by their names, in capitals."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self._entries = entries

    @classmethod
    def of(cls, reply: Reply) -> Self:
        """Read the reply to COMMAND."""
        assert isinstance(reply, list)
        return cls(dict(_entries(reply)))

    def check(self, command: Command, *, read_only: bool) -> None:
        """Refuse a command that the REST API has not, or that a read-only token may not run."""
        name = name_of(command)
        entry = self._entry(command)
        if entry is None or not self._is_available(name, entry, command):
            raise not_available(name)
        if read_only and ("readonly" not in entry.flags or name in _NOT_READ_ONLY):
            raise no_permission(name)
        for key in self.keys(command):
            if len(key) > MAX_KEY_BYTES:
                raise too_large(len(key), MAX_KEY_BYTES, "key")

    def reads(self, command: Command) -> bool:
        """Return whether a replica may serve a command: EVAL_RO may be, EVAL may not."""
        entry = self._entry(command)
        return entry is not None and "readonly" in entry.flags

    def keys(self, command: Command) -> Sequence[bytes]:
        """Return the keys that a command names, as far as their places are fixed."""
        entry = self._entry(command)
        if entry and entry.first > 0:
            last = entry.last if entry.last >= 0 else len(command) + entry.last
            return command[entry.first : last + 1 : entry.step]
        if name_of(command).startswith(("EVAL", "FCALL")) and len(command) > 2:
            return command[3 : 3 + int(command[2])] if command[2].isdigit() else ()
        return ()

    def names(self, keys: Keys) -> list[str]:
        """Return the names of the commands with keys in these places, and nowhere else."""
        return [
            name
            for name, entry in sorted(self._entries.items())
            if (entry.first, entry.last, entry.step) == _PLACES[keys]
            and "movablekeys" not in entry.flags
            and "|" not in name
        ]

    def _entry(self, command: Command) -> Entry | None:
        """Return what is known of a command, or of its subcommand: CONFIG GET, OBJECT FREQ."""
        whole = "|".join(part.decode("latin-1").upper() for part in command[:2])
        return self._entries.get(whole) or self._entries.get(name_of(command))

    def _is_available(self, name: str, entry: Entry, command: Command) -> bool:
        if name in _CONNECTION | _PUBLISHING:
            return True
        if name in _READING_STREAMS:
            options = [part.upper() for part in command]
            streams = options.index(b"STREAMS") if b"STREAMS" in options else len(options)
            return b"BLOCK" not in options[:streams]
        return not entry.categories & _REFUSED_CATEGORIES


def name_of(command: Command) -> str:
    """Return a command's name, in capitals."""
    return command[0].decode("latin-1").upper()


def _entries(reply: Reply) -> Iterator[tuple[str, Entry]]:
    """Read the entries of commands and, by names like CONFIG|GET, of their subcommands."""
    for entry in cast(list[list[Reply]], reply):
        name, _, flags, first, last, step, categories, _, _, subcommands = entry
        places = cast(tuple[int, int, int], (first, last, step))
        yield cast(bytes, name).decode().upper(), Entry(_texts(flags), _texts(categories), *places)
        yield from _entries(subcommands)


def _texts(reply: Reply) -> frozenset[str]:
    return frozenset(part.decode() for part in cast(list[bytes], reply))
