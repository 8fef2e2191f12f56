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

from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

Kind = Literal["drop", "delay", "status", "cut", "hang"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One fault. Raises ValueError for one that cannot be."""

    kind: Kind
    times: int | None = None
    probability: float = 1.0
    seed: int = 0
    operations: tuple[str, ...] = ()
    seconds: float = 0.0
    status: int = 500
    retry_after: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"no fault is {self.kind}")
        if not 400 <= self.status <= 599 or not 0 <= self.probability <= 1:
            raise ValueError("a status is 400 to 599, a probability 0 to 1")


class _Active:
    """A rule in force: its draws, and how often it still holds."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.left = rule.times
        self._random = Random(rule.seed)

    def holds(self, operation: str) -> bool:
        """Return whether it holds for a request, and count it."""
        rule = self.rule
        if rule.operations and operation not in rule.operations:
            return False
        if self.left == 0 or self._random.random() >= rule.probability:
            return False
        if self.left is not None:
            self.left -= 1
        return True


class Faults:
    """The rules in force."""

    def __init__(self) -> None:
        self._active: list[_Active] = []

    def add(self, rule: Rule) -> None:
        """Put a rule in force."""
        self._active.append(_Active(rule))

    def clear(self) -> None:
        """Lift all rules."""
        self._active.clear()

    def take(self, operation: str) -> list[Rule]:
        """Return what happens to a request."""
        return [active.rule for active in self._active if active.holds(operation)]
