"""What the API answers in place of what was asked for (REST API, "Errors")."""

import time
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response

GATEWAY = frozenset({502, 503, 504})


class Refused(Exception):
    """A request that is refused; the body is the vendor's, `{"error": {"code", "message", …}}`.

    ``more`` goes into the body's error, ``headers`` into the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        more: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self._error = {"code": code, "message": message, **(more or {})}
        self._headers = headers or {}

    def response(self) -> Response:
        """Return the answer. What a gateway says in the API's place is a page, not JSON."""
        if self.status in GATEWAY:
            page = f"<html><title>{self.status}</title><body>{self}</body></html>"
            return HTMLResponse(page, self.status, self._headers)
        return JSONResponse({"error": self._error}, self.status, self._headers)


def missing_token() -> Refused:
    """Say that the request has no token; the status and the marks are what the CLI's tests have."""
    message = "The request is missing an authentication token"
    return Refused(403, "forbidden", message, {"missingToken": True})


def invalid_token() -> Refused:
    """Say that nobody has this token."""
    return Refused(403, "forbidden", "Not authorized", {"invalidToken": True})


def forbidden() -> Refused:
    """Say that it belongs to others."""
    return Refused(403, "forbidden", "You don't have permission to access this resource.")


def not_found(what: str, id: str) -> Refused:
    """Say that it does not exist in the scope that was asked."""
    return Refused(404, "not_found", f"Could not find the {what}: {id}")


def gone(id: str) -> Refused:
    """Say that it existed. The status is one of the documented ones; the text is not."""
    return Refused(410, "gone", f"The logs are no longer available: {id}")


def bad_request(message: str) -> Refused:
    """Say what is wrong with the request."""
    return Refused(400, "bad_request", message)


def too_large(limit: int) -> Refused:
    """Say that the body is too large."""
    return Refused(413, "request_entity_too_large", f"A body has at most {limit} bytes")


def missing_files(digests: list[str]) -> Refused:
    """Say which files have to be uploaded first (`@vercel/client`, upload.ts)."""
    return Refused(400, "missing_files", "Missing files", {"missing": digests})


def missing_project_settings() -> Refused:
    """Say that a new project's settings are neither given nor left to be found out."""
    message = (
        "The `projectSettings` object is required for new projects, "
        "but is missing in the deployment payload"
    )
    return Refused(400, "missing_project_settings", message)


def failed(status: int, retry_after: float | None) -> Refused:
    """Refuse with a fault's status; a 429 says in both ways when to come back."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    if status != 429:
        return Refused(status, "internal_server_error", "An unexpected error occurred", {}, headers)
    reset_ms = round((time.time() + (retry_after or 0)) * 1000)
    limit = {"remaining": 0, "reset": reset_ms // 1000, "resetMs": reset_ms, "total": 120}
    headers |= {
        "X-RateLimit-Limit": "120",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(reset_ms // 1000),
    }
    message = f"The rate limit of 120 exceeded for 'api-local'. Try again in {retry_after or 0:g} s"
    return Refused(429, "rate_limited", message, {"limit": limit}, headers)
