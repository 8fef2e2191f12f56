"""Upstash's REST API: https://upstash.com/docs/redis/features/restapi

Spoken over connections of our own (http). The SDK, upstash-redis, has no time limits, sends a call
again that it knows nothing of, does not look at the HTTP status, and breaks in a second event loop.

What is sent and answered is text: the API's base64 form, meant for binary values, would cost a
quarter more bytes.
"""

import asyncio
import json
import random
from collections import Counter
from typing import NamedTuple, NoReturn

from lastevent.core.errors import InvalidRequest, StoreUnavailable, TooLarge, Transient
from lastevent.stores.upstash.commands import Reply, Word, refusal
from lastevent.stores.upstash.http import (
    Connections,
    Http,
    HttpFailure,
    HttpTimeout,
    Response,
)

MAX_REQUEST_BYTES = 10 * 1000 * 1000
"""https://upstash.com/docs/redis/troubleshooting/max_request_size_exceeded"""

MAX_ANSWER_BYTES = 16 * 1024 * 1024
SYNC_TOKEN = "upstash-sync-token"
"""Sent again, it has a replica wait until it knows what this process has been answered before:
https://upstash.com/docs/redis/howto/readyourwrites"""

_AGAIN = frozenset({429, 500, 502, 503, 504})


class Patience(NamedTuple):
    """How long to wait, in seconds: to connect, for an answer, and in all.

    ``pauses`` are those before a call is made again, up to half as long by chance. The first is
    none: a connection that was kept has often died while the process was frozen.
    """

    connect: float = 1.5
    answer: float = 3.0
    total: float = 5.0
    pauses: tuple[float, ...] = (0.0, 0.1, 0.3, 0.9)


class _Trouble(Exception):
    """A call failed in a way that may pass. ``after``: the seconds that the server asked for."""

    def __init__(self, error: Transient, after: float = 0.0) -> None:
        super().__init__(error)
        self.error = error
        self.after = after


class Rest:
    """commands.Commands, by requests to ``url`` with ``token``.

    Each write recognises itself when it comes again, so that a call whose answer was lost is
    simply made once more.
    """

    key_locking = True

    def __init__(self, url: str, token: str, patience: Patience = Patience()) -> None:
        self.usage: Counter[str] = Counter()
        self._http = Http(url, token)
        self._patience = patience
        self._opening: asyncio.Task[Connections] | None = None
        self._sync_token: str | None = None
        self._closed = False

    async def call(self, *words: Word) -> Reply:
        name, body = str(words[0]), _encoded(words)
        try:
            async with asyncio.timeout(self._patience.total):
                return await self._insist(name, body)
        except TimeoutError as error:
            raise StoreUnavailable("the Upstash database did not answer in time") from error

    async def open(self) -> Connections:
        """Return new connections to the database, for whoever wants some of his own."""
        return await self._http.open()

    async def close(self) -> None:
        self._closed = True
        opening, self._opening = self._opening, None
        if opening is not None and opening.get_loop() is asyncio.get_running_loop():
            await (await opening).aclose()

    async def _connections(self) -> Connections:
        """Return those of the running loop: in another they are of no use."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        loop = asyncio.get_running_loop()
        if self._opening is None or self._opening.get_loop() is not loop:
            self._opening = loop.create_task(self.open())
        try:
            return await asyncio.shield(self._opening)
        except StoreUnavailable:
            self._opening = None
            raise

    async def _insist(self, name: str, body: bytes) -> Reply:
        """Make a call, and make it again while it fails in ways that pass."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience.total
        for pause in self._patience.pauses:
            try:
                return await self._once(name, body)
            except _Trouble as trouble:
                pause = max(trouble.after, pause * random.uniform(0.5, 1.0))
                if loop.time() + pause > deadline:
                    raise trouble.error from trouble
            await asyncio.sleep(pause)
        try:
            return await self._once(name, body)
        except _Trouble as trouble:
            raise trouble.error from trouble

    async def _once(self, name: str, body: bytes) -> Reply:
        connections = await self._connections()
        headers = [(b"Content-Type", b"application/json")]
        # Who asks for a replica judges its answer, and wants it now rather than up to date.
        if self._sync_token is not None and not name.endswith("_RO"):
            headers.append((SYNC_TOKEN.encode(), self._sync_token.encode("latin-1")))
        self.usage[name] += 1
        patience = self._patience
        try:
            async with connections.post(
                "/", headers, body, connect=patience.connect, answer=patience.answer
            ) as answer:
                self._sync_token = answer.header(SYNC_TOKEN) or self._sync_token
                text = await _content(answer)
        except HttpTimeout as error:
            raise _Trouble(StoreUnavailable("the Upstash database does not answer")) from error
        except HttpFailure as error:
            raise _Trouble(StoreUnavailable("the Upstash database cannot be reached")) from error
        if answer.status not in (200, 400):
            _refuse(answer)
        return _result(text)


def _encoded(words: tuple[Word, ...]) -> bytes:
    try:
        # All as text: JSON's numbers are doubles to many, and come out as 1e+14.
        texts = [str(word) for word in words]
        body = json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest("text for the store holds half a surrogate pair") from error
    if len(body) > MAX_REQUEST_BYTES:
        raise TooLarge("this is more than Upstash takes in one request, 10 MB")
    return body


async def _content(answer: Response) -> bytes:
    parts, size = [], 0
    async for part in answer.pieces():
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise StoreUnavailable("the Upstash database answers more than it may")
        parts.append(part)
    return b"".join(parts)


def _refuse(answer: Response) -> NoReturn:
    """Raise the error for an HTTP status that brings no reply."""
    status = answer.status
    if status in (401, 403):
        raise StoreUnavailable(
            "the Upstash database refused the token: check UPSTASH_REDIS_REST_TOKEN, or the one in "
            "the store's URL"
        )
    if status == 413:
        raise TooLarge("this is more than Upstash takes in one request")
    if status == 429:
        raise _Trouble(Transient("the Upstash database is asked too often"), _retry_after(answer))
    if status in _AGAIN:
        error = StoreUnavailable(f"the Upstash database fails (HTTP {status})")
        raise _Trouble(error, _retry_after(answer))
    raise StoreUnavailable(f"no Upstash database answers at this address (HTTP {status})")


def _retry_after(answer: Response) -> float:
    """Return the seconds of Retry-After. Its other form, a date, is not worth a clock here."""
    text = answer.header("retry-after") or ""
    try:
        return max(0.0, float(text)) if len(text) < 10 else 0.0
    except ValueError:
        return 0.0


def _result(text: bytes) -> Reply:
    try:
        answer = json.loads(text)
        if "error" in answer:
            error: Exception = refusal(str(answer["error"]))
        else:
            result: Reply = answer["result"]
            return result
    except (ValueError, TypeError, KeyError) as cause:
        raise StoreUnavailable("what answers is not an Upstash database") from cause
    raise _Trouble(error) if type(error) is Transient else error
