"""One message: what it may hold, and how it is kept and told. No IO."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from lastevent.core.errors import InvalidRequest, NotFound, TooLarge
from lastevent.services.rates import Rate

MAX_ATTACHMENTS = 10
MAX_URL_LENGTH = 1000

_ID = re.compile(r"([0-9a-f]{32})-([1-9][0-9]{0,9})")
_CLIENT_ID = re.compile(r"[A-Za-z0-9._~-]{1,64}")
# All of the categories Cc and Cs but tab and newline: they show nothing, or nothing good.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_URL = re.compile(r"[!#-;=?-\[\]_a-z~%]+")
"""RFC 3986's characters: what else a page's parser would repair is not for others to see."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a message may be, and how often. ``length`` is in characters (code points)."""

    length: int = 4000
    rate: Rate = Rate(60, 60.0)
    typing_rate: Rate = Rate(60, 60.0)
    attachment_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants to send. ``client_id`` is the sender's own name for it: a repeated call
    with it is the same message."""

    text: str
    client_id: str
    attachments: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str, client_id: str, attachments: Sequence[str], limits: Limits) -> "Draft":
        """Return a draft within its limits; raise InvalidRequest or TooLarge."""
        if not _CLIENT_ID.fullmatch(client_id):
            raise InvalidRequest("clientMessageId: write 1 to 64 of A-Z a-z 0-9 . _ ~ -")
        if len(attachments) > MAX_ATTACHMENTS:
            raise TooLarge(f"a message has at most {MAX_ATTACHMENTS} attachments")
        urls = tuple(attachment(url, limits.attachment_hosts) for url in attachments)
        if not urls or text:
            text = message_text(text, limits)
        return cls(text, client_id, urls)

    @property
    def digest(self) -> str:
        """What the client's id is bound to: all that was said."""
        said = json.dumps([self.text, self.attachments], ensure_ascii=False)
        return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is kept; times in Unix ms.

    ``number`` counts the messages of a conversation, ``ordinal`` those of its sender among them.
    ``revision`` grows with each change. A deleted one keeps its place, and nothing that it said.
    """

    conversation: str
    number: int
    ordinal: int
    sender: str
    client_id: str
    text: str
    attachments: tuple[str, ...]
    digest: str
    sent_at: int
    revision: int = 1
    edited_at: int | None = None
    deleted: bool = False

    @classmethod
    def parse(cls, text: str) -> "Message":
        """Read what ``record`` gave."""
        return cls.of(json.loads(text))

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Message":
        """Read what ``plain`` gave."""
        return cls(**{**plain, "attachments": tuple(plain["attachments"])})

    @property
    def plain(self) -> dict[str, Any]:
        """What is written of it in a record: JSON."""
        return asdict(self)

    @property
    def record(self) -> str:
        """The record's value."""
        return json.dumps(self.plain, ensure_ascii=False, separators=(",", ":"))

    @property
    def id(self) -> str:
        """Its id on the wire: it names the conversation and the number."""
        return f"{self.conversation}-{self.number}"

    @property
    def told(self) -> dict[str, object]:
        """What its readers are told of it."""
        said: dict[str, object] = {
            "id": self.id,
            "conversation": self.conversation,
            "number": self.number,
            "from": self.sender,
            "sentAt": self.sent_at,
            "revision": self.revision,
        }
        if self.deleted:
            return said | {"deleted": True}
        said |= {"clientMessageId": self.client_id, "text": self.text}
        said["attachments"] = self.attachments
        return said if self.edited_at is None else said | {"editedAt": self.edited_at}

    @property
    def answer(self) -> dict[str, object]:
        """What its sender is answered, the first time and any other, whatever it says by then."""
        return {
            "id": self.id,
            "conversation": self.conversation,
            "number": self.number,
            "sentAt": self.sent_at,
            "clientMessageId": self.client_id,
        }

    def edited(self, text: str, now_ms: int) -> "Message":
        """Return it with another text."""
        return replace(self, text=text, edited_at=now_ms, revision=self.revision + 1)

    def erased(self) -> "Message":
        """Return what is left of it when it is deleted."""
        return replace(
            self,
            text="",
            attachments=(),
            digest="",
            revision=self.revision + 1,
            edited_at=None,
            deleted=True,
        )


def message_text(text: str, limits: Limits) -> str:
    """Return ``text`` if a message may say it; raise InvalidRequest or TooLarge.

    It is text and nothing else: nothing in it is understood or changed.
    """
    if len(text) > limits.length:
        raise TooLarge(f"a message has at most {limits.length} characters; this has {len(text)}")
    if not text.strip():
        raise InvalidRequest("text: a message says something")
    if _CONTROL.search(text):
        raise InvalidRequest("text: of control characters, only newline and tab are taken")
    return text


def attachment(url: str, hosts: Iterable[str]) -> str:
    """Return ``url`` if it may be attached; raise InvalidRequest otherwise.

    Only https:// at its own port, at one of ``hosts`` by its whole name, and without a user: what
    is seen of the address is where it leads.
    """
    hosts = tuple(hosts)
    if not hosts:
        raise InvalidRequest("attachments: no host is allowed here that they could be at")
    if len(url) > MAX_URL_LENGTH or not _URL.fullmatch(url):
        raise InvalidRequest(f"attachments: an address has at most {MAX_URL_LENGTH} URL characters")
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and parts.netloc.lower() == parts.hostname
    except ValueError:
        plain = False
    if not plain or parts.hostname not in hosts:
        raise InvalidRequest(f"attachments: write https:// addresses at {', '.join(hosts)}")
    return url


def parse_message_id(text: str) -> tuple[str, int]:
    """Return the conversation and the number that a message's id names; raise NotFound."""
    found = _ID.fullmatch(text)
    if found is None:
        raise NotFound(f"there is no message {text[:80]!r}")
    return found[1], int(found[2])
