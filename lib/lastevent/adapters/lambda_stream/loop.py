"""The loop: ask for work, serve it, and again; in as many slots as Lambda gives work to at once.

A function has one slot, and may be frozen from the moment it asks for work until it gets some. On
managed instances it has several and is never frozen (Lambda Developer Guide, "Understanding the
Lambda Managed Instances execution environment").
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.types import ASGIApp

from lastevent.adapters.lambda_stream.events import Context, HttpRequest, read_event
from lastevent.adapters.lambda_stream.exchange import Exchange
from lastevent.adapters.lambda_stream.failure import Failure
from lastevent.adapters.lambda_stream.runtime_api import Call, RuntimeApi, RuntimeApiLost
from lastevent.core.errors import LastEventError
from lastevent.serve.invocation import SCOPE_KEY, Invocation
from lastevent.serve.tasks import Task, report

REST_SECONDS = 2.0
GRACE_SECONDS = 1.0
"""How long responses may take to end once the process is told to go."""

TRACE_ID = "_X_AMZN_TRACE_ID"
"""Where the tracing libraries look for the id of the trace: one for the whole process."""

log = logging.getLogger("lastevent")


class Runtime:
    """Serves the invocations that the Runtime API at ``address``, HOST:PORT, has for ``app``.

    ``slots``: how many at once. ``rest`` is awaited when the process may now be frozen. ``perform``
    does a task, ``spawn`` has Lambda start one, if it can. ``environ`` is what Lambda says of the
    function, and where the trace's id is put.
    """

    def __init__(
        self,
        app: ASGIApp,
        address: str,
        environ: MutableMapping[str, str],
        *,
        rest: Callable[[], Awaitable[None]],
        perform: Callable[[Task, Invocation], Awaitable[object]],
        spawn: Callable[[Task], Awaitable[None]] | None = None,
        slots: int = 1,
        trailing_comment: bool = False,
    ) -> None:
        self._app = app
        self._address = address
        self._environ = environ
        self._rest = rest
        self._perform = perform
        self._spawn = spawn
        self._slots = slots
        self._trailing_comment = trailing_comment
        self._waiting: set[asyncio.Task[object]] = set()
        self._stopping = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until ``stopping`` is set and the responses have ended, or been cut after
        GRACE_SECONDS. Returns early when no slot can get work any more."""
        self._stopping = stopping
        slots = [asyncio.create_task(self._serve_slot()) for _ in range(self._slots)]
        over = asyncio.gather(*slots, return_exceptions=True)
        stop = asyncio.create_task(stopping.wait())
        try:
            either: set[asyncio.Future[Any]] = {over, stop}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            for slot in self._waiting:
                slot.cancel()
            await asyncio.wait({over}, timeout=GRACE_SECONDS)
        finally:
            stop.cancel()
            for slot in slots:
                slot.cancel()
            await over

    async def _serve_slot(self) -> None:
        api = RuntimeApi(self._address)
        try:
            while not self._stopping.is_set():
                call = await self._next(api)
                try:
                    await self._serve(api, call)
                except OSError as error:
                    log.warning("%s: the answer did not arrive: %s", call.request_id, error)
                if self._slots == 1:
                    await self._rest_for_freeze()
        except RuntimeApiLost as error:
            log.error("%s", error)
        except Exception:
            log.exception("a slot failed")
        finally:
            api.close()

    async def _next(self, api: RuntimeApi) -> Call:
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            return await api.next()
        finally:
            self._waiting.discard(task)

    async def _serve(self, api: RuntimeApi, call: Call) -> None:
        """Answer one invocation; raise OSError if the answer has not been taken."""
        if self._slots == 1:
            self._trace(call)
        try:
            request = read_event(call, Context(call, self._environ))
        except LastEventError as error:
            log.warning("%s: %s", call.request_id, error)
            await api.report(call, Failure.of(error))
            return
        if isinstance(request, Task):
            await self._run_task(api, call, request)
            return
        exchange = Exchange(api, call, request.body, trailing_comment=self._trailing_comment)
        await exchange.finish(await self._run_app(call, request, exchange))

    async def _run_app(
        self, call: Call, request: HttpRequest, exchange: Exchange
    ) -> Exception | None:
        """Run the application, and return what it raised."""
        request.scope[SCOPE_KEY] = invocation = self._invocation(call)
        try:
            # Lambda cuts there; an instance that serves others too has to do so itself.
            async with asyncio.timeout_at(invocation.deadline):
                # A task of its own: what it leaves in the context is not for the next invocation.
                await asyncio.ensure_future(
                    self._app(request.scope, exchange.receive, exchange.send)
                )
        except Exception as error:
            if not (isinstance(error, OSError) and exchange.has_broken):
                log.exception("%s: the application failed", call.request_id)
            return error
        return None

    async def _run_task(self, api: RuntimeApi, call: Call, task: Task) -> None:
        """Do a task, and answer with its result, or with why there is none."""
        try:
            # A task of its own, as above.
            doing = asyncio.ensure_future(self._perform(task, self._invocation(call)))
            result = json.dumps(await doing).encode()
        except Exception as error:
            report(task, error)
            await api.report(call, Failure.of(error))
            return
        await api.answer(call, result)

    def _invocation(self, call: Call) -> Invocation:
        return Invocation(
            deadline=_loop_time(call.deadline_ms),
            held_is_billed=True,
            may_freeze=self._slots == 1,
            spawn=self._spawn,
        )

    def _trace(self, call: Call) -> None:
        if call.trace_id is None:
            self._environ.pop(TRACE_ID, None)
        else:
            self._environ[TRACE_ID] = call.trace_id

    async def _rest_for_freeze(self) -> None:
        try:
            async with asyncio.timeout(REST_SECONDS):
                await self._rest()
        except Exception:
            log.exception("the process could not let go of everything")


def _loop_time(unix_ms: int | None) -> float | None:
    if unix_ms is None:
        return None
    return asyncio.get_running_loop().time() + unix_ms / 1000 - time.time()
