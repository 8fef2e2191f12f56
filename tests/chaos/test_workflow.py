"""Purchase orders under kills: every one is done, each stage of it once, and all see the same."""

from collections import Counter
from pathlib import Path

import pytest

from infra.local.shopify import Shopify
from tests.chaos.grounds import GROUNDS
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


@pytest.mark.parametrize("store", ["sqlite", "upstash", "dynamodb"])
async def test_twenty_orders_at_once(store: str, tmp_path: Path) -> None:
    async with GROUNDS[store](tmp_path) as ground, Shopify(tmp_path) as shop:
        await shop.fault("delay", seconds=0.2)
        await shop.fault("lost", probability=0.05, seed=1)
        uploads = [order(n, shop.cdn) for n in range(ORDERS)]
        done = await business(ground, tmp_path, uploads, seed=1, environ=shop.environment)
        state = await shop.state()
    assert done.faults() == []
    assert done.kills >= 5, "there was no chaos"
    assert all(len(it["stages"]) == len(STAGES) for it in done.orders)
    statuses = Counter(stage["status"] for it in done.orders for stage in it["stages"])
    assert statuses == {"completed": ORDERS * len(STAGES)}, "each stage has done its work"
    assert set(state.creates.values()) == {1}, "a product was made twice"
    wanted: Counter[str] = Counter()
    for n in range(ORDERS):
        wanted.update(quantities(n))
    assert state.stock == wanted, "pieces were added twice, or not at all"
