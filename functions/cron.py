"""The sweep: what was begun, and has nobody left who watches it, is brought to its end.

A schedule calls it: Vercel's by HTTP with CRON_SECRET, Lambda's as the task ``sweep``, and a server
of one's own does by itself (LASTEVENT_SWEEP_SECONDS).
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lastevent.core.errors import LastEventError, Transient
from lastevent.serve import live
from lastevent.serve.app import SWEEP, App, endpoint, router
from lastevent.serve.invocation import Invocation, invocation_of
from lastevent.serve.service import Service
from lastevent.sources.keeper import Live

log = logging.getLogger("lastevent")

MODULES = {
    "alerts": "lastevent.serve.alerts",
    "deployments": "functions.deployments",
    "generations": "lastevent.serve.generate",
    "jobs": "functions.jobs",
    "messages": "functions.messages",
    "metrics": "lastevent.serve.metrics",
    "previews": "functions.previews",
    "workflows": "functions.realtime",
}
"""Kinds of work to their modules. A module's ``resume(service, stream)`` returns the Live with
which an unfinished stream is pumped on; its ``sweep(service)`` puts its own records in order; its
``carry_on(service, invocation)`` has unfinished work gone on with in invocations of its own."""

TASKS = {"sweep": "functions.cron:sweep", "workflow": "functions.realtime:run"}
EVERYTHING = "*"
NO_STORE = {"Cache-Control": "no-store"}

type Swept = Mapping[str, object]
"""``stream``, ``kind`` and ``state`` of something that was found unfinished."""

type Chores = Callable[[Service], Awaitable[Sequence[Swept] | None]]
type CarryOn = Callable[[Service, Invocation], Awaitable[Sequence[Swept]]]


async def sweep(service: Service, invocation: Invocation, argument: Mapping[str, Any]) -> object:
    """Finish what can be finished; return ``{"swept": [Swept, …]}``.

    What fails stops nothing else. Raises Transient if anything did, so that it is seen where a
    platform counts errors; the log says what.
    """
    work: dict[str, Awaitable[Sequence[Swept]]] = {
        "sources": _pump_on(service, invocation),
        **{kind: _chores(service, invocation, module) for kind, module in MODULES.items()},
    }
    swept: list[Swept] = []
    failed: list[str] = []
    results = await asyncio.gather(*work.values(), return_exceptions=True)
    for name, result in zip(work, results, strict=True):
        if isinstance(result, Exception):
            told = isinstance(result, LastEventError)
            log.error(
                "the sweep of %s failed: %s",
                name,
                result if told else type(result).__name__,
                exc_info=None if told else result,
            )
            failed.append(name)
        elif isinstance(result, BaseException):
            raise result
        else:
            swept += result
    if failed:
        raise Transient(f"the sweep of {', '.join(failed)} failed: the log says why")
    return {"swept": swept}


async def _pump_on(service: Service, invocation: Invocation) -> Sequence[Swept]:
    resumes = {kind: partial(_resume, module) for kind, module in MODULES.items()}
    return await live.sweep(service, invocation, resumes)


async def _resume(module: str, service: Service, stream: str) -> Live:
    found: Live = await import_module(module).resume(service, stream)
    return found


async def _chores(service: Service, invocation: Invocation, module: str) -> Sequence[Swept]:
    imported = import_module(module)
    chores: Chores | None = getattr(imported, "sweep", None)
    carry_on: CarryOn | None = getattr(imported, "carry_on", None)
    swept = () if chores is None else await chores(service) or ()
    return swept if carry_on is None else [*swept, *await carry_on(service, invocation)]


async def _swept(service: Service, request: Request) -> Response:
    """Sweep, and answer when that is over."""
    await _must_be_scheduler(service, request)
    invocation = invocation_of(request.scope)
    if invocation.deadline is None:
        ends_at = asyncio.get_running_loop().time() + live.SWEEP_SECONDS
        invocation = invocation._replace(deadline=ends_at)
    found = await service.tasks.perform(SWEEP, invocation)
    return JSONResponse(found, headers=NO_STORE)


async def _must_be_scheduler(service: Service, request: Request) -> None:
    """Let the holder of CRON_SECRET pass, and who may append to everything.

    Vercel sends the secret as a bearer token (https://vercel.com/docs/cron-jobs/manage-cron-jobs).
    Raises Unauthenticated or Forbidden.
    """
    secret = service.settings.cron_secret
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if secret is not None and scheme.lower() == "bearer":
        ours, theirs = hashlib.sha256(secret.encode()), hashlib.sha256(given.encode("latin-1"))
        if hmac.compare_digest(ours.digest(), theirs.digest()):
            return
    identity = await service.auth.identify(request)
    service.auth.must_be_same_origin(request)  # a GET, but one that changes something
    identity.must_append(EVERYTHING)


routes = [Route("/api/cron/sweep", endpoint(_swept), methods=["GET", "POST"])]

app = App(router(routes), tasks=TASKS)
