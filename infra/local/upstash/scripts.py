"""Upstash's own script flag, `allow-key-locking`, for a store that does not know it.

Key-Based Locking: with the flag, "every key passed to redis.call must appear in KEYS", and nothing
that works on the whole database may be called. The flag is taken out of the script that the store
gets, and a check of every call is put in, on the line of the first statement: Lua's errors name the
lines that the client wrote. The client's script keeps the digest that the client computes.
"""

import hashlib
import re
from pathlib import Path
from typing import get_args

from infra.local.upstash.catalogue import Catalogue, Keys, name_of
from infra.local.upstash.resp import Command, Reply

FLAG = "allow-key-locking"
CHECK = Path(__file__).with_name("declared_keys.lua")
_SHEBANG = re.compile(rb"#!lua\s+flags=([^\n]*)\n?", re.IGNORECASE)


class Scripts:
    """The scripts that were changed on their way to the store, by the clients' digests."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._digests: dict[bytes, bytes] = {}
        check = CHECK.read_text()
        for kind in get_args(Keys.__value__):
            check = check.replace(kind, f" {' '.join(catalogue.names(kind))} ")
        # In one line.
        self._check = " ".join(check.split()).encode() + b" "

    def translate(self, command: Command) -> Command:
        """Return a command as the store gets it."""
        name = name_of(command)
        if len(command) < 2:
            return command
        if name in ("EVAL", "EVAL_RO"):
            return [command[0], self._keep(command[1]), *command[2:]]
        if name in ("EVALSHA", "EVALSHA_RO"):
            return [command[0], self._digest(command[1]), *command[2:]]
        if _is_load(command) and len(command) == 3:
            return [*command[:2], self._keep(command[2])]
        if name == "SCRIPT" and command[1].upper() == b"EXISTS":
            return [*command[:2], *map(self._digest, command[2:])]
        return command

    def answer(self, command: Command, reply: Reply) -> Reply:
        """Return the reply to a translated command as the client gets it."""
        return _sha(command[2]) if _is_load(command) and isinstance(reply, bytes) else reply

    def _digest(self, digest: bytes) -> bytes:
        return self._digests.get(digest.lower(), digest)

    def _keep(self, text: bytes) -> bytes:
        changed = self._changed(text)
        if changed != text:
            self._digests[_sha(text)] = _sha(changed)
        return changed

    def _changed(self, text: bytes) -> bytes:
        found = _SHEBANG.match(text)
        flags = [flag.strip() for flag in found[1].decode().split(",")] if found else []
        if not found or FLAG not in flags:
            return text
        flags.remove(FLAG)
        first = f"#!lua flags={','.join(flags)}\n" if flags else "#!lua\n"
        return first.encode() + self._check + text[found.end() :]


def _is_load(command: Command) -> bool:
    return name_of(command) == "SCRIPT" and command[1].upper() == b"LOAD"


def _sha(text: bytes) -> bytes:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
