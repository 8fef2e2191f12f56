"""Purchase orders under kills: every one is done, each stage of it once, and all see the same."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.local.shopify import Shopify
from lastevent.services.purchase_orders import records
from lastevent.services.purchase_orders.order import digest
from lastevent.services.purchase_orders.shopify.stock import KIND as PLANS
from lastevent.services.purchase_orders.thumbnails import SIDES
from lastevent.services.workflow import workflows
from lastevent.services.workflow.records import KIND as RUNS
from lastevent.stores.base import Store
from lastevent.stores.url import open_store
from tests.chaos.grounds import GROUNDS
from tests.chaos.kept import kept, unfinished
from tests.chaos.orders import STAGES, Upload, business

pytestmark = [pytest.mark.slow, pytest.mark.timeout(330)]

ORDERS = 20
LINES = 8


def quantities(n: int) -> dict[str, int]:
    """Return what the order of this number orders: each shares products with some others."""
    return {f"SKU-{(n + i) % 12:02d}": 1 + (n * i) % 7 for i in range(LINES)}


def order(n: int, images: str) -> Upload:
    lines = [
        f"{sku},{pieces},{2 + i}.50,Product {sku},{images}/{sku}.png"
        for i, (sku, pieces) in enumerate(quantities(n).items())
    ]
    content = "\n".join(["SKU,Quantity,Price,Description,Image URL", *lines])
    return Upload(("north", "south")[n % 2], content.encode())


async def all_is_kept_once(store: Store, orders: Sequence[Mapping[str, Any]], images: str) -> None:
    """See that the records hold what was ordered, each thing once, and nothing besides."""
    keys = [f"{it['merchant']}/{it['id']}" for it in orders]
    runs = await kept(store, RUNS)
    ended = {key: (it["state"], it["outbox"]) for key, it in runs.items()}
    assert ended == {key: ("completed", []) for key in keys}

    saved = await kept(store, records.ORDERS)
    sums = {key: (it["state"], it["line_items"], it["pieces"]) for key, it in saved.items()}
    assert sums == {
        key: ("processed", LINES, sum(quantities(n).values())) for n, key in enumerate(keys)
    }
    lines = await kept(store, records.LINES)
    assert {id: (it["sku"], it["quantity"]) for id, it in lines.items()} == {
        f"{key}/{number:04d}": line
        for n, key in enumerate(keys)
        for number, line in enumerate(quantities(n).items(), 1)
    }

    # The orders of a merchant share products, and a product has the one picture they all name.
    owned = {(it["merchant"], sku) for n, it in enumerate(orders) for sku in quantities(n)}
    pictured = [(merchant, sku, f"{images}/{sku}.png") for merchant, sku in owned]
    products = await kept(store, records.PRODUCTS)
    assert {id: (it["sku"], it["images"]) for id, it in products.items()} == {
        f"{merchant}/{digest(sku)}": (sku, [url]) for merchant, sku, url in pictured
    }
    pictures = await kept(store, records.IMAGES)
    assert {id: (it["url"], it["state"], it["thumbnails"]) for id, it in pictures.items()} == {
        f"{merchant}/{digest(url)}": (url, "processed", list(SIDES))
        for merchant, _, url in pictured
    }
    assert set(await kept(store, records.THUMBNAILS)) == {
        f"{merchant}/{digest(url)}/{side}" for merchant, _, url in pictured for side in SIDES
    }

    # A plan goes by the shop's own ids: that the pieces came to the right ones is seen there.
    plans = await kept(store, PLANS)
    assert {id: (it["done"], _added(it["changes"])) for id, it in plans.items()} == {
        f"{key}/0000": (True, sorted(quantities(n).values())) for n, key in enumerate(keys)
    }


def _added(changes: Mapping[str, Sequence[int]]) -> list[int]:
    return sorted(after - before for before, after in changes.values())


@pytest.mark.parametrize("store", ["sqlite", "upstash", "dynamodb"])
async def test_twenty_orders_at_once(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with GROUNDS[store](tmp_path) as ground, Shopify(tmp_path) as shop:
        await shop.fault("delay", seconds=0.2)
        await shop.fault("lost", probability=0.05, seed=1)
        uploads = [order(n, shop.cdn) for n in range(ORDERS)]
        done = await business(ground, tmp_path, uploads, seed=1, environ=shop.environment)
        state = await shop.state()
        assert done.faults() == []
        for name, value in ground.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(workflows, "STALE_SECONDS", -60.0)
        opened = open_store(ground.url)
        try:
            assert await unfinished(opened) == []
            await all_is_kept_once(opened, done.orders, shop.cdn)
        finally:
            await opened.close()
    assert done.kills >= 5, "there was no chaos"
    assert done.troubles >= 1 or not ground.mischief, "the store had no bad day"
    assert all(len(it["stages"]) == len(STAGES) for it in done.orders)
    statuses = Counter(stage["status"] for it in done.orders for stage in it["stages"])
    assert statuses == {"completed": ORDERS * len(STAGES)}, "each stage has done its work"
    assert set(state.creates.values()) == {1}, "a product was made twice"
    wanted: Counter[str] = Counter()
    for n in range(ORDERS):
        wanted.update(quantities(n))
    assert state.stock == wanted, "pieces were added twice, or not at all"
