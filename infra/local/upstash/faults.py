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

from collections.abc import Collection
from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

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
class Rule:
    """One fault. Raises ValueError for one that cannot be."""

    kind: Kind
    when: When | None = None
    times: int | None = None
    probability: float = 1.0
    seed: int = 0
    commands: tuple[str, ...] = ()
    seconds: float = 0.0
    status: int = 500
    retry_after: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind) or self.when not in (None, *get_args(When)):
            raise ValueError(f"no fault is {self.when} {self.kind}")
        if not 400 <= self.status <= 599 or not 0 <= self.probability <= 1:
            raise ValueError("a status is 400 to 599, a probability 0 to 1")

    @property
    def moment(self) -> When:
        """When it happens; a lost answer is usually one to a request that was carried out."""
        return self.when or _USUALLY[self.kind]

    def concerns(self, names: Collection[str]) -> bool:
        """Return whether it holds for a request with these commands."""
        if self.commands:
            return any(name in self.commands for name in names)
        return not any(name in SUBSCRIBING for name in names)


class _Active:
    """A rule in force: its draws, and how often it still holds."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.left = rule.times
        self._random = Random(rule.seed)

    def holds(self, names: Collection[str]) -> bool:
        """Return whether it holds for a request with these commands, and count it."""
        if not self.rule.concerns(names) or self._random.random() >= self.rule.probability:
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

    def take(self, names: Collection[str]) -> list[Rule]:
        """Return what happens to a request with these commands."""
        held = [active.rule for active in self._active if active.holds(names)]
        self._active = [active for active in self._active if active.left != 0]
        return held
