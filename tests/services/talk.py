"""Two people who talk, and what a page makes of its snapshot and its stream."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from lastevent.core.cursor import Cursor, parse_vector
from lastevent.services.messaging.message import Draft, Limits
from lastevent.services.messaging.people import User, conversation_id, stream_of
from lastevent.services.messaging.service import Messaging
from lastevent.services.rates import Rate
from lastevent.stores.base import Store

ANN = User("ann@example.com", "client", "Ann")
PAUL = User("paul", "professional", "Paul")
EVE = User("eve", "client", "Eve")
PAIR = conversation_id(ANN.id, PAUL.id)
LOOSE = Limits(rate=Rate(10_000, 1.0), typing_rate=Rate(10_000, 1.0))

_ids = count(1)


def draft(text: str, client_id: str | None = None) -> Draft:
    """Return a draft, under an id of its own unless one is given."""
    return Draft.of(text, client_id or f"c{next(_ids)}", (), LOOSE)


async def told(store: Store, user: User) -> list[tuple[str, dict[str, Any]]]:
    """Return type and data of all that a user was told."""
    page = await store.log.read(stream_of(user.id), None)
    return [(event.type, json.loads(event.data)) for event in page.events]


@dataclass
class View:
    """What a page shows of one conversation, which has asked once and then only listens."""

    user: User
    messages: dict[int, dict[str, Any]] = field(default_factory=dict)
    marks: dict[str, dict[str, int]] = field(default_factory=dict)
    cursor: Cursor | None = None

    async def load(self, messaging: Messaging, page_size: int = 3) -> None:
        """Take a snapshot, all pages of it; those that follow the first have cursors too late."""
        self.messages.clear()
        before: int | None = None
        cursor: str | None = None
        while True:
            page = await messaging.history(self.user, PAIR, before, page_size)
            cursor = cursor or page.cursor
            for item in page.items:
                self._see(json.loads(json.dumps(item)))
            about: Any = page.about
            if before is None:
                other = about["with"]["id"]
                self.marks = {
                    mark: {self.user.id: about[mark]["mine"], other: about[mark]["theirs"]}
                    for mark in ("delivered", "read")
                }
            if page.before is None:
                break
            before = int(page.before)
        stream = stream_of(self.user.id)
        self.cursor = parse_vector(cursor, (stream,))[stream]

    async def listen(self, store: Store) -> None:
        """Take in what the stream has told since."""
        assert self.cursor is not None
        page = await store.log.read(stream_of(self.user.id), self.cursor)
        assert page.at_end and not page.truncated
        self.cursor = page.cursor
        for event in page.events:
            self.take(event.type, json.loads(event.data))

    def take(self, type: str, data: Mapping[str, Any]) -> None:
        """Take in one event."""
        if type in ("message", "edited", "deleted"):
            self._see(data)
        elif type in ("delivered", "read"):
            for mark in ("delivered", "read") if type == "read" else ("delivered",):
                of = self.marks.setdefault(mark, {})
                of[data["user"]] = max(of.get(data["user"], 0), data["number"])

    def _see(self, message: Mapping[str, Any]) -> None:
        known = self.messages.get(message["number"])
        if known is None or known["revision"] < message["revision"]:
            shown = {key: it for key, it in message.items() if key not in ("state", "fromName")}
            self.messages[message["number"]] = shown

    def agrees(self, other: "View") -> bool:
        """Whether two views show the same."""
        return self.messages == other.messages and self.marks == other.marks
