"""Presence: who has an event stream of messages open, on whichever server.

    a leg opens ─► online ─► renewed while one is open ─► run out ─► offline, told by who looks

Two records a user. ``presence-online`` is put again and again while a leg is open, and is believed
for some time: a leg that ends, a process that dies, and one that is frozen all let it run out.
``presence`` is what was told last; a change is told by its outbox to those with whom the user has
conversations. Where no process is left that would see it run out, the sweep does, or who asks.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from time import time

from lastevent.core.errors import Conflict, Transient
from lastevent.services.messaging.people import stream_of, user_key
from lastevent.services.outbox import Letter, Outbox, json_event, with_letters
from lastevent.stores.base import Record, Store

KIND = "presence"
ONLINE = "presence-online"

RENEW_SECONDS = 20.0
ALIVE_SECONDS = 60.0
"""How long a leg's sign of life is believed: through a client's pause between two legs, and the
loss of one sign."""

SIGN_SECONDS = 2.0
"""How long the end of a visit waits for the sign of life that it was too short to give."""

ONLINE_SECONDS = 24 * 3600
"""How long that record lies there if there is no sweep."""

MAX_TOLD = 100
"""With so many of one's newest conversations presence is told by itself; others ask."""

MAX_SWEPT = 10_000
"""Users online that one sweep looks at; the next one of this process goes on behind them."""

MAX_REMEMBERED = 10_000
_PAGE = 100
_ATTEMPTS = 10

Others = Callable[[str, int], Awaitable[Sequence[str]]]
"""``others(id, limit)``: with whom a user has conversations."""

log = logging.getLogger("lastevent")


@dataclass(frozen=True, slots=True)
class Seen:
    """Whether a user is online; ``last_seen`` in Unix ms, 0: never."""

    user: str
    online: bool = False
    last_seen: int = 0

    @property
    def told(self) -> dict[str, object]:
        """What others are told of it."""
        state = "online" if self.online else "offline"
        return {"user": self.user, "state": state, "lastSeen": self.last_seen}


@dataclass(frozen=True, slots=True)
class _Told:
    """What was told last; ``turn`` counts the changes, since two may be told at once."""

    user: str
    online: bool = False
    last_seen: int = 0
    turn: int = 0

    @classmethod
    def parse(cls, text: str) -> "_Told":
        plain = json.loads(text)
        plain.pop("outbox", None)
        return cls(**plain)


class Presence:
    """The presence of users. Belongs to one event loop."""

    def __init__(
        self,
        store: Store,
        others: Others,
        *,
        renew_seconds: float = RENEW_SECONDS,
        alive_seconds: float = ALIVE_SECONDS,
    ) -> None:
        self._records = store.records
        self._outbox = Outbox(store, KIND)
        self._others = others
        self._renew_seconds = renew_seconds
        self._alive_seconds = alive_seconds
        self._legs: dict[str, int] = {}
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._renewed: dict[str, float] = {}
        self._swept_to = ""
        self._closed = False

    @asynccontextmanager
    async def watch(self, id: str, ends_at: float | None = None) -> AsyncIterator[None]:
        """Have a user be online for as long as this is held, and for ALIVE_SECONDS from then on.

        It costs a leg no time, and a visit that is over at once, as a poll is, that of the sign of
        life where one is due. ``ends_at``: None where the process lives on, and will see the user's
        time run out.
        """
        self._legs[id] = self._legs.get(id, 0) + 1
        if (leaving := self._leaving.pop(id, None)) is not None:
            leaving.cancel()
        if id not in self._keeping:
            self._keeping[id] = asyncio.create_task(self._keep(id))
        try:
            yield
        finally:
            self._legs[id] -= 1
            if not self._legs[id]:
                del self._legs[id]
                await _end(self._keeping.pop(id, None))
                if not self._closed and self._rest(id) <= 0:
                    with suppress(Transient, TimeoutError):
                        async with asyncio.timeout(SIGN_SECONDS):
                            await self._sign(id)
                if ends_at is None and id not in self._legs and not self._closed:
                    self._leaving[id] = asyncio.create_task(self._see_off(id))

    async def look(self, id: str) -> Seen:
        """Return whether a user is online; others are told first, if they were told otherwise."""
        for _ in range(_ATTEMPTS):
            told, version = await self._told(id)
            online = await self._records.get(ONLINE, user_key(id))
            is_alive = online is not None and self._is_alive(online)
            last_seen = told.last_seen if online is None else online.updated
            with suppress(Conflict):  # somebody else looked, or the user came back
                if told.online != is_alive:
                    told = await self._turn(replace(told, online=is_alive), version, last_seen)
                if is_alive:
                    return Seen(id, True, last_seen)
                if online is not None:
                    await self._records.delete(ONLINE, online.id, expect=online.version)
                return Seen(id, False, told.last_seen)
        raise Transient("this user comes and goes too often")

    async def sweep(self) -> list[str]:
        """Tell of those who are gone, and what was left untold; return the former's ids.

        One that fails stops nothing else; raises Transient at the end if any did.
        """
        gone: list[str] = []
        failed: Transient | None = None
        try:
            await self._outbox.sweep()
        except Transient as error:
            failed = error
        for _ in range(0, MAX_SWEPT, _PAGE):
            online = await self._records.query(ONLINE, after=self._swept_to, limit=_PAGE)
            for record in online:
                try:
                    if not self._is_alive(record) and not (await self.look(record.value)).online:
                        gone.append(record.value)
                except Transient as error:
                    failed = error
            self._swept_to = online[-1].id if len(online) == _PAGE else ""
            if not self._swept_to:
                break
        if failed is not None:
            raise Transient(f"not all presence could be told of: {failed}") from failed
        return gone

    async def rest(self) -> None:
        """Let go of everything, since the process may be frozen now."""
        for tasks in (self._keeping, self._leaving):
            for id in list(tasks):
                await _end(tasks.pop(id, None))

    async def aclose(self) -> None:
        """Let go of everything for good."""
        self._closed = True
        await self.rest()

    async def _keep(self, id: str) -> None:
        while True:
            # The leg before this one may have ended a moment ago.
            await asyncio.sleep(self._rest(id))
            try:
                await self._sign(id)
            except Transient as error:
                log.warning("the presence of a user could not be renewed: %s", error)
                await asyncio.sleep(self._renew_seconds / 4)

    def _rest(self, id: str) -> float:
        """Return how long the last sign of life is good for, by a clock that may be set back."""
        rest = self._renewed.get(id, 0.0) + self._renew_seconds - time()
        return rest if 0 < rest <= self._renew_seconds else 0.0

    async def _sign(self, id: str) -> None:
        await self._renew(id)
        if len(self._renewed) >= MAX_REMEMBERED:
            self._renewed.clear()
        self._renewed[id] = time()

    async def _renew(self, id: str) -> None:
        """Give a sign of life, and turn online who is not."""
        await self._records.put(ONLINE, user_key(id), id, seconds=ONLINE_SECONDS)
        for _ in range(_ATTEMPTS):
            # Read after that was put: whoever turns the user offline meanwhile finds it then.
            told, version = await self._told(id)
            if told.online:
                return
            with suppress(Conflict):
                await self._turn(replace(told, online=True), version, int(time() * 1000))
                return

    async def _see_off(self, id: str) -> None:
        """Look again when the time of a user without a leg here has run out."""
        await asyncio.sleep(self._alive_seconds * 1.02)
        self._renewed.pop(id, None)
        try:
            await self.look(id)
        except Transient as error:
            log.warning("whether a user has left could not be seen: %s", error)
        self._leaving.pop(id, None)

    async def _turn(self, told: _Told, version: int, last_seen: int) -> _Told:
        """Write a change over ``version``, and have it told; raise Conflict."""
        told = replace(told, last_seen=last_seen, turn=told.turn + 1)
        seen = Seen(told.user, told.online, last_seen)
        event = json_event("presence", seen.told | {"turn": told.turn})
        key = user_key(told.user)
        letters = [
            Letter(stream_of(other), (event,)) for other in await self._others(told.user, MAX_TOLD)
        ]
        await self._outbox.mark(key)
        text = json.dumps(with_letters(asdict(told), letters), separators=(",", ":"))
        record = await self._records.put(KIND, key, text, expect=version)
        await self._outbox.deliver(record)
        return told

    async def _told(self, id: str) -> tuple[_Told, int]:
        record = await self._records.get(KIND, user_key(id))
        if record is None:
            return _Told(id), 0
        record = await self._outbox.deliver(record)
        return _Told.parse(record.value), record.version

    def _is_alive(self, online: Record) -> bool:
        return online.updated / 1000 + self._alive_seconds > time()


async def _end(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
