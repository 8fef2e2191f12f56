"""Faults on demand: rules that hold for some of the next requests of a server."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A fault. It holds for the next ``times`` requests that it concerns (for ever without), each
    with ``probability`` drawn under ``seed``. Raises ValueError for one that cannot be."""

    times: int | None = None
    probability: float = 1.0
    seed: int = 0
    seconds: float = 0.0
    status: int = 500
    retry_after: float | None = None

    def __post_init__(self) -> None:
        if not 400 <= self.status <= 599 or not 0 <= self.probability <= 1:
            raise ValueError("a status is 400 to 599, a probability 0 to 1")


class _Active[R: Rule]:
    """A rule in force: its draws, and how often it still holds."""

    def __init__(self, rule: R) -> None:
        self.rule = rule
        self.left = rule.times
        self._random = Random(rule.seed)

    def holds(self) -> bool:
        """Return whether it holds for a request that it concerns, and count it."""
        if self._random.random() >= self.rule.probability:
            return False
        if self.left is not None:
            self.left -= 1
        return True


class Faults[R: Rule]:
    """The rules in force."""

    def __init__(self) -> None:
        self._active: list[_Active[R]] = []

    def add(self, rule: R) -> None:
        """Put a rule in force."""
        self._active.append(_Active(rule))

    def clear(self) -> None:
        """Lift all rules."""
        self._active.clear()

    def take(self, concerned: Callable[[R], bool]) -> list[R]:
        """Return what happens to a request, of the rules that it is ``concerned`` by."""
        held = [it.rule for it in self._active if concerned(it.rule) and it.holds()]
        self._active = [it for it in self._active if it.left != 0]
        return held
