"""An order's lines, products and pictures over HTTP, and for whom."""

import base64
from time import time
from typing import Any

import jwt
import pytest

from functions import realtime
from lastevent.services.purchase_orders.order import Line, Order, digest
from lastevent.services.purchase_orders.records import (
    Image,
    OrderRecords,
    Product,
    SavedOrder,
    Thumbnail,
)
from lastevent.services.workflow.values import Input
from tests.serve.running import Running, Serve, any_store

SECRET = "s" * 40
MUG, GONE = "https://images.example.com/mug.png", "https://images.example.com/gone.png"
SMALL = b"RIFF small WEBP"
SHOP = {"shop": "local-shop.myshopify.com", "product": "gid://shopify/Product/5001", "item": "i"}
LINES = (
    Line(place=2, sku="MUG-01", description="Blue mug", quantity=12, price="4.50", images=(MUG,)),
    Line(place=3, description="Tea towel", quantity=3, confidence=80, images=(GONE,)),
    Line(place=4, sku="PLT-02", quantity=1),
)


def token(merchant: str | None = "42") -> dict[str, str]:
    claims = {"sub": "u", "exp": time() + 60, **({"merchant": merchant} if merchant else {})}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


async def begun(serve: Serve) -> tuple[Running, str]:
    """Return a server, and the id of an order there that is not saved yet."""
    server = await serve(routes=realtime.routes, auth_secret=SECRET, development=False)
    run = await server.service.part(realtime.workflows).begin("purchase-order", "42", Input(b"x"))
    return server, run.subject


async def saved(serve: Serve) -> tuple[Running, str]:
    """Return a server, and the id of an order there with its lines, a product and a picture."""
    server, id = await begun(serve)
    records = OrderRecords(server.service.store, "42")
    for number, line in enumerate(LINES, 1):
        await records.write_line(id, number, line)
    order = Order(lines=LINES, number="PO-7", supplier="Acme", currency="EUR", notes=("a note",))
    await records.save(SavedOrder.of(id, order))
    await records.add_product(Product(sku="MUG-01", title="Blue mug", shopify=SHOP))
    await records.add_product(Product(sku=LINES[1].product, title="Tea towel"))
    await records.put_image(Image(url=MUG, state="processed", thumbnails=(96, 480)))
    await records.put_image(Image(url=GONE, state="refused", error="it is gone"))
    data = base64.b64encode(SMALL).decode()
    await records.put_thumbnail(MUG, 96, Thumbnail(format="webp", width=96, height=72, data=data))
    return server, id


@any_store
async def test_lines_come_with_products_and_pictures_a_page_at_a_time(serve: Serve) -> None:
    server, id = await saved(serve)

    async def page(query: str) -> Any:
        answer = await server.client.get(f"/api/purchase-orders/{id}/lines{query}", headers=token())
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return answer.json()

    first = await page("?limit=2")
    assert first["order"] == {
        "number": "PO-7",
        "supplier": "Acme",
        "currency": "EUR",
        "lineItems": 3,
        "pieces": 16,
        "total": None,
        "confidence": 93,
        "parser": "built-in",
        "notes": ["a note"],
    }
    assert first["next"] == 2
    mug, towel = first["lines"]
    assert mug == {
        "number": 1,
        "place": 2,
        "quantity": 12,
        "sku": "MUG-01",
        "description": "Blue mug",
        "price": "4.50",
        "barcode": "",
        "confidence": 100,
        "product": {
            "sku": "MUG-01",
            "title": "Blue mug",
            "status": "draft",
            "url": "https://local-shop.myshopify.com/admin/products/5001",
        },
        "images": [{"url": MUG, "state": "processed", "error": "", "thumbnail": digest(MUG)}],
    }
    assert towel["product"]["url"] is None
    refused = {"url": GONE, "state": "refused", "error": "it is gone", "thumbnail": None}
    assert towel["images"] == [refused]
    last = await page("?limit=2&after=2")
    assert [line["number"] for line in last["lines"]] == [3]
    assert last["next"] is None
    assert last["lines"][0]["product"] is None
    assert [line["number"] for line in (await page(""))["lines"]] == [1, 2, 3]


async def test_an_order_that_is_not_read_yet_has_no_lines(serve: Serve) -> None:
    server, id = await begun(serve)
    answer = await server.client.get(f"/api/purchase-orders/{id}/lines", headers=token())
    assert answer.json() == {"order": None, "lines": [], "next": None}


@any_store
async def test_a_picture_is_the_merchants(serve: Serve) -> None:
    server, _ = await saved(serve)
    path = f"/api/purchase-orders/images/{digest(MUG)}"
    answer = await server.client.get(path, headers=token())
    assert (answer.status_code, answer.content) == (200, SMALL)
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["content-security-policy"] == "default-src 'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "private" in answer.headers["cache-control"]

    async def status(path: str, headers: dict[str, str]) -> int:
        refused = await server.client.get(path, headers=headers)
        assert refused.headers["content-type"] == "application/problem+json"
        return refused.status_code

    assert await status(path, {}) == 401
    assert await status(path, token(None)) == 403
    assert await status(path, token("7")) == 404
    assert await status(f"{path}?side=480", token()) == 404
    assert await status(f"{path}?side=1", token()) == 404
    assert await status(f"/api/purchase-orders/images/{digest(GONE)}", token()) == 404
    assert await status("/api/purchase-orders/images/x", token()) == 404


async def test_who_may_see_lines(serve: Serve) -> None:
    server, id = await saved(serve)
    path = f"/api/purchase-orders/{id}/lines"
    assert (await server.client.get(path)).status_code == 401
    assert (await server.client.get(path, headers=token(None))).status_code == 403
    assert (await server.client.get(path, headers=token("7"))).status_code == 404
    assert (await server.client.get(f"{path}x", headers=token())).status_code == 404


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=²", "after=-1", "after=10000"])
async def test_pages_have_limits(serve: Serve, query: str) -> None:
    server, id = await saved(serve)
    path = f"/api/purchase-orders/{id}/lines?{query}"
    assert (await server.client.get(path, headers=token())).status_code == 400
