"""What a shop holds: products, their variants, how many pieces of each are where."""

import itertools
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

LOCATION = "gid://shopify/Location/1001"
LOCATION_NAME = "Main warehouse"
LONGEST_TITLE = 255


class UserError(Exception):
    """What a mutation says is wrong with its input; nothing was changed."""

    def __init__(self, code: str, message: str, place: list[str] | None = None) -> None:
        super().__init__(message)
        self.value = {"code": code, "message": message, "field": place}


@dataclass(slots=True)
class Variant:
    """A variant, with its inventory item: pieces by location, where it is stocked."""

    id: str
    item: str
    option: str
    sku: str = ""
    barcode: str = ""
    cost: str | None = None
    stock: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Product:
    """A product; ``created`` in Unix seconds."""

    id: str
    handle: str
    title: str
    status: str
    created: float
    variants: list[Variant] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Moved:
    """A change of stock that was carried out."""

    item: str
    before: int
    after: int
    document: str | None


class Shop:
    """One shop. What was made is found by a search ``search_lag`` seconds later."""

    def __init__(self, search_lag: float = 1.0) -> None:
        self.search_lag = search_lag
        self.products: dict[str, Product] = {}
        self.creates: Counter[str] = Counter()
        self.updates: Counter[str] = Counter()
        self.moved: list[Moved] = []
        self._numbers = itertools.count(5001)

    def empty(self) -> None:
        """Forget all that there is and was. Ids are not given again."""
        for held in (self.products, self.creates, self.updates, self.moved):
            held.clear()

    @property
    def state(self) -> dict[str, Any]:
        """What a test asks for."""
        return {
            "products": [asdict(product) for product in self.products.values()],
            "creates": dict(self.creates),
            "updates": dict(self.updates),
            "moved": [asdict(moved) for moved in self.moved],
        }

    def variants(self) -> Iterator[tuple[Product, Variant]]:
        """Yield all variants with their products."""
        for product in self.products.values():
            for variant in product.variants:
                yield product, variant

    def item(self, id: str) -> Variant | None:
        """Return the variant of an inventory item, None if there is none."""
        return next((variant for _, variant in self.variants() if variant.item == id), None)

    def by_handle(self, handle: str) -> Product | None:
        """Return the product of a handle, None if there is none: at once, unlike a search."""
        return next((it for it in self.products.values() if it.handle == handle), None)

    def search(self, query: str | None) -> list[tuple[Product, Variant]]:
        """Return the variants that a search finds: by ``sku:…`` or a word, without their case."""
        found = re.fullmatch(r'(?:(sku):)?"?(.*?)"?', query or "")
        assert found
        words = found[2].replace('\\"', '"').casefold().split()
        until = time.time() - self.search_lag
        return [
            (product, variant)
            for product, variant in self.variants()
            if product.created <= until
            and all(
                word in (variant.sku if found[1] else f"{variant.sku} {product.title}").casefold()
                for word in words
            )
        ]

    def add(self, sku: str, quantity: int | None, handle: str | None = None) -> Product:
        """Make a product as the merchant would, by hand; without a quantity it is not stocked."""
        made = self._create(handle or f"by-hand-{next(self._numbers)}", created=0.0)
        made.status = "ACTIVE"
        variant = self._variant("Default Title", {"sku": sku})
        if quantity is not None:
            variant.stock[LOCATION] = quantity
        made.variants.append(variant)
        return made

    def set(self, identifier: Mapping[str, Any], input: Mapping[str, Any]) -> Product:
        """Create or update a product: lists in the input replace what was there."""
        if not input.get("variants") or not input.get("productOptions"):
            raise UserError("INVALID_INPUT", "Variants and options must be given", ["input"])
        if len(input.get("title", "")) > LONGEST_TITLE:
            message = f"Title is too long (maximum is {LONGEST_TITLE} characters)"
            raise UserError("TOO_LONG", message, ["input", "title"])
        handle = identifier.get("handle") or input.get("handle")
        if identifier.get("handle") and input.get("handle", handle) != handle:
            raise UserError("INVALID_INPUT", "The handle differs from the identifier's", ["input"])
        product = self.by_handle(handle) if handle else None
        if product is None:
            if not input.get("title"):
                raise UserError("BLANK", "Title can't be blank", ["input", "title"])
            product = self._create(handle or f"product-{next(self._numbers)}")
            self.creates[product.handle] += 1
        else:
            self.updates[product.handle] += 1
        product.title = input.get("title", product.title)
        product.status = input.get("status", product.status)
        if "files" in input:
            product.files = [file["originalSource"] for file in input["files"]]
        before = {variant.option: variant for variant in product.variants}
        product.variants = []
        for given in input["variants"]:
            option = " / ".join(value["name"] for value in given["optionValues"])
            variant = before.get(option) or self._variant(option, {})
            self._fill(variant, given)
            product.variants.append(variant)
        return product

    def activate(self, item: str, location: str, available: int | None) -> Variant:
        """Stock an item at a location; one that is there already stays as it is."""
        variant = self._known(item, location)
        if location in variant.stock and available is not None:
            raise UserError("", "Not allowed to set available: the item is stocked there already")
        variant.stock.setdefault(location, available or 0)
        return variant

    def move(self, quantities: list[Mapping[str, Any]], document: str | None) -> None:
        """Set quantities, all of them or none."""
        wanted: list[tuple[Variant, str, int]] = []
        for number, given in enumerate(quantities):
            place = ["input", "quantities", str(number)]
            item, location = given["inventoryItemId"], given["locationId"]
            variant = self._known(item, location, place)
            if location not in variant.stock:
                raise UserError("ITEM_NOT_STOCKED_AT_LOCATION", "Not stocked there", place)
            if "changeFromQuantity" not in given:
                raise UserError("INVALID_FIELD_ARGUMENTS", "changeFromQuantity is required", place)
            seen = given["changeFromQuantity"]
            if seen is not None and seen != variant.stock[location]:
                message = (
                    "The changeFromQuantity argument no longer matches the persisted quantity."
                )
                raise UserError("CHANGE_FROM_QUANTITY_STALE", message, place)
            wanted.append((variant, location, given["quantity"]))
        if len({variant.item for variant, _, _ in wanted}) < len(wanted):
            raise UserError("NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR", "An item comes twice")
        for variant, location, quantity in wanted:
            self.moved.append(Moved(variant.item, variant.stock[location], quantity, document))
            variant.stock[location] = quantity

    def _known(self, item: str, location: str, place: list[str] | None = None) -> Variant:
        variant = self.item(item)
        if variant is None:
            raise UserError(
                "INVALID_INVENTORY_ITEM", "The inventory item could not be found", place
            )
        if location != LOCATION:
            raise UserError("INVALID_LOCATION", "The location could not be found", place)
        return variant

    def _create(self, handle: str, created: float | None = None) -> Product:
        id = f"gid://shopify/Product/{next(self._numbers)}"
        when = time.time() if created is None else created
        self.products[id] = Product(id, handle, handle, "DRAFT", when)
        return self.products[id]

    def _variant(self, option: str, given: Mapping[str, Any]) -> Variant:
        number = next(self._numbers)
        variant = Variant(
            f"gid://shopify/ProductVariant/{number}",
            f"gid://shopify/InventoryItem/{number}",
            option,
        )
        self._fill(variant, given)
        return variant

    def _fill(self, variant: Variant, given: Mapping[str, Any]) -> None:
        item = given.get("inventoryItem") or {}
        variant.sku = given.get("sku", variant.sku)
        variant.barcode = given.get("barcode", variant.barcode)
        variant.cost = item.get("cost", variant.cost)
        for quantity in given.get("inventoryQuantities") or ():
            variant.stock[quantity["locationId"]] = quantity["quantity"]
