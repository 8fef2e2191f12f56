"""Who takes part: users by id and role, and the names of what is theirs. No IO."""

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from lastevent.core.errors import Forbidden, InvalidRequest

Role = Literal["client", "professional"]
ROLES: tuple[Role, Role] = ("client", "professional")

MAX_ID_BYTES = 80
"""Escaped, that still makes a stream's name."""

MAX_NAME_LENGTH = 100

_CONVERSATION = re.compile(r"[0-9a-f]{32}")
_UNSAFE = re.compile(rb"[^A-Za-z0-9._-]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who takes part, as a token has it. Raises InvalidRequest, and Forbidden for a role
    that has no part in messaging."""

    id: str
    role: Role
    name: str | None = None

    @classmethod
    def of(cls, id: str, role: str | None, name: str | None = None) -> "User":
        """Return the user of a token's claims."""
        if role not in ROLES:
            raise Forbidden(
                "messages are between clients and professionals: this identity's role is neither"
            )
        shown = _CONTROL.sub("", name or "").strip()[:MAX_NAME_LENGTH]
        return cls(user_id(id), role, shown or None)

    @property
    def key(self) -> str:
        """The id as it stands in the names of streams and records."""
        return user_key(self.id)


def user_id(text: str) -> str:
    """Return ``text`` if it may be a user's id; raise InvalidRequest otherwise."""
    if not text or _CONTROL.search(text) or len(text.encode()) > MAX_ID_BYTES:
        raise InvalidRequest(f"a user's id has 1 to {MAX_ID_BYTES} bytes, none of them control")
    return text


def user_key(id: str) -> str:
    """Return a user's id with all but ``A-Za-z0-9._-`` escaped, so that no two ids are one.

    ``ann@example.com`` becomes ``ann~40example.com``: such an id is good in a stream's name.
    """
    return _UNSAFE.sub(lambda found: b"~%02x" % found[0][0], id.encode()).decode()


def stream_of(id: str) -> str:
    """Return the name of the stream with everything that a user is told."""
    return f"user:{user_key(id)}"


def typing_stream(id: str) -> str:
    """Return the name of the stream that says who is typing to a user."""
    return f"typing:{user_key(id)}"


def conversation_id(client: str, professional: str) -> str:
    """Return the id of the one conversation between two: two devices begin the same one."""
    pair = f"{user_key(client)}/{user_key(professional)}"
    return hashlib.blake2b(pair.encode(), digest_size=16).hexdigest()


def is_conversation_id(text: str) -> bool:
    """Whether ``text`` may be the id of a conversation."""
    return _CONVERSATION.fullmatch(text) is not None
