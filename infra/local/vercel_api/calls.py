"""How often the API was called, and by how many at once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Calls:
    """Counts by operation and, where a call names one, by deployment as it was named."""

    def __init__(self) -> None:
        self._now: Counter[tuple[str, str | None]] = Counter()
        self.forget()

    def forget(self) -> None:
        """Begin again; what is under way counts as at once."""
        self._counts: Counter[tuple[str, str | None]] = Counter()
        self._most: Counter[tuple[str, str | None]] = +self._now

    @contextmanager
    def under_way(self, operation: str, deployment: str | None) -> Iterator[None]:
        """Count a call, for as long as it is answered."""
        for key in {(operation, deployment), (operation, None)}:
            self._counts[key] += 1
            self._now[key] += 1
            self._most[key] = max(self._most[key], self._now[key])
        try:
            yield
        finally:
            for key in {(operation, deployment), (operation, None)}:
                self._now[key] -= 1

    def report(self, deployment: str | None) -> dict[str, dict[str, int]]:
        """Return the counts by operation, of all calls or of those for one deployment."""
        return {
            "counts": {name: n for (name, of), n in self._counts.items() if of == deployment},
            "most_at_once": {name: n for (name, of), n in self._most.items() if of == deployment},
        }
