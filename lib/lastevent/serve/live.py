"""Streams that are pumped by the requests of those who watch them, and by the sweep."""

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from starlette.requests import Request

from lastevent.core.errors import NotFound, Transient
from lastevent.serve.invocation import Invocation
from lastevent.serve.service import Service
from lastevent.serve.subscribe import Subscription, requested_cursor
from lastevent.serve.window import Types
from lastevent.sources.keeper import Live
from lastevent.sources.pumps import Pumps

log = logging.getLogger("lastevent")

SWEEP_SECONDS = 50.0
"""How long a sweep pumps where no deadline bounds it: the next one comes a minute after it."""

SWEEP_MARGIN_SECONDS = 5.0
"""How long before its invocation's deadline a sweep begins to end; a quarter of its time, if that
is less."""

MAX_AT_ONCE = 32
SHORTEST_TURN_SECONDS = 2.0
"""What a sweep gives a source at least: in less it would hardly be asked for anything."""

RETRY_SECONDS = 10.0

Resume = Callable[[Service, str], Awaitable[Live]]
"""Returns what pumps a stream that was begun; raises NotFound if that is nothing any more."""


def pumps(service: Service) -> Pumps:
    """Return the pumps of this process."""
    return service.part(_pumps)


def _pumps(service: Service) -> Pumps:
    return Pumps(service.store, lease_seconds=service.settings.pump_lease_seconds)


async def live_subscription(
    service: Service, request: Request, live: Live, *, types: Types = None
) -> Subscription:
    """Return the subscription to a stream that whoever watches it keeps pumped.

    Its legs are held in any case: who comes and goes cannot pump. A source that failed is tried
    anew for who comes without a cursor, RETRY_SECONDS after its end: its upstream may be back, or a
    setting have been mended.
    """
    if requested_cursor(request, "lastEventId") is None:
        with suppress(Transient):  # the leg says so itself, and keeps its client (RULES 18)
            await pumps(service).retry(live.stream, RETRY_SECONDS)
    return Subscription(
        (live.stream,),
        types=types,
        during=lambda ends_at: pumps(service).watch(live, ends_at),
        held=True,
    )


async def sweep(
    service: Service, invocation: Invocation, resumes: Mapping[str, Resume]
) -> list[dict[str, str]]:
    """Pump what nobody watches and what is not at its end; return what became of each.

    ``resumes`` tells by its kind how a source is made again. One that fails does not keep the
    others from their turn, nor does one that goes on for longer than the sweep.
    """
    until = _ends_at(invocation)
    turns = asyncio.Semaphore(MAX_AT_ONCE)
    unfinished = await pumps(service).unfinished()
    # Should there be no time for some of them, they are others each time.
    random.shuffle(unfinished)
    waiting = len(unfinished)

    async def finish(stream: str, kind: str) -> dict[str, str]:
        nonlocal waiting
        async with turns:
            ends_at = _turn_ends_at(until, waiting)
            waiting -= 1
            outcome = await _finish(service, stream, resumes.get(kind), ends_at)
        return {"stream": stream, "kind": kind, "state": outcome}

    return await asyncio.gather(*(finish(stream, kind) for stream, kind in unfinished))


async def _finish(service: Service, stream: str, resume: Resume | None, until: float) -> str:
    if resume is None:
        return "unknown"
    if until <= asyncio.get_running_loop().time():
        return "unfinished"
    try:
        live = await resume(service, stream)
        seconds = until - asyncio.get_running_loop().time()
        return await pumps(service).finish(live, max(seconds, 0.0))
    except NotFound:
        await pumps(service).give_up(stream)
        return "gone"
    except Transient as error:
        log.warning("%s could not be swept: %s", stream, error)
    except Exception:
        log.exception("%s could not be swept", stream)
    return "failed"


def _turn_ends_at(until: float, waiting: int) -> float:
    """Return when the turn ends that begins now, while ``waiting`` sources wait, its own among
    them.

    Those that find no place now get one when others have had their turn: what is left of the time
    is shared out so that all of them can.
    """
    now = asyncio.get_running_loop().time()
    share = (until - now) / math.ceil(waiting / MAX_AT_ONCE)
    return min(until, now + max(share, SHORTEST_TURN_SECONDS))


def _ends_at(invocation: Invocation) -> float:
    now = asyncio.get_running_loop().time()
    if invocation.deadline is None:
        return now + SWEEP_SECONDS
    left = max(invocation.deadline - now, 0.0)
    return now + left - min(SWEEP_MARGIN_SECONDS, left / 4)
