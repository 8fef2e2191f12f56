"""Faults on demand: what goes wrong with the next requests.

A rule has a kind:
    drop     the connection is closed without an answer
    delay    the answer takes `seconds` longer
    status   the answer is the HTTP status `status`, with `retry_after` seconds if given
    cut      the connection is closed in the middle of the answer
    hang     no answer ever comes, as from a peer that died without a word
It holds for the next `times` requests (for ever without), each with `probability` drawn under
`seed`, and only for the named `operations` (any without; their names: api.py). `drop`, `delay` and
`hang` happen before the request is carried out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from infra.local import faults

Kind = Literal["drop", "delay", "status", "cut", "hang"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(faults.Rule):
    """One fault. Raises ValueError for one that cannot be."""

    kind: Kind = field(kw_only=False)
    operations: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"no fault is {self.kind}")
        faults.Rule.__post_init__(self)  # super() does not know a class with slots

    def concerns(self, operation: str) -> bool:
        """Return whether it holds for a request of this kind."""
        return not self.operations or operation in self.operations


Faults = faults.Faults[Rule]
