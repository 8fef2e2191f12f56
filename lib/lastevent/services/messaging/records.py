"""What a store keeps of conversations: four kinds of records.

    conversations          id                               who, how far, and the newest change
    messages               conversation/number              each message as it is now
    messages-sent          conversation/sender/client's id  its first answer, for who sends it again
    conversations-of       user/role/time/conversation      each user's, the newest first

The first is the truth. The others follow from its newest change, and are written before that
change's letters are taken off it: while there are letters, whoever comes writes them again.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from lastevent.core.errors import Conflict, InvalidRequest, Transient
from lastevent.services.messaging.conversation import Conversation
from lastevent.services.messaging.message import Message
from lastevent.services.messaging.people import ROLES, Role, User, user_key
from lastevent.services.outbox import Letter, Outbox, letters_of, tell
from lastevent.stores.base import Record, Records, Store

KIND = "conversations"
MESSAGES = "messages"
SENT = "messages-sent"
LISTED = "conversations-of"

ATTEMPTS = 20
"""How often a change is tried anew that others' changes come between."""

_LATEST = 10**13 - 1
_PLACE = re.compile(r"[0-9]{13}/[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Sent:
    """What a client's message id was answered."""

    digest: str
    answer: dict[str, object]


@dataclass(frozen=True, slots=True)
class Listed:
    """A conversation's place in a user's list: by this the next page goes on."""

    place: str
    other: str

    @property
    def conversation(self) -> str:
        """The conversation's id."""
        return self.place.partition("/")[2]

    @property
    def active_at(self) -> int:
        """When its last message came that has brought it here."""
        return _LATEST - int(self.place.partition("/")[0])


class _Outbox(Outbox):
    """Tells of a change, and writes what follows from it."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, KIND)
        self._store = store

    async def carry_out(self, record: Record, letters: Sequence[Letter]) -> None:
        # All at once: each letter is for another stream, and a reader is led by the letters.
        work: list[Awaitable[object]] = [tell(self._store.log, [letter]) for letter in letters]
        work += _consequences(self._store.records, Conversation.parse(record.value))
        for result in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result


class ConversationRecords:
    """The records. Belongs to one event loop."""

    def __init__(self, store: Store) -> None:
        self._records = store.records
        self._outbox = _Outbox(store)

    async def get(self, id: str) -> tuple[Conversation, int] | None:
        """Return a conversation, with its version, of which all is told; None if there is none."""
        record = await self._records.get(KIND, id)
        for _ in range(ATTEMPTS):
            if record is None:
                return None
            if not letters_of(json.loads(record.value)):
                return Conversation.parse(record.value), record.version
            record = await self._outbox.deliver(record)
        raise Transient("this conversation is written by too many at once")

    async def put(
        self, conversation: Conversation, version: int, letters: Sequence[Letter]
    ) -> None:
        """Write a change over ``version`` (0: of a new one), and have it told.

        Raises Conflict if others were quicker.
        """
        await self._outbox.mark(conversation.id)
        text = conversation.text(letters)
        record = await self._records.put(KIND, conversation.id, text, expect=version)
        await self._outbox.deliver(record)

    async def exists(self, id: str) -> bool:
        """Whether there is such a conversation."""
        return await self._records.get(KIND, id) is not None

    async def sent(self, conversation: str, sender: str, client_id: str) -> Sent | None:
        """Return what a client's message id was answered, None if it is new.

        To be asked after the conversation was read: an id that comes in between changes that.
        """
        record = await self._records.get(SENT, _sent_id(conversation, sender, client_id))
        return None if record is None else Sent(**json.loads(record.value))

    async def message(self, conversation: str, number: int) -> Message | None:
        """Return a message, None if there is none."""
        record = await self._records.get(MESSAGES, _message_id(conversation, number))
        return None if record is None else Message.parse(record.value)

    async def messages(self, conversation: str, before: int, limit: int) -> list[Message]:
        """Return the last ``limit`` messages before a number, in their order."""
        first = max(before - limit, 1)
        found = (
            await self._records.query(
                MESSAGES,
                prefix=f"{conversation}/",
                after=_message_id(conversation, first - 1),
                limit=before - first,
            )
            if before > first
            else []
        )
        messages = (Message.parse(record.value) for record in found)
        return [message for message in messages if message.number < before]

    async def listed(self, user: User, after: str | None, limit: int) -> list[Listed]:
        """Return where ``user``'s conversations stand, the newest first, behind a place.

        Raises InvalidRequest for what is no place.
        """
        if after is not None and not _PLACE.fullmatch(after):
            raise InvalidRequest("before: write what the page before called next")
        prefix = f"{user.key}/{user.role}/"
        after = "" if after is None else prefix + after
        found = await self._records.query(LISTED, prefix=prefix, after=after, limit=limit)
        return [Listed(record.id.removeprefix(prefix), record.value) for record in found]

    async def others(self, id: str, limit: int) -> list[str]:
        """Return with whom a user has conversations, in whichever role."""
        found = await self._records.query(LISTED, prefix=f"{user_key(id)}/", limit=limit)
        return list(dict.fromkeys(record.value for record in found))

    async def unlist(self, user: User, listed: Listed) -> None:
        """Take a conversation from a place where it does not stand any more."""
        await self._records.delete(LISTED, f"{user.key}/{user.role}/{listed.place}")

    async def sweep(self) -> list[str]:
        """Have told what was left untold; return the conversations' ids. Raises Transient."""
        return await self._outbox.sweep()


def _consequences(records: Records, conversation: Conversation) -> Iterator[Awaitable[object]]:
    """Yield what writes what follows from the newest change; to do so again, or late, does no
    harm."""
    message = conversation.changed
    if message is not None:
        yield _keep(records, message)
        if message.revision == 1:
            yield _note(records, message)
            for role in ROLES:
                yield _list(records, conversation, role)


async def _keep(records: Records, message: Message) -> None:
    """Write a message, unless there is a later state of it."""
    id = _message_id(message.conversation, message.number)
    there: Record | None = None
    for _ in range(ATTEMPTS):
        if message.revision > 1 or there is not None:
            there = await records.get(MESSAGES, id)
        if there is not None and Message.parse(there.value).revision >= message.revision:
            return
        try:
            await records.put(MESSAGES, id, message.record, expect=there.version if there else 0)
            return
        except Conflict:
            there = await records.get(MESSAGES, id)
    raise Transient("this message is written by too many at once")


async def _note(records: Records, message: Message) -> None:
    sent = json.dumps({"digest": message.digest, "answer": message.answer}, separators=(",", ":"))
    id = _sent_id(message.conversation, message.sender, message.client_id)
    with suppress(Conflict):  # somebody else who told it has noted it
        await records.put(SENT, id, sent, expect=0)


async def _list(records: Records, conversation: Conversation, role: Role) -> None:
    """Move a conversation to the front of a list; at no time it is nowhere in it."""
    mine, other = conversation.client, conversation.professional
    if role != "client":
        mine, other = other, mine
    prefix = f"{user_key(mine.id)}/{role}/"
    place = _place(conversation.active_at, conversation.id)
    with suppress(Conflict):  # it is there already; and what is new needs no look
        await records.put(LISTED, prefix + place, other.id, expect=0)
    if conversation.listed_at:
        await records.delete(LISTED, prefix + _place(conversation.listed_at, conversation.id))


def _place(active_at: int, id: str) -> str:
    return f"{_LATEST - active_at:013d}/{id}"


def _message_id(conversation: str, number: int) -> str:
    return f"{conversation}/{number:010d}"


def _sent_id(conversation: str, sender: str, client_id: str) -> str:
    return f"{conversation}/{user_key(sender)}/{client_id}"
