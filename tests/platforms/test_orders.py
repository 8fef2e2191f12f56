"""Purchase orders where no invocation lives long enough for one: another goes on with it."""

import asyncio
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.shopify import Shopify
from lastevent.serve.auth import QUERY_TOKEN_SECONDS, mint
from lastevent.stores.base import RetentionRules
from lastevent.stores.url import open_store
from tests.chaos.orders import STAGES, Business
from tests.chaos.subscriber import Seen, follow_client, follow_raw
from tests.platforms.conftest import CRON_SECRET, SECRET
from tests.platforms.places import WAIT_SECONDS, Deploy, Place, everywhere

pytestmark = [pytest.mark.slow, pytest.mark.node, pytest.mark.timeout(180)]

LIMIT_SECONDS = 8.0
"""What the platform allows an invocation: less than the work on an order takes."""

SLOW_SECONDS = 0.35
"""How long the shop takes for an answer."""

LEASE_SECONDS = 1.5
SETTINGS = {
    "LASTEVENT_POLICY": "latency",
    "LASTEVENT_MAX_LEG_SECONDS": "2",
    "LASTEVENT_LEASE_SECONDS": str(LEASE_SECONDS),
}
SHOP_STAGE = "shopify_sync"
CHANNELS = "progress,stage,completion,error"
PIECES = {f"MUG-{n}": 3 + n for n in range(6)}
CLAIMS = {"sub": "owner", "merchant": "north"}


def order(shop: Shopify) -> bytes:
    """Return an order of mugs, each with a picture, in all formats that are taken."""
    formats = ("png", "jpg", "webp", "gif")
    lines = [
        f"{sku},{pieces},4.50,Mug {n},{shop.cdn}/{sku}.{formats[n % 4]}"
        for n, (sku, pieces) in enumerate(PIECES.items())
    ]
    return "\n".join(["SKU,Quantity,Price,Description,Image URL", *lines]).encode()


async def uploaded(merchant: httpx.AsyncClient, content: bytes) -> dict[str, Any]:
    """Send an order in; return it as it is then."""
    answer = await merchant.post(
        "/api/purchase-orders",
        content=content,
        headers={"Content-Type": "text/csv", "Idempotency-Key": "one"},
    )
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def looked(merchant: httpx.AsyncClient, id: str) -> dict[str, Any]:
    """Return an order as it is now."""
    answer = await merchant.get(f"/api/purchase-orders/{id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def kept(place: Place, kind: str, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the merchant's records of this kind, from the store itself."""
    for name, value in place.store.items():
        monkeypatch.setenv(name, value)
    store = open_store("upstash://", RetentionRules())
    found = await store.records.query(kind, prefix=f"{CLAIMS['merchant']}/")
    await store.close()
    return [json.loads(record.value) for record in found]


@everywhere
async def test_an_order_outlives_its_invocations(
    platform: str, deploy: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of them reach their deadline, and once all are killed: the viewers see one order."""
    token = mint(SECRET, CLAIMS, QUERY_TOKEN_SECONDS)
    path = f"/api/realtime/events?from=start&channels={CHANNELS}&token={token}"
    async with (
        asyncio.timeout(WAIT_SECONDS),
        Shopify(tmp_path) as shop,
        deploy(platform, {**SETTINGS, **shop.environment}, limit_seconds=LIMIT_SECONDS) as place,
        place.client(token) as merchant,
    ):
        await shop.fault("delay", seconds=SLOW_SECONDS)
        made = await uploaded(merchant, order(shop))
        viewers = [Seen("by hand"), Seen("by the client")]
        following = [
            asyncio.create_task(follow(seen, path, [place.url], random.Random(seen.name)))
            for follow, seen in zip((follow_raw, follow_client), viewers, strict=True)
        ]
        while SHOP_STAGE not in "".join(viewers[0].data):
            await asyncio.sleep(0.05)
        await place.kill()
        while any('"over":true' not in "".join(seen.data) for seen in viewers):
            await asyncio.sleep(0.05)
        for task in following:
            task.cancel()
        await asyncio.wait(following)
        done = await looked(merchant, made["id"])
        state = await shop.state()
        thumbnails = await kept(place, "product-thumbnails", monkeypatch)
    assert done["endedAt"] - done["startedAt"] > LIMIT_SECONDS * 1000, "one invocation did it all"
    told = Business([done | CLAIMS], {CLAIMS["merchant"]: viewers})
    assert told.faults() == []
    assert viewers[0].legs >= 3, "nothing was resumed"
    assert [stage["status"] for stage in done["stages"]] == ["completed"] * len(STAGES)
    last = json.loads(viewers[0].data[-1])
    assert done["results"].items() <= last.items(), "the snapshot says something else"
    assert (done["results"]["images"], done["results"]["refused"]) == (len(PIECES), 0)
    assert Counter(it["format"] for it in thumbnails) == {"webp": 2 * len(PIECES)}
    assert (state.stock, set(state.creates.values())) == (PIECES, {1})


@everywhere
async def test_the_sweep_finishes_what_nobody_follows(
    platform: str, deploy: Deploy, tmp_path: Path
) -> None:
    async with (
        asyncio.timeout(WAIT_SECONDS),
        Shopify(tmp_path) as shop,
        deploy(platform, {**SETTINGS, **shop.environment}) as place,
        place.client(mint(SECRET, CLAIMS, 600)) as merchant,
        place.client(CRON_SECRET) as scheduler,
    ):
        await shop.fault("delay", seconds=SLOW_SECONDS / 4)
        made = await uploaded(merchant, order(shop))
        while (await looked(merchant, made["id"]))["stage"] != SHOP_STAGE:
            await asyncio.sleep(0.05)
        await place.kill()
        await asyncio.sleep(LEASE_SECONDS)  # and nobody looks, which would have it gone on with
        swept = await scheduler.post("/api/cron/sweep")
        assert swept.status_code == 200, swept.text
        (found,) = swept.json()["swept"]
        assert (found["stream"], found["state"]) == ("merchant:north", "resumed")
        while (done := await looked(merchant, made["id"]))["endedAt"] is None:
            await asyncio.sleep(0.1)
        state = await shop.state()
    assert done["state"] == "completed", done["error"]
    assert (state.stock, set(state.creates.values())) == (PIECES, {1})
