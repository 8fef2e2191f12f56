"""Deployments at Vercel: published here or elsewhere, their states, their logs, their handing over.

A record holds what is known of a deployment and stays; what is final is never asked again. The log
is a stream, is gone some time after the deployment's end, and is fetched anew when somebody wants
it. What is not settled yet, because it goes on or because its log is still there, has a second
record, by which the sweep finds it.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic, time
from typing import NoReturn, Protocol

from lastevent.core.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    LastEventError,
    NotFound,
    StoreUnavailable,
    TooLarge,
    Transient,
    UpstreamLost,
    UpstreamRefused,
)
from lastevent.core.event import Event
from lastevent.services.deployment import (
    CODE_SECONDS,
    Deployment,
    Site,
    deployment_id,
    stream_of,
)
from lastevent.services.deployment_records import KIND, DeploymentRecords
from lastevent.sources.base import Source
from lastevent.sources.vercel.api import ApiRefused, VercelApi
from lastevent.sources.vercel.logs import DeploymentLog, Pace
from lastevent.sources.vercel.snapshot import Snapshot
from lastevent.sources.vercel.telling import ended_blocked
from lastevent.stores.base import Record, Store

log = logging.getLogger("lastevent")

FRESH_SECONDS = 2.0
"""A state that was asked for less long ago is not asked for again."""

INLINE_BYTES = 64 * 1024
"""Larger files are uploaded by themselves."""

HOST_SECONDS = 60.0
MAX_HOSTS = 1000


class Forget(Protocol):
    """pumps.Pumps.forget: deletes a stream that was closed so long ago; says whether it did."""

    async def __call__(
        self, stream: str, seconds: float, which: Callable[[Event], bool] | None = None
    ) -> bool: ...


class Deployments:
    """The deployments that ``api`` may see. Belongs to one event loop.

    ``forget`` is pumps.Pumps.forget, ``log_seconds`` how long after its end a log is kept.
    """

    def __init__(
        self,
        store: Store,
        api: VercelApi,
        forget: Forget,
        *,
        log_seconds: float = 3600.0,
        pace: Pace = Pace(),
    ) -> None:
        self._log = store.log
        self._records = DeploymentRecords(store)
        self._api = api
        self._forget = forget
        self._log_seconds = log_seconds
        self._pace = pace
        self._asking: dict[str, asyncio.Task[Deployment]] = {}
        self._hosts: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def publish(self, site: Site, publisher: str) -> Deployment:
        """Create a deployment of ``site``; return it.

        Raises what the API says of it: InvalidRequest, Forbidden, NotFound, Conflict, TooLarge,
        UpstreamRefused; and UpstreamLost, after which it may have been created all the same.
        """
        try:
            files: list[dict[str, object]] = []
            for file in site.files:
                if len(file.content) > INLINE_BYTES:
                    files.append(file.uploaded(await self._api.upload(file.content)))
                else:
                    files.append(dict(file.inline))
            now = await self._api.create(site.request(files))
        except ApiRefused as error:
            _raise(error)
        deployment = Deployment.of(now, publisher)
        try:
            await self._records.unsettle(now.id)
            await self._records.put(deployment)
        except Transient as error:
            # It exists: an error would have it published twice.
            log.warning("deployment %s is not recorded as published here: %s", now.id, error)
        return deployment

    async def resolve(self, text: str) -> str:
        """Return the id of the deployment that ``text`` names, by id or by host name.

        Raises InvalidRequest for what is neither, and for a host name what ``get`` does.
        """
        id = deployment_id(text)
        if id is not None:
            return id
        id, until = self._hosts.get(text, ("", 0.0))
        if until < monotonic():
            # A host name may stand for another deployment later.
            id = (await self._ask(text)).id
            self._hosts[text] = id, monotonic() + HOST_SECONDS
            self._hosts.move_to_end(text)
            if len(self._hosts) > MAX_HOSTS:
                self._hosts.popitem(last=False)
        return id

    async def get(self, id: str) -> Deployment:
        """Return a deployment as it is now, or was FRESH_SECONDS ago.

        However many ask, the API is asked once in that time. When it is away, what was known last
        counts. Raises NotFound, Forbidden for one that the API does not show to us, UpstreamRefused
        for other refusals, and UpstreamLost when nothing is known of it.
        """
        record = await self._records.get(id)
        if record is not None:
            known = Deployment.parse(record.value)
            if known.is_final or abs(time() - record.updated / 1000) < FRESH_SECONDS:
                return known
        task = self._asking.get(id)
        if task is None:
            task = self._asking[id] = asyncio.create_task(self._renewed(id, record))
            task.add_done_callback(lambda task: self._asked(id, task))
        # It is a task's, so that a caller who leaves takes nothing from the others.
        return await asyncio.shield(task)

    async def open(self, id: str) -> Deployment:
        """Return a deployment whose log somebody wants to read; raises as ``get`` does.

        A log that has been there for long enough, or ended where its deployment was blocked for a
        time, is forgotten first, so that it is fetched anew.
        """
        deployment = await self.get(id)
        await self._forget_log(deployment)
        if deployment.is_final:
            await self._records.unsettle(id)
        return deployment

    def source(self, id: str) -> Source:
        """Return what reads the log of a deployment."""
        return DeploymentLog(self._api, id, self._records, self._pace)

    async def claim(self, id: str, return_url: str | None = None) -> Deployment:
        """Return a deployment that was published here with a code by which it is taken over.

        A code that is still good is given again. Raises Forbidden for a deployment that was not
        published here, since a code gives the whole project away; else as ``get`` does.
        """
        deployment = await self.get(id)
        if deployment.publisher is None or deployment.project is None:
            raise Forbidden("only what was published here can be handed over")
        now = int(time() * 1000)
        if not deployment.has_code(now):
            try:
                code = await self._api.transfer_code(deployment.project)
            except ApiRefused as error:
                _raise(error)
            expires = now + CODE_SECONDS * 1000
            # Who was quicker has given its code away already.
            await self._records.change(
                id, lambda it: it if it.has_code(now) else it.with_code(code, expires)
            )
        changed = await self._records.change(id, lambda it: it.returning(return_url))
        if changed is None:
            raise NotFound(f"there is no deployment {id}")
        return changed

    async def sweep(self) -> list[dict[str, object]]:
        """Bring what is unsettled up to date, and forget old logs; return what was done.

        One that fails does not keep the others from their turn.
        """
        done: list[dict[str, object]] = []
        for id in await self._records.unsettled():
            try:
                state = await self._settle(id)
            except NotFound:
                await self._records.settle(id)
                state = "gone"
            except Forbidden:
                state = "forbidden"
            except StoreUnavailable:
                raise  # the others have the same store
            except Exception as error:
                told = isinstance(error, LastEventError)
                log.warning("%s is not settled: %s", id, error, exc_info=not told)
                state = "failed"
            if state is not None:
                done.append({"stream": stream_of(id), "kind": KIND, "state": state})
        return done

    async def _settle(self, id: str) -> str | None:
        deployment = await self.get(id)
        forgotten = await self._forget_log(deployment)
        if not deployment.is_final:
            return deployment.state
        if forgotten or not (await self._log.describe(stream_of(id))).exists:
            await self._records.settle(id)
            return "forgotten" if forgotten else "settled"
        return None

    async def _forget_log(self, deployment: Deployment) -> bool:
        """Forget a log that is old, or that ended because of a state which is over; return whether
        that was so."""
        stream = stream_of(deployment.id)
        if deployment.is_final and await self._forget(stream, self._log_seconds):
            return True
        return deployment.state != "blocked" and await self._forget(stream, 0.0, ended_blocked)

    async def aclose(self) -> None:
        """Let go of the connections."""
        for task in list(self._asking.values()):
            task.cancel()
        await self._api.aclose()

    async def _renewed(self, id: str, record: Record | None) -> Deployment:
        """Ask for a deployment's state, unless another process does just now."""
        if record is not None:
            try:
                await self._records.put(Deployment.parse(record.value), record.version)
            except Conflict:
                newer = await self._records.get(id)
                return Deployment.parse((newer or record).value)
        try:
            now = await self._ask(id)
        except UpstreamLost:
            if record is None:
                raise
            return Deployment.parse(record.value)
        return await self._records.see(now)

    def _asked(self, id: str, task: asyncio.Task[Deployment]) -> None:
        del self._asking[id]
        if not task.cancelled():
            task.exception()  # seen by whoever has stayed, and by nobody if all have left

    async def _ask(self, id: str) -> Snapshot:
        try:
            return await self._api.deployment(id)
        except ApiRefused as error:
            _raise(error)


def _raise(error: ApiRefused) -> NoReturn:
    """Raise what a refusal means for who asked us: only a wrong token is our own fault."""
    meant = {
        400: InvalidRequest,
        402: Forbidden,
        403: Forbidden,
        404: NotFound,
        409: Conflict,
        410: NotFound,
        413: TooLarge,
        422: InvalidRequest,
    }.get(error.answered)
    if meant is None:
        raise UpstreamRefused(str(error)) from error
    raise meant(str(error)) from error
