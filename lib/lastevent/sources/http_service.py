"""An outside service that is asked by HTTP, each time within limits of time and size.

Its key stays between us: no proxy of the environment sees it, no redirect carries it elsewhere, and
no error shows what the HTTP client knows.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from lastevent import __version__
from lastevent.core.errors import UpstreamLost, UpstreamRefused
from lastevent.sources.http_status import trouble
from lastevent.sources.tls import client_context

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 5.0


class AnswerTooLarge(UpstreamRefused):
    """The service's answer is over its limit: no more of it was read."""


class Answer(NamedTuple):
    """What a service answered, whatever the status; ``who`` it is, as a part of a sentence."""

    who: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def trouble(self, what: str) -> UpstreamLost | UpstreamRefused | None:
        """Return what a status means for ``what`` was asked about; None if it is 2xx."""
        if 200 <= self.status < 300:
            return None
        return trouble(self.status, self.headers.get("retry-after"), self.who, what)


class HttpService:
    """A service, ``who`` as errors name it. Belongs to one event loop.

    ``headers`` are sent with each request. ``connections``: the most at once; without
    ``keeps_alive`` each serves one request.
    """

    def __init__(
        self,
        who: str,
        headers: Mapping[str, str],
        *,
        connections: int = 32,
        keeps_alive: bool = True,
    ) -> None:
        self._who = who
        self._headers = {"User-Agent": f"lastevent/{__version__}", **headers}
        self._connections = connections
        self._kept = connections if keeps_alive else 0
        self._client: httpx.AsyncClient | None = None

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def ask(
        self,
        method: str,
        url: str,
        *,
        seconds: float,
        most_bytes: int,
        repeat: bool = False,
        **request: Any,
    ) -> Answer:
        """Return the whole answer to a request, made as httpx's ``build_request`` does.

        Raises UpstreamLost if there is none within ``seconds``, AnswerTooLarge if it has over
        ``most_bytes``. ``repeat``: it is sent once more, at once, where the connection breaks.
        """
        import httpx

        client = await self.client()
        asked = client.build_request(method, url, **request)
        try:
            async with asyncio.timeout(seconds):
                answer = await _sent(client, asked, repeat)
                try:
                    body = await whole(answer.aiter_bytes(), most_bytes, self._who)
                finally:
                    await answer.aclose()
        except (TimeoutError, httpx.TimeoutException):
            raise UpstreamLost(f"{self._who} does not answer in time") from None
        except httpx.HTTPError:
            raise UpstreamLost(f"{self._who} does not answer") from None
        return Answer(self._who, answer.status_code, answer.headers, body)

    async def client(self) -> "httpx.AsyncClient":
        """Return the client, made at the first call: it has no limit of time but for connecting."""
        import httpx

        if self._client is None:
            context = await client_context()
        if self._client is None:  # another call may have made it meanwhile
            self._client = httpx.AsyncClient(
                headers=self._headers,
                verify=context,
                trust_env=False,
                follow_redirects=False,
                timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
                limits=httpx.Limits(
                    max_connections=self._connections, max_keepalive_connections=self._kept
                ),
            )
        return self._client


async def whole(pieces: AsyncIterator[bytes], most_bytes: int, who: str) -> bytes:
    """Return the body of ``who``'s answer; raise AnswerTooLarge over ``most_bytes``."""
    found: list[bytes] = []
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > most_bytes:
            raise AnswerTooLarge(f"{who}'s answer has over {most_bytes} bytes")
        found.append(piece)
    return b"".join(found)


async def _sent(
    client: "httpx.AsyncClient", request: "httpx.Request", repeat: bool
) -> "httpx.Response":
    import httpx

    try:
        return await client.send(request, stream=True)
    except (httpx.NetworkError, httpx.RemoteProtocolError):
        # As a rule a connection that the other side closed while we were quiet, or frozen.
        if not repeat:
            raise
        return await client.send(request, stream=True)
