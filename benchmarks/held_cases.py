"""The cases of the stores in which hardly anything happens, for long: all at the same time.

They count what is asked of the store, and take no times, so that they do not disturb each other.
"""

import asyncio
from contextlib import AsyncExitStack

from benchmarks.cases import Case, Measured, Run, Scale
from benchmarks.marks import Verdict
from benchmarks.rig import STREAM, Rig, fresh, heard
from benchmarks.subjects import STORES, Subject
from benchmarks.usage import Usage

SETTLE_SECONDS = 8.0
"""Until pauses between looks have grown to their longest, and subscriptions stand."""

HISTORY = 20
SPARSE = 0.1
"""Events a second that are so far apart that each finds everything at rest."""

RETURNS = 50


def _held(subscribers: int, streams: int = 1) -> Run:
    """What an idle minute costs; and beside it, what an event does to the same that comes alone."""
    key = f"{subscribers}" if streams == 1 else f"{subscribers}_on_{streams}"

    async def run(subject: Subject, scale: Scale) -> Measured:
        async with AsyncExitStack() as stack:
            idle = await stack.enter_async_context(fresh(subject))
            audience = await stack.enter_async_context(
                idle.subscribers(subscribers, streams=streams)
            )
            if streams == 1:
                busy = await stack.enter_async_context(fresh(subject))
                await busy.publish_straight(stream=f"{STREAM}-elsewhere", events=1)
                viewers = await stack.enter_async_context(busy.subscribers(subscribers))
            await asyncio.sleep(SETTLE_SECONDS)

            before, cpu = await idle.usage(), idle.server.cpu_seconds()
            if streams == 1:
                busy_before = await busy.usage()
                publishing = asyncio.create_task(
                    busy.publish_straight(rate=SPARSE, seconds=scale.held_seconds)
                )
                stack.callback(publishing.cancel)
            await asyncio.sleep(scale.held_seconds)
            used = await idle.usage() - before
            minutes = scale.held_seconds / 60
            figures = {
                **(used / minutes).figures(f"idle_{key}"),
                f"idle_{key}_cpu": (idle.server.cpu_seconds() - cpu)
                / (subscribers * minutes)
                * 1e3,
            }
            verdict = Verdict(**(await heard(audience, []))["verdict"])
            if streams == 1:
                order = (await publishing)["order"]
                more = await busy.usage() - busy_before - used
                figures |= (more / len(order)).figures(f"sparse_{key}")
                verdict += Verdict(**(await heard(viewers, order))["verdict"])
        return Measured(figures, verdict)

    return run


async def opening(subject: Subject, scale: Scale) -> Measured:
    """What responses cost besides what they deliver: the first of a process, and later ones."""
    async with fresh(subject) as rig:
        published = await rig.publish_straight(events=HISTORY)
        before = await rig.usage()
        async with rig.subscribers() as audience:
            await asyncio.sleep(SETTLE_SECONDS)
            settled = await rig.usage()
            await asyncio.sleep(SETTLE_SECONDS)
            idle = await rig.usage() - settled
            first = settled - before - idle
            later = await _opened(rig)
            back = await _opened(rig, after=published["last_id"])
            cpu = rig.server.cpu_seconds()
            async with rig.subscribers(RETURNS, after=published["last_id"]):
                pass
            cpu = rig.server.cpu_seconds() - cpu
            got = await heard(audience, published["order"])
    figures = {
        **first.figures("first"),
        **(later / RETURNS).figures("later"),
        **(back / RETURNS).figures("return"),
        "response_cpu": cpu / RETURNS * 1e3,
    }
    return Measured(figures, Verdict(**got["verdict"]))


async def _opened(rig: Rig, after: str = "") -> Usage:
    """Return what it takes to open RETURNS responses."""
    before = await rig.usage()
    async with rig.subscribers(RETURNS, after=after):
        return await rig.usage() - before


CASES = (
    Case("held, 1", _held(1), STORES),
    Case("held, 100", _held(100), STORES),
    Case("held, 100 on 100", _held(100, 100), STORES),
    Case("opening", opening, STORES),
)
