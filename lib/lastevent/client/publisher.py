"""Publishing that may be retried: each publish carries a key, made before its first try.

The server keeps a key for a day and answers a repetition as it answered the first time (RULES 9);
a publish gives up after ``give_up_after`` seconds, far sooner.
"""

import asyncio
import json
import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from lastevent.client.backoff import Backoff
from lastevent.client.transport import (
    Credentials,
    Token,
    TryLater,
    check_answer,
    check_url,
    host_of,
    open_client,
    passing_trouble,
    read_answer,
)
from lastevent.core.errors import InvalidEvent, InvalidRequest, Transient, Unauthenticated

if TYPE_CHECKING:
    import httpx

MAX_KEY_LENGTH = 255
LONGEST_GIVE_UP = 3600.0
"""Seconds: retries must end long before the server forgets the key."""


@dataclass(frozen=True, slots=True)
class Published:
    """The answer to a publish: the events' ids in order, and the position after the last."""

    ids: tuple[str, ...]
    cursor: str
    closed: bool


class Publisher:
    """Appends to one stream. Publishes that are awaited one after the other keep their order.

    ``url``: of the stream. ``token`` (see transport.Token) or ``api_key`` says who publishes.
    ``timeout``: seconds for one try; ``give_up_after``: for all tries of a publish together.
    Connection errors, time-outs, 408, 429 and 5xx are tried again; what gives up raises Transient,
    and may nevertheless have been written. Any other refusal raises its error at once, such as
    InvalidEvent, Forbidden, StreamClosed, TooLarge, KeyReused. Nothing is split: a batch over the
    server's limit is refused whole.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Token = None,
        api_key: str | None = None,
        timeout: float = 10.0,
        give_up_after: float = 60.0,
        backoff: Backoff = Backoff(first=0.5, longest=10.0),
    ) -> None:
        if not 0 < give_up_after <= LONGEST_GIVE_UP:
            raise InvalidRequest(f"give_up_after is at most {LONGEST_GIVE_UP:g} seconds")
        self._url = check_url(url)
        self._host = host_of(url)
        self._credentials = Credentials(token, api_key)
        self._timeout = timeout
        self._give_up_after = give_up_after
        self._backoff = backoff
        self._client: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; a later publish opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def publish(
        self, type: str, data: Any, *, close: bool = False, key: str | None = None
    ) -> Published:
        """Append one event, and close the stream if asked to, in one step.

        ``data``: a str is stored as that text, anything else as its JSON text. ``key`` makes the
        publish the same one across processes; without it each call has its own.
        """
        return await self.publish_batch([(type, data)], close=close, key=key)

    async def publish_batch(
        self, events: Iterable[tuple[str, Any]], *, close: bool = False, key: str | None = None
    ) -> Published:
        """Append all ``events``, pairs of type and data, in order and in one step, or none."""
        body = _body(events, close)
        key = uuid.uuid4().hex if key is None else _checked_key(key)
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        client = await self._open()
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._give_up_after
        failures, renewed = 0, False
        trouble: TryLater | None = None
        while True:
            seconds = min(self._timeout, give_up_at - loop.time())
            try:
                return await self._try(client, body, headers, seconds)
            except Unauthenticated:
                if renewed or not self._credentials.renew():
                    raise
                renewed = True
            except TryLater as error:
                failures += 1
                # A last try that had less than its time says nothing that is new.
                trouble = error if trouble is None or seconds == self._timeout else trouble
                pause = max(error.after, self._backoff.pause(failures, random.random()))
                if loop.time() + pause >= give_up_at:
                    raise Transient(f"gave up after {failures} tries: {trouble}") from error
                await asyncio.sleep(pause)

    async def close_stream(self) -> Published:
        """Close the stream: it takes no more events, and its readers come to an end."""
        return await self.publish_batch([], close=True)

    async def _open(self) -> "httpx.AsyncClient":
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # A warm function comes back in another event loop, where connections of the one before
            # can be neither used nor closed.
            self._loop, self._client, self._opening = loop, None, asyncio.Lock()
        async with self._opening:
            if self._client is None:
                self._client = await open_client(self._url)
            return self._client

    async def _try(
        self, client: "httpx.AsyncClient", body: bytes, headers: dict[str, str], seconds: float
    ) -> Published:
        limit = asyncio.timeout(seconds)
        try:
            with passing_trouble(self._host):
                async with limit:
                    headers = headers | await self._credentials.headers()
                    async with client.stream(
                        "POST", self._url, content=body, headers=headers
                    ) as response:
                        await check_answer(response)
                        return _published(await read_answer(response))
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise TryLater(f"{self._host} takes too long to answer") from error


def _checked_key(key: str) -> str:
    if not 1 <= len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise InvalidRequest(f"a key is 1 to {MAX_KEY_LENGTH} printable ASCII characters")
    return key


def _body(events: Iterable[tuple[str, Any]], close: bool) -> bytes:
    body: dict[str, Any] = {"events": [{"type": type, "data": data} for type, data in events]}
    if close:
        body["close"] = True
    try:
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.encode()
    except (TypeError, ValueError) as error:  # also text that is no valid Unicode
        raise InvalidEvent(f"an event's data cannot be written as JSON: {error}") from error


def _published(body: bytes) -> Published:
    try:
        answer = json.loads(body)
        ids = tuple(str(identifier) for identifier in answer["ids"])
        return Published(ids, str(answer["cursor"]), bool(answer["closed"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidRequest(
            "the answer is not that of a stream: is this the address of one?"
        ) from error
