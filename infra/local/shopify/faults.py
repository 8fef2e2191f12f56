"""What goes wrong on demand.

A rule is one of these kinds:
    drop       the connection is closed without an answer, and nothing was done
    lost       it is done, and the connection is closed without an answer
    late       the connection is closed without an answer, and it is done `seconds` later; until
               then its idempotency key is under way
    delay      the answer waits for `seconds`; nothing is done before
    status     the answer is `status`, with `retry_after` as Retry-After
    throttled  the bucket is said to be empty, in the vendor's form
    internal   the vendor's own internal error, with status 200
    hang       no answer ever comes
It holds for the next `times` calls (for ever without), each with `probability` drawn under `seed`,
and only for calls of the named `fields` (any without), such as `productSet`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from infra.local import faults

Kind = Literal["drop", "lost", "late", "delay", "status", "throttled", "internal", "hang"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(faults.Rule):
    """One fault. Raises ValueError for one that cannot be."""

    kind: Kind = field(kw_only=False)
    fields: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"no fault is {self.kind}")
        faults.Rule.__post_init__(self)  # super() does not know a class with slots

    def concerns(self, asked: Sequence[str]) -> bool:
        """Return whether it holds for a call of these fields."""
        return not self.fields or not set(asked).isdisjoint(self.fields)


Faults = faults.Faults[Rule]
