"""The seven stages of a purchase order.

    ai_parsing                    the upload is read: an order, or what is wrong with it, by lines
    database_save                 its lines and the order are written down
    product_draft_creation        each product that the merchant did not have becomes a draft
    image_attachment              the products' pictures are looked at where they are, and attached
    background_image_processing   thumbnails
    shopify_sync                  products and quantities are brought to the shop
    status_update                 the order is marked as processed, with what came of it

Each may be cut at any await and is then run again as a whole, by whoever: what is there already is
left as it is. Each goes by the records, not by what the stages before it have returned.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from lastevent.core.errors import NotFound, Transient
from lastevent.services.purchase_orders import thumbnails
from lastevent.services.purchase_orders.images import Images
from lastevent.services.purchase_orders.model import Model
from lastevent.services.purchase_orders.order import Line, Order
from lastevent.services.purchase_orders.pictures import Pictures
from lastevent.services.purchase_orders.reading import read
from lastevent.services.purchase_orders.records import Image, OrderRecords, Product, SavedOrder
from lastevent.services.purchase_orders.shopify.shop import Shop
from lastevent.services.purchase_orders.shopify.stock import Stock
from lastevent.services.purchase_orders.shopify.sync import add_stock, bring_products
from lastevent.services.purchase_orders.work import Context, Result
from lastevent.services.workflow.values import Skipped, Stage, Workflow
from lastevent.stores.base import Store

NAME = "purchase-order"
RECORDS_AT_ONCE = 16
PICTURES_AT_ONCE = 4
PICTURES_SECONDS = 3600.0
"""More than it takes to wait in vain for as many hosts as an order may name images."""

NO_SHOP = "no shop is set up: SHOPIFY_SHOP and SHOPIFY_ACCESS_TOKEN are not set"
NO_IMAGES = "no line names an image"
NONE_ATTACHED = "no image could be attached"
NO_PILLOW = "Pillow is not installed: the extra `images` has it"


class PurchaseOrders:
    """What the stages work with. Belongs to one event loop.

    ``model`` and ``shop`` are None where none is set up.
    """

    def __init__(
        self, store: Store, images: Images, *, model: Model | None = None, shop: Shop | None = None
    ) -> None:
        self._store = store
        self._images = images
        self._model = model
        self._shop = shop
        self._shrinking = asyncio.Lock()

    def workflow(self) -> Workflow:
        """Return the workflow of these stages, for a runner."""
        return Workflow(
            NAME,
            (
                Stage("ai_parsing", self.parse, weight=2, seconds=180),
                Stage("database_save", self.save, weight=1, retries=5),
                Stage("product_draft_creation", self.draft, weight=1, retries=5),
                Stage("image_attachment", self.attach, weight=2, seconds=PICTURES_SECONDS),
                Stage(
                    "background_image_processing", self.shrink, weight=2, seconds=PICTURES_SECONDS
                ),
                Stage(
                    "shopify_sync",
                    self.sync,
                    weight=3,
                    retries=8,
                    seconds=3600,
                    backoff_seconds=3,
                    longest_backoff_seconds=300,
                ),
                Stage("status_update", self.finish, weight=0.5, retries=5),
            ),
            prefix="po",
        )

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._images.aclose()
        if self._model is not None:
            await self._model.aclose()
        if self._shop is not None:
            await self._shop.aclose()

    async def parse(self, context: Context) -> Result:
        """Read the upload; raise BadOrder for one of which nothing is kept."""
        records = self._records(context)
        order = await records.parsed(context.subject)
        if order is None:
            upload = await context.input()
            await context.progress(10, f"Reading {len(upload.content):,} bytes")
            order = await read(upload.content, upload.content_type, self._model)
            await context.progress(80, f"Found {len(order.lines)} line items")
            order = await records.keep_parsed(context.subject, order)
        told: dict[str, Any] = {
            "lineItems": len(order.lines),
            "confidence": order.confidence,
            "parser": order.parser,
        }
        return told | ({"notes": list(order.notes)} if order.notes else {})

    async def save(self, context: Context) -> Result:
        """Write the lines down, then the order."""
        records, order_id = self._records(context), context.subject
        saved = await records.saved(order_id)
        if saved is None:
            order = await records.must_be_parsed(order_id)

            async def write(numbered: tuple[int, Line]) -> None:
                await records.write_line(order_id, *numbered)

            lines = list(enumerate(order.lines, 1))
            await _each(context, lines, write, RECORDS_AT_ONCE, "Saved {} of {} line items")
            # Last: nobody sees an order without its lines.
            saved = await records.save(SavedOrder.of(order_id, order))
        return {"lineItems": saved.line_items, "pieces": saved.pieces, "total": saved.total}

    async def draft(self, context: Context) -> Result:
        """Make a draft of each product that the merchant does not have."""
        records, order = await self._saved(context)
        created: list[str] = []

        async def add(product: Product) -> None:
            if (await records.add_product(product)).order == context.subject:
                created.append(product.sku)

        products = [
            _product(sku, lines, order, context.subject) for sku, lines in order.by_product.items()
        ]
        await _each(context, products, add, RECORDS_AT_ONCE, "Looked at {} of {} products")
        return {"products": len(products), "created": len(created)}

    async def attach(self, context: Context) -> Result:
        """Look at the products' pictures where they are, and attach those that can be had."""
        records, order = await self._saved(context)
        wanted: dict[str, dict[str, None]] = {}
        for line in order.lines:
            for url in line.images:
                wanted.setdefault(url, {})[line.product] = None
        if not wanted:
            return Skipped(NO_IMAGES)
        pictures = self._pictures(records, context)

        async def attach(url: str) -> None:
            await pictures.attach(url, list(wanted[url]))

        await _each(context, list(wanted), attach, PICTURES_AT_ONCE, "Looked at {} of {} images")
        return _counted(await pictures.known(list(wanted)))

    async def shrink(self, context: Context) -> Result:
        """Make thumbnails of the pictures that are attached."""
        if not await asyncio.to_thread(thumbnails.available):
            return Skipped(NO_PILLOW)
        records, order = await self._saved(context)
        pictures = self._pictures(records, context)
        urls = order.images
        attached = [it.url for it in await pictures.known(urls) if it.state != "refused"]
        if not attached:
            return Skipped(NONE_ATTACHED if urls else NO_IMAGES)
        message = "Made thumbnails of {} of {} images"
        await _each(context, attached, pictures.shrink, PICTURES_AT_ONCE, message)
        return _counted(await pictures.known(urls))

    async def sync(self, context: Context) -> Result:
        """Bring products to the shop, as drafts, and add the order's quantities to its stock."""
        shop = self._shop
        if shop is None:
            return Skipped(NO_SHOP)
        records, order = await self._saved(context)
        items, created = await bring_products(
            records, shop, order, context.subject, context.progress
        )
        location = await shop.location()
        owner = f"{context.merchant}/{context.subject}"
        stock = Stock(self._store, shop, owner, context.subject, location)
        await add_stock(records, stock, order, items, context.progress)
        return {
            "products": len(items),
            "createdInShop": created,
            "pieces": order.pieces,
            "shop": shop.name,
        }

    async def finish(self, context: Context) -> Result:
        """Mark the order as processed, and say what came of it."""
        records, order = await self._saved(context)
        in_shop: list[str] = []

        async def look(sku: str) -> None:
            product = await records.product(sku)
            if product is not None and product.shopify:
                in_shop.append(sku)

        products = list(order.by_product)
        await _each(context, products, look, RECORDS_AT_ONCE, "Looked at {} of {} products")
        pictures = await self._pictures(records, context).known(order.images)
        summary = {
            "products": len(products),
            "inShop": len(in_shop),
            "images": sum(1 for it in pictures if it.state != "refused"),
        }
        saved = await records.change_order(
            context.subject, lambda it: replace(it, state="processed", summary=summary)
        )
        return {
            "lineItems": saved.line_items,
            "pieces": saved.pieces,
            "total": saved.total,
            "currency": saved.currency,
            **summary,
        }

    def _pictures(self, records: OrderRecords, context: Context) -> Pictures:
        return Pictures(records, self._images, context.subject, self._shrinking)

    def _records(self, context: Context) -> OrderRecords:
        return OrderRecords(self._store, context.merchant)

    async def _saved(self, context: Context) -> tuple[OrderRecords, Order]:
        """Return the records, and the order as its lines are written there."""
        records = self._records(context)
        saved = await records.saved(context.subject)
        if saved is None:
            raise NotFound(f"the order {context.subject} is not saved")
        lines = await records.lines(context.subject)
        if len(lines) < saved.line_items:  # a replica that lags
            raise Transient("the order's lines are not all to be read yet")
        return records, Order(lines=tuple(lines), number=saved.number, currency=saved.currency)


def _product(sku: str, lines: Sequence[Line], order: Order, order_id: str) -> Product:
    """Return the draft of a product by the lines that order it: the first that says it counts."""
    return Product(
        sku=sku,
        title=lines[0].title,
        order=order_id,
        price=next((line.price for line in lines if line.price is not None), None),
        currency=order.currency,
        barcode=next((line.barcode for line in lines if line.barcode), ""),
    )


async def _each[T](
    context: Context,
    things: Sequence[T],
    work: Callable[[T], Awaitable[None]],
    at_once: int,
    message: str,
) -> None:
    """Do something for each thing, so many at a time, and tell how far it is."""
    for first in range(0, len(things), at_once):
        results = await asyncio.gather(
            *(work(thing) for thing in things[first : first + at_once]), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        done = min(first + at_once, len(things))
        await context.progress(100 * done / len(things), message.format(done, len(things)))


def _counted(images: Sequence[Image]) -> dict[str, Any]:
    """Return how many pictures there are, and why others are not among them."""
    refused = [image for image in images if image.state == "refused"]
    told: dict[str, Any] = {"images": len(images) - len(refused), "refused": len(refused)}
    if refused:
        told["reasons"] = sorted({image.error for image in refused})[:5]
    return told
