"""Requests of the client: addresses, credentials, time limits, and what an answer means.

httpx is imported when the first request is made, off the event loop: with the certificates that it
reads it costs more than everything else here.
"""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from inspect import isawaitable
from time import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lastevent import __version__
from lastevent.core import errors
from lastevent.core.errors import InvalidRequest, LastEventError, Transient, Unauthenticated

if TYPE_CHECKING:
    import httpx

Token = str | Callable[[], str | Awaitable[str]] | None
"""A token, or what gives one: called at first, and when the server refuses what it gave."""

CONNECT_SECONDS = 10.0
WRITE_SECONDS = 10.0
MAX_ANSWER_BYTES = 1024 * 1024
MAX_DETAIL = 500


class TryLater(Transient):
    """A request failed in a way that passes. ``after``: the seconds that the server asked for."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


def check_url(url: str) -> str:
    """Return ``url`` if a request can be made to it; raise InvalidRequest otherwise."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidRequest("the address must be a URL such as http://host/api/streams/NAME")
    return url


def host_of(url: str) -> str:
    """Return what errors may show of ``url``: without user, path and query, it holds no secret."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


class Credentials:
    """What proves who calls: a token, or an API key, or nothing."""

    def __init__(self, token: Token = None, api_key: str | None = None) -> None:
        self._source = token if callable(token) else None
        self._token = None if callable(token) else _header_text(token)
        self._api_key = _header_text(api_key)

    async def headers(self) -> dict[str, str]:
        """Return the headers to send; asks for a token if none is at hand."""
        if self._source is not None and self._token is None:
            given = self._source()
            self._token = _header_text(await given if isawaitable(given) else given)
        headers = {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if self._api_key:
            headers["X-API-Key"] = self._api_key
        return headers

    def renew(self) -> bool:
        """Have the next request ask for a new token; return False if there is none to be had."""
        if self._source is None:
            return False
        self._token = None
        return True


def _header_text(secret: str | None) -> str | None:
    """Return a credential without the line end that files leave; it must fit into a header."""
    if secret is None:
        return None
    secret = secret.strip()
    if not secret.isascii() or not secret.isprintable():
        raise Unauthenticated("the token holds characters that no token has")
    return secret


async def open_client(url: str) -> "httpx.AsyncClient":
    """Return a client for requests to ``url``'s host."""
    return await asyncio.to_thread(_open_client, urlsplit(url).scheme == "https")


def _open_client(secure: bool) -> "httpx.AsyncClient":
    import httpx

    # Without TLS nobody looks at the context: an empty one, which trusts nobody, loads quickly.
    context = httpx.create_ssl_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Reading has no limit of its own here: the callers set one for each wait. Redirects are not
    # followed, since they would carry an API key to whatever address an answer names.
    return httpx.AsyncClient(
        verify=context,
        timeout=httpx.Timeout(None, connect=CONNECT_SECONDS, write=WRITE_SECONDS),
        follow_redirects=False,
        headers={"User-Agent": f"lastevent/{__version__}", "Accept-Encoding": "identity"},
    )


@contextmanager
def passing_trouble(host: str) -> Iterator[None]:
    """Turn what the network does into TryLater."""
    import httpx

    try:
        yield
    except httpx.ConnectError as error:
        raise TryLater(f"cannot connect to {host}: {error}") from error
    except httpx.TimeoutException as error:
        raise TryLater(f"{host} takes too long to answer") from error
    except httpx.RequestError as error:
        raise TryLater(f"the connection to {host} was cut") from error


async def read_answer(response: "httpx.Response") -> bytes:
    """Return a whole body; raise TooLarge over MAX_ANSWER_BYTES."""
    pieces: list[bytes] = []
    size = 0
    async for piece in response.aiter_bytes():
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            raise errors.TooLarge(f"the answer is over {MAX_ANSWER_BYTES} bytes")
        pieces.append(piece)
    return b"".join(pieces)


async def check_answer(response: "httpx.Response") -> None:
    """Return for a success; raise TryLater for 408, 429 and 5xx, else the error that it tells."""
    status = response.status_code
    if 200 <= status < 300:
        return
    error = error_of(status, await read_answer(response))
    if status in (408, 429) or status >= 500:
        raise TryLater(str(error), retry_after(response.headers.get("retry-after"), time()))
    raise error


def retry_after(value: str | None, now: float) -> float:
    """Return the seconds that a ``Retry-After`` asks for (RFC 9110 §10.2.3), 0 if it asks none."""
    if value is None:
        return 0.0
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:10])
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.fromtimestamp(now, UTC)).total_seconds())


def error_of(status: int, body: bytes) -> LastEventError:
    """Return the error that a refusal tells, with the server's own sentence if it sent one."""
    if 300 <= status < 400:
        return InvalidRequest(f"the server answers {status}: use the address that it redirects to")
    problem: object = None
    with suppress(ValueError):
        problem = json.loads(body)
    detail, name = "", ""
    if isinstance(problem, dict):
        detail = str(problem.get("detail") or problem.get("title") or "")
        name = str(problem.get("type", ""))
    kind = _BY_TYPE.get(name)
    if kind is None or kind.status != status:
        fallback = InvalidRequest if status < 500 else Transient
        kind = _BY_STATUS.get(status, fallback)
    return kind(_one_line(detail) or f"the server answers {status}")


def _one_line(text: str) -> str:
    """Return a foreign text so that it may be printed: short, and without control characters."""
    return "".join(char if char.isprintable() else " " for char in text[:MAX_DETAIL]).strip()


def _tree(kind: type[LastEventError]) -> Iterator[type[LastEventError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child)


def _problem_type(kind: type[LastEventError]) -> str:
    words = "".join(f"-{char.lower()}" if char.isupper() else char for char in kind.__name__)
    return f"urn:lastevent:problem:{words.removeprefix('-')}"


_BY_TYPE = {_problem_type(kind): kind for kind in _tree(LastEventError)}
_BY_STATUS: dict[int, type[LastEventError]] = {}
for _kind in _tree(LastEventError):
    if _kind.status != LastEventError.status:
        _BY_STATUS.setdefault(_kind.status, _kind)
