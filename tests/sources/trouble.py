"""Stores that are away when a test says so."""

from dataclasses import dataclass
from typing import Any

from lastevent.core.errors import StoreUnavailable
from lastevent.stores.base import Store


@dataclass
class Trouble:
    """``before`` calls fail before they do anything, then ``after`` calls once they have done it.

    ``only`` names the method that has trouble, None: all have.
    """

    before: float = 0
    after: float = 0
    only: str | None = None
    met: int = 0

    def over(self, store: Store) -> Store:
        """Return ``store`` with this trouble."""

        def troubled(part: object) -> Any:
            return _Troubled(part, self)

        return store._replace(
            log=troubled(store.log),
            leases=troubled(store.leases),
            records=troubled(store.records),
        )


class _Troubled:
    def __init__(self, part: Any, trouble: Trouble) -> None:
        self._part = part
        self._trouble = trouble

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._part, name)
        trouble = self._trouble

        async def call(*args: Any, **options: Any) -> Any:
            if trouble.only not in (None, name):
                return await method(*args, **options)
            if trouble.before > 0:
                trouble.before -= 1
                trouble.met += 1
                raise StoreUnavailable("the store is away")
            result = await method(*args, **options)
            if trouble.after > 0:
                trouble.after -= 1
                trouble.met += 1
                raise StoreUnavailable("the answer was lost")
            return result

        return call
