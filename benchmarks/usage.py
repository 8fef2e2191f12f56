"""What a process has asked of its store, in what the vendors bill."""

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Usage:
    """Commands of Redis, requests to DynamoDB, and its capacity units."""

    commands: float = 0.0
    requests: float = 0.0
    read_units: float = 0.0
    write_units: float = 0.0

    @classmethod
    def parse(cls, counted: Mapping[str, float]) -> "Usage":
        """Read base.Store.usage: Redis names its commands in capitals, DynamoDB none."""
        names = [name for name in counted if not name.endswith("_units")]
        return cls(
            sum(counted[name] for name in names if name.isupper()),
            sum(counted[name] for name in names if not name.isupper()),
            counted.get("read_units", 0.0),
            counted.get("write_units", 0.0),
        )

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(mine + theirs for mine, theirs in zip(self._all, other._all, strict=True)))

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(*(mine - theirs for mine, theirs in zip(self._all, other._all, strict=True)))

    def __truediv__(self, divisor: float) -> "Usage":
        return Usage(*(value / divisor for value in self._all))

    def __mul__(self, factor: float) -> "Usage":
        return Usage(*(value * factor for value in self._all))

    @property
    def positive(self) -> "Usage":
        """What is left of a difference that is nothing but noise where it is below zero."""
        return Usage(*(max(0.0, value) for value in self._all))

    def figures(self, key: str) -> dict[str, float]:
        """Return the counts as a case's figures, each under ``key`` and its own name."""
        return {f"{key}_{part.name}": getattr(self, part.name) for part in fields(self)}

    @property
    def _all(self) -> tuple[float, ...]:
        return self.commands, self.requests, self.read_units, self.write_units
