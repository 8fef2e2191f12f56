"""A job's state from an address that tells it, asked again and again until the job is over."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, NamedTuple

from lastevent.core.errors import UpstreamLost
from lastevent.sources.base import Batch, Replays
from lastevent.sources.http_status import trouble
from lastevent.sources.job_updates import Unreadable, Update
from lastevent.sources.job_upstream import JobUpstream
from lastevent.sources.tls import client_context

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("lastevent")

WHO = "the external service"
MAX_ANSWER_BYTES = 2**20
ANSWER_SECONDS = 10.0


class HttpPolling:
    """The state of ``job`` at ``upstream``. A Source.

    It is an event when what it says of the job has changed; what else the answer holds may differ
    each time. A position is the mark of what was told last.
    """

    replays: Replays = "snapshot"

    def __init__(self, upstream: JobUpstream, job: str) -> None:
        self._upstream = upstream
        self._job = job
        self._has_warned = False

    async def read(self, position: str | None) -> AsyncGenerator[Batch]:
        """Yield a batch after each poll, of an event if there is news; see Source."""
        async with await open_client(self._upstream) as client:
            is_first = True
            while True:
                update = await self._poll(client)
                if is_first:
                    log.info("Connected to external service for job: %s", self._job)
                    is_first = False
                if update is None or update.mark == position:
                    yield Batch()
                else:
                    position = update.mark
                    log.info("Forwarding progress update for job: %s", self._job)
                    over = update.kind in ("done", "failed", "refused")
                    yield Batch((update.event,), position, over)
                    if over:
                        return
                await asyncio.sleep(self._upstream.poll_seconds)

    async def _poll(self, client: "httpx.AsyncClient") -> Update | None:
        answer = await get(client, self._upstream.address(self._job))
        answer.must_be_success(f"job {self._job}")
        if answer.status == 204:
            return None
        try:
            update = self._upstream.mapper.read(answer.body, self._job)
        except Unreadable as error:
            if not self._has_warned:
                log.warning("the state of job %s is passed over: %s", self._job, error)
            self._has_warned = True
            return None
        return None if update.kind in ("joined", "ignored") else update


async def open_client(upstream: JobUpstream) -> "httpx.AsyncClient":
    """Return a client for the service: it sends the key, follows no redirect, uses no proxy."""
    import httpx

    return httpx.AsyncClient(
        headers=upstream.headers,
        verify=await client_context(),
        trust_env=False,
        follow_redirects=False,
        timeout=ANSWER_SECONDS,
    )


class Answer(NamedTuple):
    """What the service answered."""

    status: int
    body: bytes
    retry_after: str | None

    def must_be_success(self, what: str) -> None:
        """Raise what a status that is not 2xx means for ``what`` was asked about."""
        if not 200 <= self.status < 300:
            raise trouble(self.status, self.retry_after, WHO, what)


async def get(client: "httpx.AsyncClient", url: str) -> Answer:
    """Return the answer to a GET.

    Raises UpstreamLost if there is none within ANSWER_SECONDS, or it has more than
    MAX_ANSWER_BYTES.
    """
    import httpx

    try:
        async with asyncio.timeout(ANSWER_SECONDS), client.stream("GET", url) as answer:
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    raise UpstreamLost(f"{WHO} answers with more than {MAX_ANSWER_BYTES} bytes")
            return Answer(answer.status_code, bytes(body), answer.headers.get("Retry-After"))
    except (TimeoutError, httpx.TimeoutException) as error:
        raise UpstreamLost(f"{WHO} does not answer in time") from error
    except httpx.HTTPError as error:
        raise UpstreamLost(f"{WHO} cannot be reached") from error
