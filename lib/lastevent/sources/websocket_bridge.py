"""A job's updates from a WebSocket: connected to, joined, and read until the job is over.

The connection is one of the library ``websockets``, without what it would do by itself: it does
not reconnect (the pump does), follows no redirect (the key would go along), uses no proxy, and does
not ping, since a reader that its store holds back would not see the answers. A service that is
silent is asked here; its answer also proves that nothing it said is missing.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidStatus,
    WebSocketException,
)

from lastevent.core.errors import UpstreamLost, UpstreamRefused
from lastevent.sources.base import MAX_BATCH_BYTES, Batch
from lastevent.sources.http_status import trouble
from lastevent.sources.job_updates import MAX_EVENT_BYTES, Unreadable, Update
from lastevent.sources.job_upstream import JobUpstream
from lastevent.sources.tls import client_context
from lastevent.stores.base import MAX_BATCH_EVENTS

log = logging.getLogger("lastevent")

WHO = "the external service"
MAX_MESSAGE_BYTES = 2**20
MAX_WAITING = 32
"""Messages that wait to be read; beyond it the network holds the service back."""

REFUSALS = frozenset({1008, 4400, 4401, 4403, 4404})
"""Close codes that a new connection would meet again: "policy violation" (RFC 6455 §7.4.1), and the
private ones that many services make of HTTP statuses."""

_MAX_REASON = 200

# What the library writes for those who debug it holds headers, and the key with them.
_silent = logging.Logger("websockets", logging.CRITICAL + 1)


class Limits(NamedTuple):
    """Seconds. ``open``: until the connection stands. ``joined``: until the service says that the
    joining succeeded, where it does. ``silent``: after which a service is pinged. ``pong``: until
    it answers that. ``close``: for the closing handshake."""

    open: float = 10.0
    joined: float = 10.0
    silent: float = 10.0
    pong: float = 10.0
    close: float = 0.5


class WebSocketBridge:
    """The updates of ``job`` at ``upstream``. A Source.

    Where the service tells a job's state on joining (``snapshot``), a position is the mark of what
    was told last, and telling just that again is no event.
    """

    def __init__(self, upstream: JobUpstream, job: str, limits: Limits = Limits()) -> None:
        self.replays = upstream.replays
        self._upstream = upstream
        self._job = job
        self._limits = limits
        self._passed_over: set[str] = set()

    async def read(self, position: str | None) -> AsyncGenerator[Batch]:
        """Yield the job's updates, as many in a batch as have arrived; see Source."""
        with self._translated():
            async with self._connection() as connection:
                updates = await self._join(connection)
                log.info("Connected to external service for job: %s", self._job)
                yield Batch()
                known = position if self.replays == "snapshot" else None
                heard = False
                while True:
                    updates = updates or await self._gather(connection)
                    if updates and not heard:
                        heard = True
                        self._must_not_refuse(updates[0])
                        if updates[0].mark == known:
                            updates = updates[1:]
                    batch = self._batch(updates)
                    yield batch
                    if batch.over:
                        return
                    updates = []

    async def _join(self, connection: ClientConnection) -> list[Update]:
        """Join the job; return what was already said of it before the joining was confirmed."""
        if (message := self._upstream.join_message(self._job)) is not None:
            async with asyncio.timeout(self._limits.open):
                await connection.send(message)
        if not self._upstream.mapper.waits_for_join:
            await self._ping(connection)  # frames are in order: once answered, it has arrived
            return []
        async with asyncio.timeout(self._limits.joined):
            while True:
                update = self._understood(await connection.recv(decode=False))
                if update is not None and update.kind == "joined":
                    return []
                if update is not None and update.kind != "ignored":
                    return [update]  # who speaks of the job has let us join

    async def _gather(self, connection: ClientConnection) -> list[Update]:
        """Return what has arrived; waits for a first message, or for proof that there is none."""
        updates: list[Update] = []
        size, wait = 0, self._limits.silent
        while len(updates) < MAX_BATCH_EVENTS and size <= MAX_BATCH_BYTES - MAX_EVENT_BYTES:
            try:
                async with asyncio.timeout(wait):
                    message = await connection.recv(decode=False)
            except TimeoutError:
                if not wait:
                    break
                await self._ping(connection)
            except ConnectionClosed:
                if not updates:
                    raise
                break  # the next call meets it again
            else:
                update = self._understood(message)
                if update is not None and update.kind not in ("joined", "ignored"):
                    updates.append(update)
                    size += update.event.size
            wait = 0.0
        return updates

    async def _ping(self, connection: ClientConnection) -> None:
        try:
            async with asyncio.timeout(self._limits.pong):
                await (await connection.ping())
        except TimeoutError:
            raise UpstreamLost(f"{WHO} is connected and does not answer") from None

    def _batch(self, updates: Sequence[Update]) -> Batch:
        events = []
        over = False
        for update in updates:
            events.append(update.event)
            if over := update.kind in ("done", "failed", "refused"):
                break
        if not events:
            return Batch()
        log.info("Forwarding progress update for job: %s", self._job)
        mark = updates[len(events) - 1].mark if self.replays == "snapshot" else None
        return Batch(events, mark, over)

    def _understood(self, message: bytes) -> Update | None:
        """Return what a message says of the job; None, and once a log line, if it says nothing."""
        try:
            return self._upstream.mapper.read(message, self._job)
        except Unreadable as error:
            if (reason := str(error)) not in self._passed_over:
                self._passed_over.add(reason)
                log.warning("a message for job %s is passed over: %s", self._job, reason)
            return None

    def _must_not_refuse(self, update: Update) -> None:
        if update.kind == "refused":
            raise UpstreamRefused(f"{WHO} refuses job {self._job}: {update.error[:_MAX_REASON]}")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[ClientConnection]:
        url, limits = self._upstream.address(self._job), self._limits
        connection = await _Connect(
            url,
            additional_headers=self._upstream.headers,
            user_agent_header=None,  # ours is among the headers
            proxy=None,
            open_timeout=limits.open,
            ping_interval=None,
            close_timeout=limits.close,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=MAX_WAITING,
            logger=_silent,
            ssl=await client_context() if url.startswith("wss:") else None,
        )
        try:
            yield connection
        finally:
            try:
                await connection.close()
            finally:
                connection.transport.abort()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except InvalidStatus as error:
            answer = error.response
            if answer.status_code < 300:
                raise UpstreamRefused(
                    f"{WHO} answers {answer.status_code}, so there is no WebSocket at this address"
                ) from error
            after = answer.headers.get("Retry-After")
            raise trouble(answer.status_code, after, WHO, f"job {self._job}") from error
        except ConnectionClosed as error:
            raise self._closed(error) from error
        except TimeoutError as error:
            raise UpstreamLost(f"{WHO} does not answer in time") from error
        except ssl.SSLCertVerificationError as error:
            raise UpstreamLost(f"the certificate of {WHO} is not accepted") from error
        except OSError as error:
            raise UpstreamLost(f"{WHO} cannot be reached") from error
        except WebSocketException as error:
            raise UpstreamLost(f"{WHO} does not answer as a WebSocket does") from error

    def _closed(self, error: ConnectionClosed) -> UpstreamLost | UpstreamRefused:
        if error.rcvd is None:
            if error.sent is not None and error.sent.code == 1009:
                return UpstreamLost(f"{WHO} sent a message of more than {MAX_MESSAGE_BYTES} bytes")
            return UpstreamLost(f"the connection to {WHO} was cut")
        code = error.rcvd.code
        reason = self._upstream.redacted(error.rcvd.reason)[:_MAX_REASON]
        said = f"{code} {reason}".strip()
        if code in REFUSALS:
            return UpstreamRefused(f"{WHO} refuses job {self._job} ({said})")
        return UpstreamLost(f"{WHO} closed the connection ({said})")


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc
