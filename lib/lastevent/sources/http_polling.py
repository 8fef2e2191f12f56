"""A job's state from an address that tells it, asked again and again until the job is over."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from lastevent.core.errors import UpstreamLost
from lastevent.sources.base import Batch, Replays
from lastevent.sources.http_service import Answer, AnswerTooLarge, HttpService
from lastevent.sources.job_updates import Unreadable, Update
from lastevent.sources.job_upstream import JobUpstream

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
        async with aclosing(service_of(self._upstream)) as service:
            is_first = True
            while True:
                update = await self._poll(service)
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

    async def _poll(self, service: HttpService) -> Update | None:
        answer = await get(service, self._upstream.address(self._job))
        if error := answer.trouble(f"job {self._job}"):
            raise error
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


def service_of(upstream: JobUpstream) -> HttpService:
    """Return the service as it is asked: with its key."""
    return HttpService(WHO, upstream.headers)


async def get(service: HttpService, url: str) -> Answer:
    """Return the answer to a GET.

    Raises UpstreamLost if there is none within ANSWER_SECONDS, or it has more than
    MAX_ANSWER_BYTES.
    """
    try:
        return await service.ask("GET", url, seconds=ANSWER_SECONDS, most_bytes=MAX_ANSWER_BYTES)
    except AnswerTooLarge as error:
        raise UpstreamLost(str(error)) from None  # the next state may be told in fewer words
