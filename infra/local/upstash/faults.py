"""Faults on demand: what goes wrong with the next requests.

A rule has a kind:
    drop     the connection is closed without an answer
    delay    the answer takes `seconds` longer
    status   the answer is the HTTP status `status`, with `retry_after` seconds if given
    hang     no answer ever comes, as from a peer that died without a word
and happens `when` the request has been carried out ("after") or has not been ("before"). It holds
for the next `times` requests (for ever without), each with `probability` drawn under `seed`, and
only for requests with one of `commands` (any command without; a subscription only where SUBSCRIBE
or PSUBSCRIBE is named).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from infra.local import faults

Kind = Literal["drop", "delay", "status", "hang"]
When = Literal["before", "after"]

SUBSCRIBING = frozenset({"SUBSCRIBE", "PSUBSCRIBE"})
_USUALLY: dict[Kind, When] = {
    "drop": "after",
    "delay": "before",
    "status": "before",
    "hang": "before",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(faults.Rule):
    """One fault. Raises ValueError for one that cannot be."""

    kind: Kind = field(kw_only=False)
    when: When | None = None
    commands: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind) or self.when not in (None, *get_args(When)):
            raise ValueError(f"no fault is {self.when} {self.kind}")
        faults.Rule.__post_init__(self)  # super() does not know a class with slots

    @property
    def moment(self) -> When:
        """When it happens; a lost answer is usually one to a request that was carried out."""
        return self.when or _USUALLY[self.kind]

    def concerns(self, names: Collection[str]) -> bool:
        """Return whether it holds for a request with these commands."""
        if self.commands:
            return any(name in self.commands for name in names)
        return not any(name in SUBSCRIBING for name in names)


Faults = faults.Faults[Rule]
