"""An order's products and quantities, brought to a shop."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from lastevent.core.errors import NotFound
from lastevent.services.purchase_orders.order import Order
from lastevent.services.purchase_orders.records import OrderRecords, Product
from lastevent.services.purchase_orders.shopify.shop import Shop
from lastevent.services.purchase_orders.shopify.stock import BATCH, ItemsGone, Stock

PRODUCTS_SHARE = 70.0
"""Of the whole, in percent: finding and creating products takes the longer part."""

type Tell = Callable[[float, str], Awaitable[None]]


async def bring_products(
    records: OrderRecords, shop: Shop, order: Order, id: str, tell: Tell
) -> tuple[dict[str, str], int]:
    """See to it that the shop has each product; return its items by SKU, and how many of them the
    order of this ``id`` has made there."""
    items: dict[str, str] = {}
    created = 0
    for number, sku in enumerate(order.by_product, 1):
        product = await records.product(sku)
        if product is None:
            raise NotFound(f"the product {sku} is gone from the records")
        if product.shopify.get("shop") != shop.name:
            product = await _brought(records, shop, product, id)
        created += product.shopify.get("order") == id
        items[sku] = product.shopify["item"]
        await tell(
            PRODUCTS_SHARE * number / len(order.by_product),
            f"{number} of {len(order.by_product)} products are in the shop",
        )
    return items, created


async def add_stock(
    records: OrderRecords, stock: Stock, order: Order, items: Mapping[str, str], tell: Tell
) -> None:
    """Add the order's quantities to the shop's stock, in changes that are made once.

    Raises ItemsGone once it is forgotten that those are there: the next attempt brings them anew.
    """
    skus = list(order.by_product)
    for batch, first in enumerate(range(0, len(skus), BATCH)):
        quantities: dict[str, int] = {}
        for sku in skus[first : first + BATCH]:
            pieces = sum(line.quantity for line in order.by_product[sku])
            quantities[items[sku]] = quantities.get(items[sku], 0) + pieces
        try:
            await stock.add(batch, quantities)
        except ItemsGone as error:
            for sku in skus:
                if items[sku] in error.items:
                    await records.change_product(sku, lambda it: replace(it, shopify={}))
            raise
        done = min(first + BATCH, len(skus))
        await tell(
            PRODUCTS_SHARE + (100 - PRODUCTS_SHARE) * done / len(skus),
            f"The stock of {done} of {len(skus)} products is set",
        )


async def _brought(records: OrderRecords, shop: Shop, product: Product, order: str) -> Product:
    found = await shop.find(product.sku)
    maker = {} if found is not None else {"order": order}
    if found is None:
        found = await shop.create(product)
    ids = {"shop": shop.name, **found.ids, **maker}
    return await records.change_product(product.sku, lambda it: replace(it, shopify=ids))
