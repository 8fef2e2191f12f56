"""What a store keeps of purchase orders, their products and their pictures.

    purchase-orders-parsed   an order as it was read of its upload, until it is saved
    purchase-orders          an order that is saved: its sums, its state
    purchase-order-lines     its lines
    products                 a merchant's products, by SKU: drafts, until somebody publishes them
    product-images           what is known of a picture, by the address it came from
    product-thumbnails       a picture made small

Ids are made of what they name, so that a stage that is run again writes the same records. An order
counts as saved once its record is there: that is written last.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from lastevent.core.errors import Conflict, NotFound, TooLarge
from lastevent.services.purchase_orders.order import Line, Order, digest
from lastevent.stores.base import Record, Records, Store

PARSED = "purchase-orders-parsed"
ORDERS = "purchase-orders"
LINES = "purchase-order-lines"
PRODUCTS = "products"
IMAGES = "product-images"
THUMBNAILS = "product-thumbnails"

PARSED_SECONDS = 30 * 24 * 3600.0

MAX_PRODUCT_IMAGES = 50
"""Orders may name others of a product again and again, and a document has its limit."""

MAX_PARSED_BYTES = 360 * 1024
"""Some stores' documents have at most 380 KB."""

PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedOrder:
    """The record of an order that is saved. ``line_items`` so many lines have records."""

    id: str
    number: str
    supplier: str
    currency: str
    line_items: int
    pieces: int
    total: str | None
    confidence: int
    parser: str
    notes: tuple[str, ...] = ()
    state: str = "saved"
    summary: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, id: str, order: Order) -> Self:
        """Return the record of ``order``."""
        return cls(
            id=id,
            number=order.number,
            supplier=order.supplier,
            currency=order.currency,
            line_items=len(order.lines),
            pieces=order.pieces,
            total=order.total,
            confidence=order.confidence,
            parser=order.parser,
            notes=order.notes,
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``_text`` gave."""
        told = json.loads(text)
        return cls(**{**told, "notes": tuple(told["notes"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A merchant's product. ``images`` are addresses, ``shopify`` its ids in the shop; ``order`` is
    the one that made it, as ``shopify["order"]`` is the one that made it there."""

    sku: str
    title: str
    order: str = ""
    status: str = "draft"
    price: str | None = None
    currency: str = ""
    barcode: str = ""
    images: tuple[str, ...] = ()
    shopify: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``_text`` gave."""
        told = json.loads(text)
        return cls(**{**told, "images": tuple(told["images"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What is known of a picture. ``state``: ``attached``, ``processed``, or ``refused`` for
    ``error``. ``order`` is the one for which it was looked at. Sizes in pixels and bytes;
    ``thumbnails`` are the longest sides of those there are.
    """

    url: str
    state: str
    order: str = ""
    error: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    size: int = 0
    sha256: str = ""
    thumbnails: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``_text`` gave."""
        told = json.loads(text)
        return cls(**{**told, "thumbnails": tuple(told["thumbnails"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """A small picture; ``data`` is base64."""

    format: str
    width: int
    height: int
    data: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``_text`` gave."""
        return cls(**json.loads(text))


class OrderRecords:
    """The records of one merchant's orders, in a store."""

    def __init__(self, store: Store, merchant: str) -> None:
        self._records: Records = store.records
        self._merchant = merchant

    async def parsed(self, order: str) -> Order | None:
        """Return an order as it was read, None if it was not yet."""
        record = await self._records.get(PARSED, self._id(order))
        return None if record is None else Order.parse(record.value)

    async def keep_parsed(self, order: str, parsed: Order) -> Order:
        """Write down what was read; return what is there: who reads it first is right. Raises
        TooLarge."""
        text = parsed.text
        if len(text.encode()) > MAX_PARSED_BYTES:
            raise TooLarge(
                f"what was read has over {MAX_PARSED_BYTES // 1024} KB: send it as several orders"
            )
        try:
            await self._records.put(PARSED, self._id(order), text, expect=0, seconds=PARSED_SECONDS)
        except Conflict:
            return await self.parsed(order) or parsed
        return parsed

    async def must_be_parsed(self, order: str) -> Order:
        """Return an order as it was read; raise NotFound."""
        parsed = await self.parsed(order)
        if parsed is None:
            raise NotFound(f"the order {order} was not read, or that was over a month ago")
        return parsed

    async def saved(self, order: str) -> SavedOrder | None:
        """Return an order that is saved, None if it is not."""
        record = await self._records.get(ORDERS, self._id(order))
        return None if record is None else SavedOrder.parse(record.value)

    async def save(self, order: SavedOrder) -> SavedOrder:
        """Write the record of an order whose lines are written; return the one that is there."""
        with suppress(Conflict):
            await self._records.put(ORDERS, self._id(order.id), _text(order), expect=0)
        return await self.saved(order.id) or order

    async def change_order(
        self, order: str, change: Callable[[SavedOrder], SavedOrder]
    ) -> SavedOrder:
        """Write an order's record anew; return it. Raises NotFound."""
        return await self._change(ORDERS, self._id(order), SavedOrder.parse, change)

    async def orders(self, after: str = "", limit: int = PAGE) -> list[SavedOrder]:
        """Return the merchant's orders that are saved, by id."""
        found = await self._records.query(
            ORDERS, prefix=self._id(""), after=self._id(after) if after else "", limit=limit
        )
        return [SavedOrder.parse(record.value) for record in found]

    async def lines(self, order: str) -> list[Line]:
        """Return the lines of an order that are written, in its order."""
        return [Line.of(json.loads(it.value)) async for it in self._all(LINES, self._id(order, ""))]

    async def lines_after(self, order: str, after: int, limit: int) -> list[tuple[int, Line]]:
        """Return lines of an order that are written, by their numbers in it: those after the
        ``after``-th, at most ``limit``."""
        prefix = self._id(order, "")
        found = await self._records.query(
            LINES, prefix=prefix, after=f"{prefix}{after:04d}" if after else "", limit=limit
        )
        return [(int(it.id[len(prefix) :]), Line.of(json.loads(it.value))) for it in found]

    async def write_line(self, order: str, number: int, line: Line) -> None:
        """Write a line down, the ``number``-th of its order, unless it is there as it is."""
        id, text = self._id(order, f"{number:04d}"), _text(line)
        try:
            await self._records.put(LINES, id, text, expect=0)
        except Conflict:
            record = await self._records.get(LINES, id)
            if record is None or record.value != text:
                await self._records.put(LINES, id, text)

    async def product(self, sku: str) -> Product | None:
        """Return a product, None if the merchant has none of that SKU."""
        record = await self._records.get(PRODUCTS, self._id(digest(sku)))
        return None if record is None else Product.parse(record.value)

    async def add_product(self, product: Product) -> Product:
        """Write a product down unless there is one of its SKU; return the one that is there."""
        try:
            await self._records.put(
                PRODUCTS, self._id(digest(product.sku)), _text(product), expect=0
            )
        except Conflict:
            return await self.product(product.sku) or product
        return product

    async def change_product(self, sku: str, change: Callable[[Product], Product]) -> Product:
        """Write a product anew, if the change is one; return it. Raises NotFound."""
        return await self._change(PRODUCTS, self._id(digest(sku)), Product.parse, change)

    async def products(self) -> list[Product]:
        """Return the merchant's products."""
        return [Product.parse(it.value) async for it in self._all(PRODUCTS, self._id(""))]

    async def image(self, url: str) -> Image | None:
        """Return what is known of the picture at an address, None if nothing is."""
        record = await self._records.get(IMAGES, self._id(digest(url)))
        return None if record is None else Image.parse(record.value)

    async def put_image(self, image: Image) -> None:
        """Write down what is known of a picture."""
        await self._records.put(IMAGES, self._id(digest(image.url)), _text(image))

    async def thumbnail(self, url: str, side: int) -> Thumbnail | None:
        """Return the thumbnail of a picture whose longest side is at most ``side``."""
        return await self.thumbnail_of(digest(url), side)

    async def thumbnail_of(self, digest: str, side: int) -> Thumbnail | None:
        """Return it by the digest of the picture's address."""
        record = await self._records.get(THUMBNAILS, self._id(digest, str(side)))
        return None if record is None else Thumbnail.parse(record.value)

    async def put_thumbnail(self, url: str, side: int, thumbnail: Thumbnail) -> None:
        """Write a thumbnail down."""
        await self._records.put(THUMBNAILS, self._id(digest(url), str(side)), _text(thumbnail))

    def _id(self, *parts: str) -> str:
        return "/".join((self._merchant, *parts))

    async def _all(self, kind: str, prefix: str) -> AsyncIterator[Record]:
        after = ""
        while True:
            page = await self._records.query(kind, prefix=prefix, after=after, limit=PAGE)
            for record in page:
                yield record
            if len(page) < PAGE:
                return
            after = page[-1].id

    async def _change[T: Product | SavedOrder](
        self, kind: str, id: str, parse: Callable[[str], T], change: Callable[[T], T]
    ) -> T:
        while True:
            record = await self._records.get(kind, id)
            if record is None:
                raise NotFound(f"there is no such document among the {kind}")
            before = parse(record.value)
            after = change(before)
            if after == before:
                return after
            with suppress(Conflict):
                await self._records.put(kind, id, _text(after), expect=record.version)
                return after


def merged(product: Product, images: tuple[str, ...]) -> Product:
    """Return a product with these pictures after those that it has, MAX_PRODUCT_IMAGES at most."""
    every = tuple(dict.fromkeys((*product.images, *images)))
    return replace(product, images=every[:MAX_PRODUCT_IMAGES])


def _text(value: Line | SavedOrder | Product | Image | Thumbnail) -> str:
    return json.dumps(asdict(value), ensure_ascii=False, separators=(",", ":"))
