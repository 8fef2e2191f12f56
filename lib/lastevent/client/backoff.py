"""How long to stay away after a failure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double from ``first`` to ``longest`` seconds, each drawn from zero on.

    The full range is drawn from, so that clients that were cut together do not return together.
    """

    first: float = 1.0
    longest: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.longest:
            raise ValueError("a back-off needs 0 < first <= longest, in seconds")

    def pause(self, failures: int, chance: float) -> float:
        """Return the seconds to wait after ``failures`` in a row; ``chance`` is in [0, 1)."""
        doublings = min(max(failures, 1) - 1, 32)
        return chance * min(self.longest, self.first * 2.0**doublings)
