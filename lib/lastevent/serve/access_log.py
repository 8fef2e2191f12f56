"""Keeps tokens out of uvicorn's access log, which writes whole query strings (RULES 24)."""

import logging
import re

_TOKEN = re.compile(r"((?:^|[?&;])(?:token|access_token|api_key)=)[^&;\s\"]*", re.IGNORECASE)


def redact(text: str) -> str:
    """Return ``text`` with the values of secret query parameters replaced."""
    return _TOKEN.sub(r"\1[redacted]", text)


class _Redaction(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(redact(a) if isinstance(a, str) else a for a in record.args)
        return True


def redact_access_log() -> None:
    """Filter uvicorn's loggers; calling it again changes nothing."""
    for name in ("uvicorn.access", "uvicorn.error", "uvicorn.asgi", "lastevent"):
        logger = logging.getLogger(name)
        if not any(isinstance(known, _Redaction) for known in logger.filters):
            logger.addFilter(_Redaction())
