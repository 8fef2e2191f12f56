"""What messages and purchase orders ask of a store, by what the vendors bill."""

import asyncio
import json
from contextlib import AsyncExitStack
from itertools import count
from time import monotonic

from benchmarks.processes import ROOT
from benchmarks.subjects import token
from benchmarks.update_cases import Scale
from benchmarks.update_rig import CASE_SECONDS, SETTLE_SECONDS, Lane, Pair, bearer, client, viewing
from benchmarks.upstreams import paced
from benchmarks.usage import Usage
from infra.local.child import HOST
from lastevent.client import Stream

ORDER = (ROOT / "examples" / "orders" / "good" / "semicolons.csv").read_bytes()
"""Five lines, without pictures."""

COUNT_RATE = 10.0
"""Messages a second that are counted: each finds both servers at rest."""


async def message_costs(where: Pair, scale: Scale) -> tuple[Usage, Usage]:
    """Return what both servers ask of the store for a message between two, who have a page open
    each, when it is sent; and what it is when it is marked as delivered and as read as well."""
    clara, paula = bearer(sub="clara", role="client"), bearer(sub="paula", role="professional")
    numbers = count()

    def message(text: str) -> dict[str, object]:
        return {"to": "paula", "text": text, "clientMessageId": f"{next(numbers)}"}

    def mark(text: str) -> dict[str, object]:
        return {"conversation": begun["conversation"], "number": int(text)}

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(viewing(where.near, "/api/sse", clara, 1))
        [page] = await stack.enter_async_context(viewing(where.far, "/api/sse", paula, 1))
        sending, *marking = [
            await stack.enter_async_context(Lane.opened(server, path, headers, body))
            for server, path, headers, body in (
                (where.near, "/api/messages/send", clara, message),
                (where.far, "/api/messages/delivered", paula, mark),
                (where.far, "/api/messages/read", paula, mark),
            )
        ]
        begun = json.loads(await sending.say("Good morning"))
        await asyncio.sleep(SETTLE_SECONDS)
        before = await where.usage()
        async for number in paced(scale.counted, COUNT_RATE):
            await sending.timed(number)
        await page.until(scale.counted)
        sent = await _spent(where, before)
        before = await where.usage()
        async for number in paced(scale.counted, COUNT_RATE / 2):
            told = json.loads(await sending.say(f"~{scale.counted + number}:0~"))
            await page.until(scale.counted + number + 1)
            for lane in marking:
                await lane.say(str(told["number"]))
        read = await _spent(where, before)
    return sent / scale.counted, read / scale.counted


async def order_costs(where: Pair, scale: Scale) -> tuple[Usage, list[float]]:
    """Return what both servers ask of the store for a purchase order with a viewer, and how long
    each took from its upload to its end, as the viewer is told of it; in milliseconds."""
    merchant = {"merchant": "counted"}
    url = f"http://{HOST}:{where.far.port}/api/realtime/events"
    async with (
        asyncio.timeout(CASE_SECONDS),
        client(where.near, {**bearer(**merchant), "Content-Type": "text/csv"}) as uploading,
        Stream(url, token=token(**merchant), start="start") as told,
    ):
        events = aiter(told)

        async def work() -> float:
            began = monotonic()
            answer = await uploading.post("/api/purchase-orders", content=ORDER)
            answer.raise_for_status()
            while True:
                said = json.loads((await anext(events)).data)
                if said.get("over"):
                    if said["status"] != "completed":
                        raise RuntimeError(f"an order has {said['status']}: {said.get('error')}")
                    return (monotonic() - began) * 1e3

        await work()  # what is done once
        await asyncio.sleep(SETTLE_SECONDS)
        before = await where.usage()
        took = [await work() for _ in range(scale.counted_orders)]
        return await _spent(where, before) / scale.counted_orders, took


async def _spent(where: Pair, before: Usage) -> Usage:
    """Return what was asked since ``before``, once things have come to rest."""
    await asyncio.sleep(SETTLE_SECONDS)
    return await where.usage() - before
