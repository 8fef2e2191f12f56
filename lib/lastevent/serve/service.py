"""What the requests of one process share, for one event loop."""

import asyncio
import logging
from collections.abc import Callable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, TypeVar, cast

from lastevent.core.bounds import Reason
from lastevent.serve.auth import Authenticator
from lastevent.serve.response import LegResponse
from lastevent.serve.settings import Settings
from lastevent.serve.tail import Tails
from lastevent.serve.tally import CountedLog, Tally
from lastevent.serve.tasks import Tasks
from lastevent.stores.base import Store

T = TypeVar("T")
log = logging.getLogger("lastevent")


class Service:
    """The settings, the store, the tails, the open legs, the tasks, and the parts that uses add.
    What passes is counted in ``tally``.

    ``tasks`` are those that the application knows, as Tasks has them. ``stopping`` is set when the
    process is about to go: whoever waits for something stops waiting.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        auth: Authenticator,
        tasks: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.settings = settings
        self.tally = Tally()
        self.store = store = store._replace(log=CountedLog(store.log, self.tally))
        self.auth = auth
        self.tails = Tails(store, self.tally)
        self.tasks = Tasks(self, tasks)
        self.connections: set[LegResponse] = set()
        self.stopping = asyncio.Event()
        self._parts: dict[Callable[[Service], object], object] = {}

    def part(self, make: Callable[["Service"], T]) -> T:
        """Return what ``make`` makes of this service, made once.

        If it has ``aclose``, that is awaited when the process ends; if it has ``rest``, whenever
        the process may be frozen.
        """
        if make not in self._parts:
            self._parts[make] = make(self)
        return cast(T, self._parts[make])

    def begin_shutdown(self) -> None:
        """Give every open leg its planned end, and end every wait."""
        self.stopping.set()
        for connection in list(self.connections):
            connection.end(Reason.SHUTDOWN)

    async def rest(self) -> None:
        """Let go of what a process must not hold that may be frozen now (RULES 17).

        To be called while no request is in flight. The next one begins with a look at the store,
        whatever this process knew before.
        """
        for part in self._parts.values():
            if hasattr(part, "rest"):
                await part.rest()
        self.tails.close()
        await self.store.wakeup.rest()

    async def close(self) -> None:
        """End what runs: the tasks before the parts that they use, the store last."""
        self.begin_shutdown()
        await self.tasks.aclose()
        for part in self._parts.values():
            if hasattr(part, "aclose"):
                try:
                    await part.aclose()
                except Exception:
                    log.exception("%s did not end well", type(part).__name__)
        self.tails.close()
        await self.store.close()


def of(scope: MutableMapping[str, Any]) -> Service:
    """Return the service of a request's scope."""
    return cast(Service, scope["lastevent"])
