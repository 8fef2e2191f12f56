"""An event loop whose time passes at once when nothing else happens: an hour is tested in moments,
and exactly.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from functools import wraps


class _Selector(selectors.SelectSelector):
    """What the loop would have waited for has come at once, and the time has passed."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everything waits, and nothing for a time"
        self.passed += max(0.0, timeout)
        return super().select(0)


class TimelessLoop(asyncio.SelectorEventLoop):
    """Its time begins at 1000 seconds. ``skip`` is what a frozen process sees."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return 1000.0 + self._clock.passed

    def skip(self, seconds: float) -> None:
        """Let time pass in which nothing runs."""
        self._clock.passed += seconds


def timeless[**P](test: Callable[P, Coroutine[object, object, None]]) -> Callable[P, None]:
    """Run a test in such a loop."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=TimelessLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
