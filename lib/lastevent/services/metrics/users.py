"""How many different users there were, without a list of them: the smallest of their hashes.

As long as there are few, each is counted; of many, the place of the LIMIT-th smallest hash says how
densely they lie (Bar-Yossef and others, "Counting distinct elements in a data stream", 2002), to
about 6 %. What two servers kept is merged by keeping the smallest of both.
"""

import hashlib
from collections.abc import Iterable

LIMIT = 256
_BYTES = 4
_SPACE = 256**_BYTES


class Users:
    """The smallest hashes of users' names."""

    __slots__ = ("hashes",)

    def __init__(self, hashes: Iterable[int] = ()) -> None:
        self.hashes = set(hashes)

    def add(self, name: str) -> None:
        """Take in a user."""
        self.hashes.add(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=_BYTES).digest()))
        if len(self.hashes) > LIMIT:
            self.hashes.discard(max(self.hashes))

    def merge(self, other: "Users") -> None:
        """Take in those of another; who is in both is one."""
        self.hashes = set(sorted(self.hashes | other.hashes)[:LIMIT])

    @property
    def count(self) -> int:
        """How many they are: exact below LIMIT."""
        if len(self.hashes) < LIMIT:
            return len(self.hashes)
        return int((LIMIT - 1) * _SPACE / max(self.hashes))
