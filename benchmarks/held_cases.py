"""The cases of the stores in which hardly anything happens, for long: all at the same time.

They count what is asked of the store, and take no times, so that they do not disturb each other.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import replace

from benchmarks.cases import Case, Measured, Run, Scale
from benchmarks.marks import Verdict
from benchmarks.rig import STREAM, Rig, fresh, heard
from benchmarks.subjects import STORES, Subject
from benchmarks.usage import Usage
from lastevent.core.policy import METERED

HISTORY = 20
SPARSE = 0.1
"""Events a second that are so far apart that each finds everything at rest."""

RETURNS = 50

BILLED = "benchmarks.metered:billed"
LOOKING = "cost"
"""The policy by which looks are measured: it gives up holding the soonest."""


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
            await asyncio.sleep(scale.settle_seconds)

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
    """What responses cost besides what they deliver, and what plain polling costs instead."""
    async with fresh(subject) as rig:
        published = await rig.publish_straight(events=HISTORY)
        other = await rig.publish_straight(events=HISTORY, stream=f"{STREAM}-other")
        async with AsyncExitStack() as stack:
            before = await rig.usage()
            audience = await stack.enter_async_context(rig.subscribers())
            first = await _settled(rig, before, scale)
            idle = await _settled(rig, await rig.usage(), scale)
            before = await rig.usage()
            await stack.enter_async_context(
                rig.subscribers(stream=f"{STREAM}-other", after=other["last_id"])
            )
            arrival = await _settled(rig, before, scale)
            later, _ = await _opened(rig)
            back, response_cpu = await _opened(rig, after=published["last_id"])
            polled, poll_cpu = await _asked(rig, rig.poll(published["last_id"], RETURNS))
            got = await heard(audience, published["order"])
    figures = {
        **(first - idle).figures("first"),
        **(arrival - idle).figures("arrival"),
        **later.figures("later"),
        **back.figures("return"),
        **polled.figures("poll"),
        "response_cpu": response_cpu * 1e3,
        "poll_cpu": poll_cpu * 1e3,
    }
    return Measured(figures, Verdict(**got["verdict"]))


async def _settled(rig: Rig, before: Usage, scale: Scale) -> Usage:
    await asyncio.sleep(scale.settle_seconds)
    return await rig.usage() - before


async def _opened(rig: Rig, after: str = "") -> tuple[Usage, float]:
    """Return what a response costs, and the seconds of CPU, opened RETURNS at once."""
    before, cpu = await rig.usage(), rig.server.cpu_seconds()
    async with rig.subscribers(RETURNS, after=after):
        pass
    used = rig.server.cpu_seconds() - cpu
    return (await rig.usage() - before) / RETURNS, used / RETURNS


async def _asked(rig: Rig, asking: Awaitable[None]) -> tuple[Usage, float]:
    """Return what each of RETURNS requests costs, and its seconds of CPU."""
    before, cpu = await rig.usage(), rig.server.cpu_seconds()
    await asking
    used = rig.server.cpu_seconds() - cpu
    return (await rig.usage() - before) / RETURNS, used / RETURNS


async def looking(subject: Subject, scale: Scale) -> Measured:
    """What a look at a quiet stream costs: a leg that ends as soon as it has caught up."""
    quiet = METERED[LOOKING].hold_seconds
    assert quiet is not None
    async with fresh(replace(subject, app=BILLED, settings={"LASTEVENT_POLICY": LOOKING})) as rig:
        published = await rig.publish_straight(events=HISTORY)
        await asyncio.sleep(quiet + 1.0)
        looked, cpu = await _asked(rig, rig.look(published["last_id"], RETURNS))
    return Measured({**looked.figures("look"), "look_cpu": cpu * 1e3})


CASES = (
    Case("looking", looking, STORES),  # which waits the longest
    Case("held, 1", _held(1), STORES),
    Case("held, 100", _held(100), STORES),
    Case("held, 100 on 100", _held(100, 100), STORES),
    Case("opening", opening, STORES),
)
