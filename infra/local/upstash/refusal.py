"""What the REST API answers in place of the store: the documented errors and limits."""

MAX_REQUEST_BYTES = 10 * 1024 * 1024
"""Troubleshooting, "ERR max request size exceeded"; the service applies it to answers, too."""

MAX_KEY_BYTES = 32 * 1024
"""Troubleshooting, "ERR max key size exceeded"."""


class Refused(Exception):
    """A request that is not carried out, or whose answer is not given.

    ``retry_after`` is in seconds, for the header of that name.
    """

    def __init__(self, text: str, status: int = 400, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
        self.retry_after = retry_after


def too_large(actual: int, limit: int = MAX_REQUEST_BYTES, what: str = "request") -> Refused:
    """Say that a limit is exceeded, in the service's words."""
    return Refused(f"ERR max {what} size exceeded. Limit: {limit} bytes, Actual: {actual} bytes")


def unauthorized() -> Refused:
    """Say that the token is missing or wrong (Troubleshooting, same title)."""
    return Refused("WRONGPASS invalid or missing auth token", 401)


def not_available(name: str) -> Refused:
    """Say that the REST API does not have a command."""
    return Refused(
        f"ERR Command is not available: '{name}'. "
        "See https://upstash.com/docs/redis/overall/compatibility for details"
    )


def no_permission(name: str) -> Refused:
    """Say that the token may not run a command."""
    return Refused(
        f"NOPERM this user has no permissions to run the '{name.lower()}' command or its subcommand"
    )


def unavailable() -> Refused:
    """Say that the store does not answer. Not documented; an outcome that nobody knows."""
    return Refused("ERR the database is not available", 503)
