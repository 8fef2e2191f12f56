"""The chaos run of a merchant's orders: uploaded at once, worked on by servers that are killed.

Nobody knows which server has which order, so any is killed, most of them the hard way. In the end
every order must be done, every stage of it once, and every viewer of a merchant must have seen the
same events in one order.
"""

import asyncio
import contextlib
import json
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import time
from typing import Any

import httpx
import jwt

from tests.chaos.grounds import Ground
from tests.chaos.live import servers
from tests.chaos.run import Server
from tests.chaos.subscriber import Seen, follow_client, follow_raw

SECRET = "the-secret-of-the-chaos-run-0123456789"
END_SECONDS = 270.0
"""Less than the 300 s for which a token in an address is taken."""

VIEWERS = 3
MAX_KILLS = 10
"""Then only the store has bad days, which go on for as long as orders are open. Where servers die
more often than leases run out, nothing is ever done."""

STAGES = (
    "ai_parsing",
    "database_save",
    "product_draft_creation",
    "image_attachment",
    "background_image_processing",
    "shopify_sync",
    "status_update",
)

ENVIRON = {
    "LASTEVENT_AUTH_SECRET": SECRET,
    "LASTEVENT_LEASE_SECONDS": "2",
    "LASTEVENT_SWEEP_SECONDS": "3",
}


@dataclass(frozen=True, slots=True)
class Upload:
    """An order to be sent in: whose, and its file."""

    merchant: str
    content: bytes
    content_type: str = "text/csv"


@dataclass
class Business:
    """What became of the orders, what viewers saw, and how often a server was killed."""

    orders: list[dict[str, Any]] = field(default_factory=list)
    seen: dict[str, list[Seen]] = field(default_factory=dict)
    kills: int = 0
    troubles: int = 0

    def faults(self) -> list[str]:
        """Return one sentence for each broken promise."""
        faults: list[str] = []
        for merchant, viewers in self.seen.items():
            mine = [order for order in self.orders if order["merchant"] == merchant]
            for seen in viewers:
                who = f"{merchant}, {seen.name}"
                if seen.resets:
                    faults.append(f"{who} was told of {seen.resets} losses")
                if seen.ids != sorted(set(seen.ids)):
                    faults.append(f"{who} got events twice, or out of order")
                if (seen.ids, seen.data) != (viewers[0].ids, viewers[0].data):
                    faults.append(f"{who} saw something else than {viewers[0].name}")
            events = told(viewers[0])
            if {data["poId"] for _, data in events} != {order["id"] for order in mine}:
                faults.append(f"{merchant}: not all orders were told of, or more than those")
            for order in mine:
                own = [(kind, data) for kind, data in events if data["poId"] == order["id"]]
                faults += [f"{order['id']}: {fault}" for fault in _faults(own, order)]
        return faults


def told(seen: Seen) -> list[tuple[str, dict[str, Any]]]:
    """Return what a viewer saw: type and data of each event."""
    return [(kind, json.loads(data)) for kind, data in zip(seen.types, seen.data, strict=True)]


def _faults(events: Sequence[tuple[str, dict[str, Any]]], order: dict[str, Any]) -> list[str]:
    """Return what is wrong with what was told of one order."""
    faults: list[str] = []
    if order["state"] != "completed":
        faults.append(f"it is {order['state']}: {order['error']}")
    progress = [data["progress"] for _, data in events if "progress" in data]
    if progress != sorted(progress):
        faults.append("its progress went backwards")
    stages = [(data["stage"], data["status"]) for kind, data in events if kind == "stage"]
    expected = []
    for stage in order["stages"]:
        expected += [(stage["name"], "started"), (stage["name"], stage["status"])]
    if stages != expected:
        faults.append(f"its stages were {stages}")
    for name in STAGES:
        steps = [data["stageProgress"] for _, data in events if _is_of(data, name)]
        if steps != sorted(steps):
            faults.append(f"{name} went backwards")
    over = [n for n, (_, data) in enumerate(events) if data.get("over")]
    if over != [len(events) - 1]:
        faults.append("its end was not the last that was told of it, once")
    return faults


def _is_of(data: dict[str, Any], stage: str) -> bool:
    return data["stage"] == stage and "stageProgress" in data


def token(merchant: str) -> str:
    claims = {"sub": f"owner of {merchant}", "merchant": merchant, "exp": time() + END_SECONDS + 20}
    return jwt.encode(claims, SECRET, "HS256")


async def business(
    ground: Ground,
    directory: Path,
    uploads: Sequence[Upload],
    *,
    seed: int,
    environ: dict[str, str] | None = None,
) -> Business:
    """Send orders in, kill servers until they are done, and return what became of them."""
    chance = random.Random(seed)
    result = Business()
    known = replace(ground, environ={**ground.environ, **ENVIRON, **(environ or {})})
    async with (
        servers(known, directory, 3) as running,
        asyncio.timeout(END_SECONDS),
        asyncio.TaskGroup() as tasks,
    ):
        urls = [server.url for server in running]
        viewers: list[asyncio.Task[None]] = []
        for merchant in dict.fromkeys(upload.merchant for upload in uploads):
            path = f"/api/realtime/events?from=start&token={token(merchant)}"
            group = result.seen[merchant] = [Seen(f"viewer {n}") for n in range(VIEWERS)]
            for n, seen in enumerate(group):
                follow = follow_client if n % 2 else follow_raw
                own = random.Random(chance.random())
                viewers.append(tasks.create_task(follow(seen, path, urls, own)))
        done = asyncio.Event()
        trouble = tasks.create_task(ground.trouble(random.Random(chance.random()), done))
        killing = tasks.create_task(_kill(running, chance, ground.pace, done))
        try:
            ids = await asyncio.gather(
                *(_send(upload, f"order-{n}", urls, chance) for n, upload in enumerate(uploads))
            )
            result.orders = await asyncio.gather(
                *(_over(upload, id, urls, chance) for upload, id in zip(uploads, ids, strict=True))
            )
            done.set()
            result.kills, result.troubles = await killing, await trouble
            await asyncio.gather(
                *(
                    _all_seen(group, sum(upload.merchant == merchant for upload in uploads))
                    for merchant, group in result.seen.items()
                )
            )
        finally:
            for task in (*viewers, killing, trouble):
                task.cancel()
    return result


async def _send(upload: Upload, key: str, urls: list[str], chance: random.Random) -> str:
    """Send an order in until it is taken, which it is once; return its id."""
    headers = {"Content-Type": upload.content_type, "Idempotency-Key": key}
    made = await _ask(
        "POST", "", upload.merchant, urls, chance, content=upload.content, headers=headers
    )
    return str(made["id"])


async def _over(upload: Upload, id: str, urls: list[str], chance: random.Random) -> dict[str, Any]:
    """Wait for the end of an order, and return it."""
    while True:
        order = await _ask("GET", f"/{id}", upload.merchant, urls, chance)
        if order["endedAt"] is not None:
            return order | {"merchant": upload.merchant}
        await asyncio.sleep(0.5)


async def _ask(
    method: str,
    path: str,
    merchant: str,
    urls: list[str],
    chance: random.Random,
    *,
    content: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Ask one server after the other until one answers."""
    headers = {"Authorization": f"Bearer {token(merchant)}"} | (headers or {})
    while True:
        url = f"{chance.choice(urls)}/api/purchase-orders{path}"
        with contextlib.suppress(httpx.HTTPError):
            async with httpx.AsyncClient(timeout=10) as client:
                answer = await client.request(method, url, content=content, headers=headers)
            if answer.status_code < 300:
                found: dict[str, Any] = answer.json()
                return found
            assert answer.status_code in (500, 502, 503), answer.text
        await asyncio.sleep(0.2)


async def _all_seen(viewers: Sequence[Seen], orders: int) -> None:
    """Wait until each viewer has seen the end of each order."""
    while any(sum('"over":true' in it for it in seen.data) < orders for seen in viewers):
        await asyncio.sleep(0.1)


async def _kill(
    running: Sequence[Server], chance: random.Random, pace: float, until: asyncio.Event
) -> int:
    """Kill servers, at most MAX_KILLS times, until the event is set; return how often."""
    kills = 0
    while kills < MAX_KILLS:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(until.wait(), pace * chance.uniform(0.3, 1.2))
            break
        server = chance.choice(running)
        server.kill(signal.SIGKILL if chance.random() < 0.8 else signal.SIGTERM)
        await server.gone()
        server.start()
        kills += 1
    return kills
