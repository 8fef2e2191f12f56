"""Every error that Lastevent raises on purpose, in one tree.

    LastEventError
    ├── ConfigError            the settings are wrong; the process does not start
    ├── InvalidRequest    400  a value that can never be right
    │   ├── InvalidName        a stream name or pattern
    │   ├── InvalidCursor      a cursor that nobody issued
    │   └── InvalidEvent       an event that cannot be written
    ├── Unauthenticated   401  no token, or one that is not valid
    ├── Forbidden         403  a valid identity that may not do this
    ├── NotFound          404  no such document
    ├── Conflict          409  the state is not the one that the caller expected
    │   ├── StreamClosed       the stream takes no more events
    │   └── Fenced             another holder has taken the lease
    ├── CursorExpired     410  events after this cursor are gone
    ├── TooLarge          413  a body, an event or a batch over its limit
    ├── KeyReused         422  an idempotency key seen before with a different body
    ├── TooManyRequests   429  a caller over its rate
    ├── UpstreamRefused   502  an outside service will never do what is asked
    └── Transient         503  trouble that passes; the same call may be made again
        ├── StoreUnavailable   the store does not answer
        └── UpstreamLost       an outside service does not answer, or not now

Each carries the HTTP status and the title of its problem document (RFC 9457).
"""

from typing import ClassVar


class LastEventError(Exception):
    """The root. ``str(error)`` is a sentence that may be shown to the caller."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"


class ConfigError(LastEventError):
    """A setting is missing or wrong; the message says what to write."""

    title = "Wrong configuration"


class InvalidRequest(LastEventError):
    """A value in the request can never be right."""

    status = 400
    title = "Invalid request"


class InvalidName(InvalidRequest):
    """Not a stream name, or not a stream pattern."""

    title = "Invalid stream name"


class InvalidCursor(InvalidRequest):
    """Not a cursor that any server issued."""

    title = "Invalid cursor"


class InvalidEvent(InvalidRequest):
    """The event cannot be written as it is."""

    title = "Invalid event"


class Unauthenticated(LastEventError):
    """No token, or one that is not valid."""

    status = 401
    title = "Not authenticated"


class Forbidden(LastEventError):
    """A valid identity that may not do this."""

    status = 403
    title = "Not allowed"


class NotFound(LastEventError):
    """No such document."""

    status = 404
    title = "Not found"


class Conflict(LastEventError):
    """The state is not the one that the caller expected."""

    status = 409
    title = "Conflict"


class StreamClosed(Conflict):
    """The stream is closed and takes no more events."""

    title = "Stream closed"


class Fenced(Conflict):
    """A later holder of the lease has written its token: this writer must stop."""

    title = "Fenced"


class CursorExpired(LastEventError):
    """Events after this cursor are gone: trimmed, expired, or of a deleted stream."""

    status = 410
    title = "Cursor expired"


class TooLarge(LastEventError):
    """A body, an event or a batch is over its limit."""

    status = 413
    title = "Too large"


class KeyReused(LastEventError):
    """The idempotency key came before, with a different body."""

    status = 422
    title = "Idempotency key reused"


class TooManyRequests(LastEventError):
    """The caller is over its rate. ``retry_after``: the seconds after which it may ask again."""

    status = 429
    title = "Too many requests"

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UpstreamRefused(LastEventError):
    """An outside service answers, and will never do what is asked of it."""

    status = 502
    title = "Refused upstream"


class Transient(LastEventError):
    """Trouble that passes: the same call may be made again, after a pause."""

    status = 503
    title = "Temporarily unavailable"


class StoreUnavailable(Transient):
    """The store does not answer, or not in time."""

    title = "Store unavailable"


class UpstreamLost(Transient):
    """An outside service does not answer, or says that it cannot now.

    ``retry_after``: the seconds after which it wants to be asked again, None if it did not say.
    """

    title = "Upstream unavailable"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
