"""Errors as Lambda wants to be told of them (Lambda Developer Guide, "Runtime API").

Whoever invokes the function may read them, so only sentences that were written to be shown go out.
Of anything else the caller learns the kind and the place; the log has the rest.
"""

import base64
import json
import traceback
from dataclasses import dataclass
from typing import Self

from lastevent.core.errors import LastEventError

ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
ERROR_BODY = "Lambda-Runtime-Function-Error-Body"
MAX_FRAMES = 20
"""How much of a stack trace is told: the innermost calls."""


class UnsupportedEvent(LastEventError):
    """The invocation is neither an HTTP request nor a task."""


class IncompleteResponse(LastEventError):
    """The application returned before its response was whole, or had begun."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong: its kind, a sentence, and where in the code; no values."""

    type: str
    message: str
    trace: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Return what may be told of an error."""
        kind = type(error).__name__
        if is_told(error):
            return cls(kind, str(error))
        frames = traceback.format_tb(error.__traceback__)[-MAX_FRAMES:]
        return cls(kind, "unexpected; the function's log says more", tuple(frames))

    @property
    def header(self) -> tuple[str, str]:
        """The header, or trailer, that names the kind."""
        return ERROR_TYPE, self.type.encode("ascii", "replace").decode()

    def body(self, request_id: str = "") -> bytes:
        """Return the JSON document; the same fields as those of Lambda's own Python runtime."""
        fields = {
            "errorMessage": self.message,
            "errorType": self.type,
            "requestId": request_id,
            "stackTrace": list(self.trace),
        }
        return json.dumps(fields).encode()

    def trailers(self, request_id: str) -> list[tuple[str, str]]:
        """Return what tells of an error after the first byte of a streamed response."""
        body = base64.b64encode(self.body(request_id)).decode()
        return [self.header, (ERROR_BODY, body)]


def is_told(error: BaseException) -> bool:
    """Whether an error's message says all, and may be shown."""
    return isinstance(error, LastEventError | ImportError)
