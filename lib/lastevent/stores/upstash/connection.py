"""Connections to a Redis by the package ``redis``, and its errors as ours.

Only its connection is used: its client sends a call again that it knows nothing of, and its
defaults let a dead peer hold a caller for a minute.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from lastevent.core.errors import ConfigError, InvalidRequest, StoreUnavailable
from lastevent.stores.upstash.address import prefix_of
from lastevent.stores.upstash.commands import refusal

if TYPE_CHECKING:
    from redis.asyncio.connection import Connection

CONNECT_SECONDS = 1.5

type Connect = Callable[[float | None], Connection]
"""Makes a connection that connects with its first command. Takes the seconds that an answer may
take; None for one that waits for messages."""

_FORMS = (
    "write redis://HOST:PORT, or rediss:// for TLS, with USER:PASSWORD@ before the host and "
    "/NUMBER after the port where the database has them; ?prefix=NAME: keeps several applications "
    "apart in one database"
)


def connector(url: str) -> tuple[Connect, str]:
    """Return what connects to the database at ``url``, and the prefix of its keys.

    Raises ConfigError that says what to write, and shows no password.
    """
    try:
        from redis.asyncio.connection import Connection, SSLConnection
    except ImportError as error:
        raise ConfigError(
            "redis:// and rediss:// need the package redis: pip install 'lastevent[redis]'"
        ) from error
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ConfigError(_FORMS) from None
    database = parts.path.strip("/") or "0"
    if parts.scheme not in ("redis", "rediss") or not parts.hostname or parts.fragment:
        raise ConfigError(_FORMS)
    if not (database.isascii() and database.isdigit() and len(database) < 6):
        raise ConfigError(_FORMS)
    options: dict[str, Any] = {
        "host": parts.hostname,
        "port": port,
        "db": int(database),
        "username": unquote(parts.username or "") or None,
        "password": unquote(parts.password or "") or None,
        "socket_connect_timeout": CONNECT_SECONDS,
        "decode_responses": True,
        "protocol": 2,
        "driver_info": None,  # would be looked up on the disk, and sent in two commands
    }
    kind = SSLConnection if parts.scheme == "rediss" else Connection

    def connect(answer_seconds: float | None) -> "Connection":
        # What others publish may be any bytes; the store's own is text.
        errors = "replace" if answer_seconds is None else "strict"
        return kind(socket_timeout=answer_seconds, encoding_errors=errors, **options)

    return connect, prefix_of(query)


def translated(error: Exception) -> Exception:
    """Return a new error of ours for what a connection raised, or ``error`` if it is of no kind."""
    from redis import exceptions

    codes: dict[type[Exception], str] = {
        # The package takes the code off these replies.
        exceptions.NoScriptError: "NOSCRIPT",
        exceptions.BusyLoadingError: "LOADING",
        exceptions.ReadOnlyError: "READONLY",
        exceptions.MasterDownError: "MASTERDOWN",
        exceptions.TryAgainError: "TRYAGAIN",
        exceptions.NoPermissionError: "NOPERM",
        exceptions.AuthenticationError: "WRONGPASS",
        exceptions.OutOfMemoryError: "OOM",
    }
    for kind, code in codes.items():
        if isinstance(error, kind):
            return refusal(f"{code} {error}")
    if isinstance(error, exceptions.ResponseError):
        return refusal(str(error))
    if isinstance(error, UnicodeEncodeError):
        return InvalidRequest("text for the store holds half a surrogate pair")
    if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
        return Lost("the Redis database does not answer")
    if isinstance(error, (exceptions.RedisError, OSError)):
        return Lost("the Redis database cannot be reached")
    return error


class Lost(StoreUnavailable):
    """The connection failed, and nobody knows what became of the command."""
