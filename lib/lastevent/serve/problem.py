"""Errors as problem documents (RFC 9457)."""

import json
import logging
from math import ceil

from starlette.exceptions import HTTPException
from starlette.responses import Response

from lastevent.core.errors import LastEventError, TooManyRequests, UpstreamLost

log = logging.getLogger("lastevent")

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1


def problem(error: Exception) -> Response:
    """Return the answer to a request that failed with ``error``.

    Our own errors say what to do. Anything else is a defect: it is logged, and the caller learns
    nothing of its inside.
    """
    headers: dict[str, str] = {}
    if isinstance(error, LastEventError) and error.status != 500:
        kind, title, status, detail = type(error).__name__, error.title, error.status, str(error)
    elif isinstance(error, HTTPException):
        kind, title, status, detail = "about:blank", error.detail, error.status_code, error.detail
        headers |= dict(error.headers or {})
    else:
        log.error("unexpected error", exc_info=error)
        kind, title, status = "about:blank", "Internal error", 500
        detail = "Something went wrong here; it has been logged."
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyRequests | UpstreamLost) and error.retry_after is not None:
        headers["Retry-After"] = str(max(1, ceil(error.retry_after)))
    if status in (429, 503):
        headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    body = {"type": _type(kind), "title": title, "status": status, "detail": detail}
    return Response(
        json.dumps(body),
        status,
        headers | {"Cache-Control": "no-store"},
        media_type=CONTENT_TYPE,
    )


def _type(kind: str) -> str:
    """Return a stable name of the problem; RFC 9457 §3.1.1 allows any URI."""
    if kind == "about:blank":
        return kind
    words = "".join(f"-{char.lower()}" if char.isupper() else char for char in kind)
    return f"urn:lastevent:problem:{words.removeprefix('-')}"
