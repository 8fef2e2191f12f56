"""A conversation of two, and how it changes. No IO.

    a client names a professional ─► begun ─► messages, numbered from 1 without a hole
                                          ─► marks: delivered up to a number, read up to a number

Each change is one write of the conversation's record. It carries what follows from it until that
is done: the letters to both (outbox), the message that is new or changed, and where the
conversation stands in lists. A change begins only when the one before it is done with.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from lastevent.core.errors import Conflict, Forbidden, InvalidRequest, NotFound
from lastevent.services.messaging.message import Draft, Message
from lastevent.services.messaging.people import ROLES, Role, User, conversation_id, stream_of
from lastevent.services.outbox import Letter, json_event, with_letters

PREVIEW_LENGTH = 160

Mark = Literal["delivered", "read"]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two. ``sent`` counts this side's messages, ``unread`` the other's that this side
    has not read; ``delivered`` and ``read`` are the numbers up to which it has any message."""

    id: str
    name: str | None = None
    sent: int = 0
    delivered: int = 0
    read: int = 0
    unread: int = 0


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation's record; times in Unix ms.

    ``active_at``: when its last message came, by which lists are ordered; ``listed_at`` where it
    stood in them before the newest change (0: nowhere). ``changed`` is the message that this change
    made or altered.
    """

    id: str
    client: Side
    professional: Side
    active_at: int = 0
    listed_at: int = 0
    last: Message | None = None
    changed: Message | None = None

    @classmethod
    def between(cls, client: User, professional: str) -> "Conversation":
        """Return the conversation of two before anything was said in it."""
        if client.id == professional:
            raise InvalidRequest("to: nobody has a conversation with themselves")
        id = conversation_id(client.id, professional)
        return cls(id, Side(client.id, client.name), Side(professional))

    @classmethod
    def parse(cls, text: str) -> "Conversation":
        """Read what ``text`` gave; the letters are the outbox's."""
        plain = json.loads(text)
        plain.pop("outbox", None)
        for role in ROLES:
            plain[role] = Side(**plain[role])
        for name in ("last", "changed"):
            plain[name] = plain[name] and Message.of(plain[name])
        return cls(**plain)

    def text(self, letters: Sequence[Letter] = ()) -> str:
        """The record's value, with these letters to be told."""
        return json.dumps(
            with_letters(asdict(self), letters), ensure_ascii=False, separators=(",", ":")
        )

    @property
    def head(self) -> int:
        """The number of the last message."""
        return self.client.sent + self.professional.sent

    # Who may.

    def role_of(self, user: User) -> Role:
        """Return the part that ``user`` has in it.

        For who has none it does not exist: raises NotFound. Raises Forbidden for one whose token
        now says another role.
        """
        for role in ROLES:
            if self.side(role).id == user.id:
                if role != user.role:
                    raise Forbidden(
                        f"in this conversation you are the {role}, and your token says {user.role}"
                    )
                return role
        raise NotFound(f"there is no conversation {self.id}")

    def side(self, role: Role) -> Side:
        """Return the side of ``role``."""
        return self.client if role == "client" else self.professional

    # What is said, and what becomes of it.

    def sent(self, user: User, draft: Draft, now_ms: int) -> "Conversation":
        """Return it with one more message, by ``user``."""
        mine, other = self._sides(user)
        mine = replace(mine, name=user.name or mine.name, sent=mine.sent + 1)
        # Times grow along a conversation, whichever server's clock is behind.
        sent_at = max(now_ms, self.active_at + 1)
        message = Message(
            self.id,
            self.head + 1,
            mine.sent,
            user.id,
            draft.client_id,
            draft.text,
            draft.attachments,
            draft.digest,
            sent_at,
        )
        grown = self._with(user.role, mine, replace(other, unread=other.unread + 1), message)
        return replace(grown, active_at=sent_at, last=_preview(message))

    def edited(self, user: User, message: Message, text: str, now_ms: int) -> "Conversation":
        """Return it with another text of ``message``; itself if that is what it says.

        Raises Forbidden for another's message, Conflict for one that was deleted.
        """
        self._must_be_own(user, message, "edit")
        if message.deleted:
            raise Conflict("this message was deleted: there is nothing to edit")
        return self if message.text == text else self._altered(message.edited(text, now_ms))

    def deleted(self, user: User, message: Message) -> "Conversation":
        """Return it without what ``message`` says; itself if that is gone already."""
        self._must_be_own(user, message, "delete")
        return self if message.deleted else self._altered(message.erased())

    def marked(self, user: User, mark: Mark, number: int, theirs: int) -> "Conversation":
        """Return it with ``user`` having, or having read, all up to ``number``, of which the other
        side sent ``theirs``; itself if that was so."""
        mine, other = self._sides(user)
        if number <= (mine.read if mark == "read" else mine.delivered):
            return self
        after = replace(mine, delivered=max(mine.delivered, number))
        if mark == "read":
            after = replace(after, read=number, unread=other.sent - theirs)
        return self._with(user.role, after, other, None)

    def _sides(self, user: User) -> tuple[Side, Side]:
        role = self.role_of(user)
        return self.side(role), self.side(_other(role))

    def _must_be_own(self, user: User, message: Message, what: str) -> None:
        self.role_of(user)
        if message.sender != user.id:
            raise Forbidden(f"only who sent a message may {what} it")

    def _altered(self, message: Message) -> "Conversation":
        last = self.last
        if last is not None and last.number == message.number:
            last = _preview(message)
        return replace(self._with("client", self.client, self.professional, message), last=last)

    def _with(self, role: Role, mine: Side, other: Side, changed: Message | None) -> "Conversation":
        client, professional = (mine, other) if role == "client" else (other, mine)
        return replace(
            self,
            client=client,
            professional=professional,
            listed_at=self.active_at,
            changed=changed,
        )

    # What is told.

    def letters(self, type: str, data: dict[str, object]) -> tuple[Letter, ...]:
        """Return what tells both sides of the newest change: the same, once each."""
        event = json_event(type, data)
        return tuple(Letter(stream_of(self.side(role).id), (event,)) for role in ROLES)

    def summary(self, role: Role) -> dict[str, object]:
        """What a list shows of it to the side of ``role``."""
        mine, other = self.side(role), self.side(_other(role))
        return {
            "id": self.id,
            "with": {"id": other.id, "name": other.name, "role": _other(role)},
            "last": None if self.last is None else self.last.told,
            "number": self.head,
            "activeAt": self.active_at,
            "unread": mine.unread,
            "delivered": {"mine": mine.delivered, "theirs": other.delivered},
            "read": {"mine": mine.read, "theirs": other.read},
        }

    def state(self, message: Message) -> str:
        """Return how far ``message`` has come: ``sent``, ``delivered`` or ``read``."""
        receiver = self.professional if message.sender == self.client.id else self.client
        if message.number <= receiver.read:
            return "read"
        return "delivered" if message.number <= receiver.delivered else "sent"


def _other(role: Role) -> Role:
    return "professional" if role == "client" else "client"


def _preview(message: Message) -> Message:
    return replace(message, text=message.text[:PREVIEW_LENGTH])
