"""Jobs of an external service: who may see one, and the source of its updates."""

from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING

from lastevent.core.errors import Forbidden, NotFound
from lastevent.sources.base import Source
from lastevent.sources.job_upstream import JobUpstream

if TYPE_CHECKING:
    from lastevent.sources.http_service import HttpService

REMEMBERED_SECONDS = 30.0
"""How long a permission is not asked for again: viewers come back with every leg."""

MAX_REMEMBERED = 1000


def stream_of(job: str) -> str:
    """Return the name of the stream with the updates of ``job``."""
    return f"job:{job}"


class Jobs:
    """The jobs at ``upstream``. Belongs to one event loop."""

    def __init__(self, upstream: JobUpstream) -> None:
        self._upstream = upstream
        self._service: HttpService | None = None
        self._allowed: OrderedDict[tuple[str, str], float] = OrderedDict()

    @property
    def are_checked(self) -> bool:
        """Whether the service is asked who may see a job."""
        return self._upstream.check_url is not None

    async def check(self, job: str, user: str) -> None:
        """Ask the service whether ``user`` may see ``job``; what it allowed lately is remembered.

        Raises NotFound (404, 410), Forbidden (401, 403), UpstreamRefused for other refusals, and
        UpstreamLost when it does not answer.
        """
        from lastevent.sources.http_polling import get, service_of

        asked = (job, user)
        if self._allowed.get(asked, 0.0) > monotonic():
            return
        if self._service is None:
            self._service = service_of(self._upstream)
        answer = await get(self._service, self._upstream.check_address(job, user))
        if answer.status in (404, 410):
            raise NotFound(f"there is no job {job}")
        if answer.status in (401, 403):
            raise Forbidden(f"this identity may not see job {job}")
        if error := answer.trouble(f"job {job}"):
            raise error
        self._remember(asked)

    def source(self, job: str) -> Source:
        """Return what reads the updates of ``job``."""
        if self._upstream.mode == "poll":
            from lastevent.sources.http_polling import HttpPolling

            return HttpPolling(self._upstream, job)
        from lastevent.sources.websocket_bridge import WebSocketBridge

        return WebSocketBridge(self._upstream, job)

    async def aclose(self) -> None:
        """Let go of the connections."""
        if self._service is not None:
            await self._service.aclose()

    def _remember(self, asked: tuple[str, str]) -> None:
        self._allowed[asked] = monotonic() + REMEMBERED_SECONDS
        self._allowed.move_to_end(asked)
        if len(self._allowed) > MAX_REMEMBERED:
            self._allowed.popitem(last=False)
