"""A store whose process dies at one of its calls: before it is carried out, or after."""

from collections.abc import Callable
from typing import Any

from lastevent.stores.base import Store

POWERS = ("log", "leases", "records")


class Died(BaseException):
    """The process is gone: nothing may be done about it."""


class Life:
    """Counts calls, and ends at the one after ``calls`` others; all that follow fail too.

    ``carried_out``: the last call still reaches the store, but its answer reaches nobody.
    """

    def __init__(self, calls: int, *, carried_out: bool) -> None:
        self.left = calls
        self.carried_out = carried_out
        self.is_over = False

    async def call(self, method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if self.is_over:
            raise Died
        if self.left == 0:
            self.is_over = True
            if self.carried_out:
                await method(*args, **options)
            raise Died
        self.left -= 1
        return await method(*args, **options)


class _Power:
    def __init__(self, power: object, life: Life) -> None:
        self._power = power
        self._life = life

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._power, name)

        async def call(*args: Any, **options: Any) -> Any:
            return await self._life.call(method, *args, **options)

        return call


def dying(store: Store, life: Life) -> Store:
    """Return ``store`` as a process has it that dies when ``life`` is over."""
    powers: dict[str, Any] = {name: _Power(getattr(store, name), life) for name in POWERS}
    return store._replace(**powers)
