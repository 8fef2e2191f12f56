"""What is measured of messaging and of workflows: from who says something to who sees it.

Every case checks what the log and each viewer got: all of it, once, and in the order in which it
was said, or stands in the log.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count

from benchmarks import reporting
from benchmarks.source_cases import Delays
from benchmarks.update_rig import Lane, Pair, bearer, client, judged, viewing
from benchmarks.upstreams import paced
from benchmarks.visits import Follower

LANES = 5
"""Conversations, and publishers of the control, that take turns."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured.

    ``events`` at ``rate`` a second to one viewer, ``crowd_events`` to ``viewers``; ``published`` by
    publish_progress; of a single order ``steps`` of progress, ``step_rate`` a second, and of each
    of several ``steps_each``. ``counted``: messages whose requests are counted, and
    ``counted_orders``.
    """

    events: int = 160
    rate: float = 20.0
    crowd_events: int = 100
    viewers: int = 50
    published: int = 100
    steps: int = 32
    orders: int = 20
    steps_each: int = 24
    step_rate: float = 4.0
    counted: int = 20
    counted_orders: int = 5


QUICK = Scale(
    events=20,
    crowd_events=10,
    viewers=5,
    published=10,
    steps=4,
    orders=3,
    steps_each=3,
    counted=4,
    counted_orders=1,
)


async def plain(where: Pair, scale: Scale, viewers: int) -> tuple[Delays, Delays]:
    """The control: bare events, published to a stream. Return as ``messages`` does."""
    stream = f"plain-{viewers}"
    path = f"/api/streams/{stream}"
    headers = bearer(read=["*"], append=["*"])
    async with AsyncExitStack() as stack:
        lanes = [
            await stack.enter_async_context(
                Lane.opened(where.near, path, headers, lambda text: {"type": "note", "data": text})
            )
            for _ in range(LANES)
        ]
        await asyncio.gather(*(lane.say("to begin with") for lane in lanes))
        followers = await stack.enter_async_context(
            viewing(where.far, f"{path}?from=now", headers, viewers)
        )
        return await _heard(where, scale, lanes, followers, stream)


async def messages(where: Pair, scale: Scale, viewers: int) -> tuple[Delays, Delays]:
    """Messages of clients to a professional who has that many pages open: from the beginning of the
    request to each page's read, and to the sender's answer."""
    professional = f"paul-{viewers}"
    numbers = count()
    async with AsyncExitStack() as stack:
        lanes = []
        for lane in range(LANES):
            headers = bearer(sub=f"{professional}-client-{lane}", role="client")

            def body(text: str) -> dict[str, object]:
                return {"to": professional, "text": text, "clientMessageId": f"{next(numbers)}"}

            lanes.append(
                await stack.enter_async_context(
                    Lane.opened(where.near, "/api/messages/send", headers, body)
                )
            )
        await asyncio.gather(*(lane.say("Good morning") for lane in lanes))
        headers = bearer(sub=professional, role="professional")
        followers = await stack.enter_async_context(
            viewing(where.far, "/api/sse", headers, viewers)
        )
        return await _heard(where, scale, lanes, followers, f"user:{professional}")


async def _heard(
    where: Pair, scale: Scale, lanes: Sequence[Lane], followers: Sequence[Follower], stream: str
) -> tuple[Delays, Delays]:
    """Say marks, lane after lane, at an even pace; return what came of it.

    A lane's next one is sent when it is due, whether or not the last was answered: what it then
    waits for counts.
    """
    events = scale.events if len(followers) == 1 else scale.crowd_events
    async with asyncio.TaskGroup() as group:
        answers = [
            group.create_task(lanes[number % len(lanes)].timed(number))
            async for number in paced(events, scale.rate)
        ]
    seen = await judged(where, followers, stream, events, len(lanes))
    return seen, Delays([answer.result() for answer in answers])


async def published(where: Pair, scale: Scale) -> Delays:
    """Progress that code of the one server publishes, without a workflow."""
    query = f"publish?events={scale.published}&rate={scale.rate}"
    return await _reported(where, "publisher", query, scale.published, 1)


async def reported(where: Pair, scale: Scale, orders: int) -> Delays:
    """Progress of workflows that the one server runs: from stage.progress to the viewer's read."""
    steps = scale.steps if orders == 1 else scale.steps_each
    query = f"run?orders={orders}&steps={steps}&rate={scale.step_rate}"
    return await _reported(where, f"merchant-{orders}", query, orders * steps, orders)


async def _reported(where: Pair, merchant: str, query: str, events: int, lanes: int) -> Delays:
    headers = bearer(merchant=merchant)
    path = "/api/realtime/events?channels=progress"
    async with viewing(where.far, path, headers, 1) as followers:
        async with client(where.near, headers) as asking:
            answer = await asking.post(f"{reporting.PATH}/{query}")
        answer.raise_for_status()
        return await judged(where, followers, f"merchant:{merchant}", events, lanes)
