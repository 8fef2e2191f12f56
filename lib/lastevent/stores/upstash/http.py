"""HTTP to the database, by httpcore: the engine of httpx, without what httpx lays around it.

Cookies, redirects, merged URLs and hooks are of no use here, and took a third of a call's time and
30 ms of a cold start.
"""

import asyncio
import ssl
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

import httpcore

from lastevent import __version__
from lastevent.core.errors import StoreUnavailable

MAX_CONNECTIONS = 64
IDLE_SECONDS = 60.0
"""How long a connection is kept for the next call."""

type Headers = list[tuple[bytes, bytes]]

FAILURES = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)
"""What a request may raise."""


class Http:
    """Makes connections to the database at ``url``; knows no event loop itself."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = [
            (b"Authorization", f"Bearer {token}".encode()),
            (b"User-Agent", f"lastevent/{__version__}".encode()),
            (b"Accept-Encoding", b"identity"),
        ]
        self._context: ssl.SSLContext | None = None

    async def open(self) -> "Connections":
        """Return connections for the running loop; none is made yet. Raises StoreUnavailable."""
        if self._context is None and self._url.startswith("https:"):
            try:  # in a thread, since it reads certificates
                self._context = await asyncio.to_thread(httpcore.default_ssl_context)
            except OSError as error:
                raise StoreUnavailable("the certificates of authorities cannot be read") from error
        return Connections(self._url, self._headers, self._context)


class Connections:
    """Connections of one event loop, made and kept as they are needed."""

    def __init__(self, url: str, headers: Headers, context: ssl.SSLContext | None) -> None:
        self._url = url
        self._headers = headers
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
        )

    def post(
        self,
        path: str,
        headers: Headers,
        body: bytes = b"",
        *,
        connect: float,
        answer: float | None,
    ) -> AbstractAsyncContextManager[httpcore.Response]:
        """Return the response to a POST, to be entered; raises one of FAILURES.

        Waits ``connect`` seconds for a connection, ``answer`` for each piece of what comes, or for
        ever. Redirects are not followed: the token would go to whatever address they name.
        """
        limits = {"connect": connect, "pool": connect, "write": connect, "read": answer}
        return self._pool.stream(
            "POST",
            self._url + path,
            headers=self._headers + headers,
            content=body,
            extensions={"timeout": limits},
        )

    async def aclose(self) -> None:
        """End the connections."""
        await self._pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


def header(response: httpcore.Response, name: str) -> str | None:
    """Return a header of a response; ``name`` in small letters."""
    wanted = name.encode()
    for key, value in response.headers:
        if key.lower() == wanted:
            return value.decode("latin-1")
    return None
