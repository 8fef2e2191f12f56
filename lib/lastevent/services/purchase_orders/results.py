"""What came of an order, as a page shows it: its lines, their products and pictures, the shop."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from lastevent.services.purchase_orders.order import Line, digest
from lastevent.services.purchase_orders.records import Image, OrderRecords, Product, SavedOrder
from lastevent.services.purchase_orders.thumbnails import SIDES

AT_ONCE = 16
SMALL = SIDES[0]


async def lines_of(
    records: OrderRecords, order: str, after: int, limit: int
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Return an order's record, None before it is saved, and its lines that are written, in their
    order: those after the ``after``-th, at most ``limit``."""
    saved = await records.saved(order)
    numbered = await records.lines_after(order, after, limit)
    products = await _each(dict.fromkeys(it.product for _, it in numbered), records.product)
    images = await _each(
        dict.fromkeys(url for _, it in numbered for url in it.images), records.image
    )
    described = [_line(number, line, products, images) for number, line in numbered]
    return (None if saved is None else _order(saved)), described


def admin_url(product: Product) -> str | None:
    """Return where a merchant finds a product in its shop's admin; None if it is in none."""
    shop = product.shopify.get("shop")
    number = product.shopify.get("product", "").rpartition("/")[2]
    return f"https://{shop}/admin/products/{number}" if shop and number.isdecimal() else None


def _order(saved: SavedOrder) -> dict[str, Any]:
    return {
        "number": saved.number,
        "supplier": saved.supplier,
        "currency": saved.currency,
        "lineItems": saved.line_items,
        "pieces": saved.pieces,
        "total": saved.total,
        "confidence": saved.confidence,
        "parser": saved.parser,
        "notes": list(saved.notes),
    }


def _line(
    number: int,
    line: Line,
    products: Mapping[str, Product | None],
    images: Mapping[str, Image | None],
) -> dict[str, Any]:
    product = products[line.product]
    return {
        "number": number,
        **asdict(line),
        "product": None
        if product is None
        else {
            "sku": product.sku,
            "title": product.title,
            "status": product.status,
            "url": admin_url(product),
        },
        "images": [_image(url, images[url]) for url in line.images],
    }


def _image(url: str, image: Image | None) -> dict[str, Any]:
    if image is None:
        return {"url": url, "state": "pending", "error": "", "thumbnail": None}
    has_small = image.state == "processed" and SMALL in image.thumbnails
    return {
        "url": url,
        "state": image.state,
        "error": image.error,
        "thumbnail": digest(url) if has_small else None,
    }


async def _each[T](names: Iterable[str], get: Callable[[str], Awaitable[T]]) -> dict[str, T]:
    """Return what ``get`` finds for each name, a few at a time."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> tuple[str, T]:
        async with turns:
            return name, await get(name)

    return dict(await asyncio.gather(*map(one, names)))
