"""One response of an event stream, as messages."""

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Self

from lastevent.client.transport import TryLater, check_answer, host_of, passing_trouble
from lastevent.core.errors import InvalidRequest
from lastevent.core.wire import CONTENT_TYPE, Decoder, Message

if TYPE_CHECKING:
    import httpx


class Connection:
    """A response whose body is being read; ``async with`` closes it."""

    def __init__(self, response: "httpx.Response", host: str, max_event_bytes: int) -> None:
        self.is_finished = response.status_code == 204
        """Whether the server says that there is nothing more, now or later."""
        self._response = response
        self._chunks: AsyncIterator[bytes] = response.aiter_bytes()
        self._decoder = Decoder(max_bytes=max_event_bytes)
        self._host = host

    @classmethod
    async def open(
        cls,
        client: "httpx.AsyncClient",
        url: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        max_event_bytes: int,
    ) -> Self:
        """Make the request; raise TryLater, or the error that a refusal tells."""
        import httpx

        host = host_of(url)
        request = client.build_request(
            "GET",
            httpx.URL(url).copy_merge_params(dict(query)),
            # An id may hold any character, and goes back in UTF-8 (WHATWG HTML §9.2.3).
            headers=[(name.encode(), value.encode()) for name, value in headers.items()],
        )
        with passing_trouble(host):
            response = await client.send(request, stream=True)
            try:
                await check_answer(response)
                kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                if response.status_code != 204 and kind != CONTENT_TYPE:
                    raise InvalidRequest(
                        f"{host} answers with {kind or 'nothing'!r} and not with an event stream: "
                        "is this the address of one?"
                    )
            except BaseException:
                await response.aclose()
                raise
        return cls(response, host, max_event_bytes)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._response.aclose()

    async def read(self) -> list[Message]:
        """Return the messages that the next bytes complete, perhaps none.

        Raises TryLater at the end of the body: a leg that says nothing of its end was cut. Raises
        TooLarge for a message over the limit.
        """
        with passing_trouble(self._host):
            async for chunk in self._chunks:
                return self._decoder.feed(chunk)
        raise TryLater(f"the connection to {self._host} was cut")

    async def drain(self) -> None:
        """Read what is left and forget it, so that the connection can serve the next request."""
        with passing_trouble(self._host):
            async for _ in self._chunks:
                pass
