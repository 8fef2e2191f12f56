"""Messaging: what users may do, and what becomes of it.

    send ─► the conversation's record, with its letters ─► message, place in lists ─► both streams

Whoever comes to a conversation, to read or to write, first brings to its end what a dead process
has left there; the sweep does so for those to which nobody comes.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import time

from lastevent.core.cursor import render_vector
from lastevent.core.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    KeyReused,
    NotFound,
    Transient,
)
from lastevent.services.messaging.conversation import Conversation, Mark
from lastevent.services.messaging.message import (
    Draft,
    Limits,
    Message,
    message_text,
    parse_message_id,
)
from lastevent.services.messaging.people import (
    User,
    conversation_id,
    is_conversation_id,
    stream_of,
    typing_stream,
    user_id,
)
from lastevent.services.messaging.records import ATTEMPTS, ConversationRecords
from lastevent.services.outbox import Letter, json_event
from lastevent.services.rates import Rates
from lastevent.stores.base import Store

MAX_PAGE = 100

type Change = tuple[Conversation, tuple[Letter, ...]]
"""A conversation as it is to be, and what its two are told of it; without letters, as it was."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a snapshot: ``before`` asks for the next one, None: there is none. ``cursor`` is
    that of the user's stream, from before the snapshot was taken (RULES 7). ``about``: whose
    messages these are."""

    items: tuple[dict[str, object], ...]
    before: str | None
    cursor: str
    about: dict[str, object] | None = None


class Messaging:
    """The conversations in a store. Belongs to one event loop."""

    def __init__(self, store: Store, limits: Limits = Limits()) -> None:
        self.limits = limits
        self._log = store.log
        self._records = ConversationRecords(store)
        self._rates = Rates(store.records)

    async def begin(self, user: User, professional: str, draft: Draft) -> dict[str, object]:
        """Send to a professional whom ``user``, a client, names; return the answer to it.

        Between two there is one conversation: it begins if need be. Raises Forbidden for who is no
        client; else as ``send`` does.
        """
        if user.role != "client":
            raise Forbidden("only a client begins a conversation; a professional replies within it")
        blank = Conversation.between(user, user_id(professional))
        return await self._send(user, blank.id, draft, blank)

    async def send(self, user: User, conversation: str, draft: Draft) -> dict[str, object]:
        """Send within a conversation; return the answer to it.

        The same draft again gets the first answer again. Raises NotFound, Forbidden, KeyReused for
        another draft under its id, TooManyRequests, Transient.
        """
        return await self._send(user, conversation, draft, None)

    async def _send(
        self, user: User, id: str, draft: Draft, blank: Conversation | None
    ) -> dict[str, object]:
        charged = False
        for attempt in range(ATTEMPTS):
            before, version = await self._get(id, blank)
            before.role_of(user)
            if earlier := await self._records.sent(id, user.id, draft.client_id):
                if earlier.digest != draft.digest:
                    raise KeyReused("this clientMessageId came before, with another message")
                return earlier.answer
            if not charged:
                await self._rates.take("message", user.key, self.limits.rate)
                charged = True
            after = before.sent(user, draft, _now())
            message = after.changed
            assert message is not None
            told = message.told | {"fromName": after.side(user.role).name}
            try:
                await self._records.put(after, version, after.letters("message", told))
            except Conflict:
                await _pause(attempt)
                continue
            return message.answer
        raise Transient("this conversation is written by too many at once")

    async def edit(self, user: User, id: str, text: str) -> dict[str, object]:
        """Change what a message says; return it as it is then. Raises as ``send`` does, Forbidden
        for another's message, and Conflict for one that was deleted."""
        text = message_text(text, self.limits)
        return await self._alter(
            user, id, "edited", lambda it, message: it.edited(user, message, text, _now())
        )

    async def delete(self, user: User, id: str) -> None:
        """Have a message say nothing any more; its place stays. Raises as ``edit`` does."""
        await self._alter(user, id, "deleted", lambda it, message: it.deleted(user, message))

    async def _alter(
        self,
        user: User,
        id: str,
        type: str,
        alter: Callable[[Conversation, Message], Conversation],
    ) -> dict[str, object]:
        conversation, number = parse_message_id(id)
        result: Message | None = None

        async def change(before: Conversation) -> Change:
            nonlocal result
            before.role_of(user)
            result = await self._message(before, number)
            after = alter(before, result)
            if after is before or after.changed is None:
                return before, ()
            result = after.changed
            return after, after.letters(type, result.told)

        await self._change(user, conversation, change, charged=True)
        assert result is not None
        return result.told

    async def mark(self, user: User, id: str, mark: Mark, number: int) -> dict[str, object]:
        """Say that ``user`` has, or has read, all up to a number; return the conversation.

        What was marked stays marked. Raises NotFound, Forbidden, InvalidRequest for a number that
        no message has, Transient.
        """

        async def change(before: Conversation) -> Change:
            role = before.role_of(user)
            if not 1 <= number <= before.head:
                raise InvalidRequest(f"number: the last message is number {before.head}")
            theirs = before.head - before.side(role).sent
            if number < before.head:
                message = await self._message(before, number)
                theirs = message.ordinal if message.sender != user.id else number - message.ordinal
            after = before.marked(user, mark, number, theirs)
            if after is before:
                return before, ()
            told = {"conversation": id, "user": user.id, "number": number}
            return after, after.letters(mark, told)

        changed = await self._change(user, id, change, charged=False)
        return changed.summary(user.role)

    async def _change(
        self,
        user: User,
        id: str,
        change: Callable[[Conversation], Awaitable[Change]],
        *,
        charged: bool,
    ) -> Conversation:
        """Write a conversation anew; return it. Others may write it meanwhile: then ``change`` is
        asked again."""
        for attempt in range(ATTEMPTS):
            before, version = await self._get(id)
            after, letters = await change(before)
            if not letters:
                return before
            if charged:
                await self._rates.take("message", user.key, self.limits.rate)
                charged = False
            try:
                await self._records.put(after, version, letters)
            except Conflict:
                await _pause(attempt)
                continue
            return after
        raise Transient("this conversation is written by too many at once")

    async def typing(self, user: User, id: str) -> None:
        """Tell the other side that ``user`` is typing: now, and never again.

        Raises NotFound, Forbidden, TooManyRequests, Transient.
        """
        conversation, _ = await self._get(id)
        role = conversation.role_of(user)
        await self._rates.take("typing", user.key, self.limits.typing_rate)
        other = conversation.professional if role == "client" else conversation.client
        event = json_event("typing", {"conversation": id, "user": user.id})
        await self._log.append(typing_stream(other.id), [event])

    # Snapshots.

    async def conversations(self, user: User, before: str | None, limit: int) -> Page:
        """Return ``user``'s conversations, those with the newest messages first.

        One that moves to the front while its user pages is told on the stream, and may come on two
        pages.
        """
        cursor = await self.cursor(user)
        there = await self._records.listed(user, before, limit + 1)
        listed = there[:limit]
        found = await asyncio.gather(*(self._records.get(it.conversation) for it in listed))
        shown: dict[str, Conversation] = {}
        for place, got in zip(listed, found, strict=True):
            if got is None:
                continue
            conversation, _ = got
            shown[conversation.id] = conversation
            if place.active_at < conversation.active_at:
                # Who told of an older change was so late that it stood elsewhere already.
                await self._records.unlist(user, place)
        newest = sorted(shown.values(), key=lambda it: -it.active_at)
        items = tuple(conversation.summary(user.role) for conversation in newest)
        return Page(items, listed[-1].place if there[limit:] else None, cursor)

    async def history(self, user: User, id: str, before: int | None, limit: int) -> Page:
        """Return a conversation's messages before a number, or its last, in their order.

        Raises NotFound and Forbidden.
        """
        cursor = await self.cursor(user)
        conversation, _ = await self._get(id)
        about = conversation.summary(conversation.role_of(user))
        end = min(before or conversation.head + 1, conversation.head + 1)
        messages = await self._records.messages(id, end, limit)
        items = tuple(it.told | {"state": conversation.state(it)} for it in messages)
        first = messages[0].number if messages else 1
        return Page(items, str(first) if first > 1 else None, cursor, about)

    async def known(self, user: User, ids: Sequence[str]) -> list[str]:
        """Return those of ``ids`` with whom ``user`` has a conversation."""
        pairs = [(user.id, it) if user.role == "client" else (it, user.id) for it in ids]
        there = await asyncio.gather(
            *(self._records.exists(conversation_id(*pair)) for pair in pairs)
        )
        return [id for id, is_there in zip(ids, there, strict=True) if is_there]

    async def others(self, id: str, limit: int) -> Sequence[str]:
        """Return with whom a user has conversations: those of the newest, about as many."""
        return await self._records.others(id, limit)

    async def sweep(self) -> list[str]:
        """Tell what was left untold; return the ids of the conversations where it was."""
        return await self._records.sweep()

    async def cursor(self, user: User) -> str:
        """Return the end of what ``user`` has been told, as GET /api/sse takes it."""
        stream = stream_of(user.id)
        extent = await self._log.describe(stream)
        return render_vector({stream: str(extent.head)})

    async def _get(self, id: str, blank: Conversation | None = None) -> tuple[Conversation, int]:
        found = await self._records.get(id) if is_conversation_id(id) else None
        if found is None and blank is not None:
            return blank, 0
        if found is None:
            raise NotFound(f"there is no conversation {id[:80]}")
        return found

    async def _message(self, conversation: Conversation, number: int) -> Message:
        message = None
        if number <= conversation.head:
            message = await self._records.message(conversation.id, number)
        if message is None:
            raise NotFound(f"there is no message {number} in this conversation")
        return message


def _now() -> int:
    return int(time() * 1000)


async def _pause(attempt: int) -> None:
    await asyncio.sleep(random.uniform(0, min(0.005 * 2**attempt, 0.32)))
