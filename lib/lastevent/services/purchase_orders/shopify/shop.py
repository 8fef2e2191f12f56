"""What is asked of a shop: find a product, create it, look at stock, set stock.

Creating goes by the product's handle, under which the shop makes one product however often it is
asked (https://shopify.dev/changelog/productset-and-customerset-mutations-now-support-upserts). What
is there already is left as it is: ``productSet`` replaces a product's variants, and those may be
the merchant's own work.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lastevent.services.purchase_orders.order import digest, slug
from lastevent.services.purchase_orders.records import Product
from lastevent.services.purchase_orders.shopify.api import ShopifyApi, ShopifyRefused

LONGEST_TITLE = 255
MAX_VARIANTS = 10
"""Of a product that are looked at. Those that we make have one, and each costs points."""

LOCATION = "query Location { location { id name } }"

FIND = """
query Find($product: ProductIdentifierInput!, $variants: String!, $most: Int!) {
  productByIdentifier(identifier: $product) {
    id
    variants(first: $most) { nodes { id sku inventoryItem { id } } }
  }
  productVariants(first: 10, query: $variants) {
    nodes { id sku inventoryItem { id } product { id } }
  }
}
"""

CREATE = """
mutation Create($identifier: ProductSetIdentifiers!, $input: ProductSetInput!) {
  productSet(identifier: $identifier, input: $input, synchronous: true) {
    product { id variants(first: 1) { nodes { id sku inventoryItem { id } } } }
    userErrors { code field message }
  }
}
"""

STOCK = """
query Stock($items: [ID!]!, $location: ID!) {
  nodes(ids: $items) {
    ... on InventoryItem {
      id
      inventoryLevel(locationId: $location) { quantities(names: ["available"]) { name quantity } }
    }
  }
}
"""

ACTIVATE = """
mutation Activate($item: ID!, $location: ID!, $key: String!) {
  inventoryActivate(inventoryItemId: $item, locationId: $location) @idempotent(key: $key) {
    inventoryLevel { id }
    userErrors { field message }
  }
}
"""

SET_STOCK = """
mutation SetStock($input: InventorySetQuantitiesInput!, $key: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $key) {
    inventoryAdjustmentGroup { id }
    userErrors { code field message }
  }
}
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A product in the shop, by its ids there."""

    product: str
    variant: str
    item: str

    @property
    def ids(self) -> dict[str, str]:
        """As the product's record has them."""
        return {"product": self.product, "variant": self.variant, "item": self.item}


@dataclass(frozen=True, slots=True)
class Change:
    """The quantity of an item that is to become another, provided that it is what was seen."""

    item: str
    before: int
    after: int


class Shop:
    """One shop. Its calls raise what ShopifyApi.call does."""

    def __init__(self, api: ShopifyApi) -> None:
        self._api = api

    @property
    def name(self) -> str:
        """The shop's name at myshopify.com."""
        return self._api.shop

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    async def location(self) -> str:
        """Return the id of the primary location: where stock arrives."""
        data = await self._api.call(LOCATION, {})
        location = data.get("location")
        if not isinstance(location, Mapping):
            raise ShopifyRefused("the shop has no location where stock could arrive")
        return str(location["id"])

    async def find(self, sku: str) -> Found | None:
        """Return the product of a SKU: the one that we made, else one that the merchant has."""
        variables = {
            "product": {"handle": handle(sku)},
            "variants": f"sku:{json.dumps(sku)}",
            "most": MAX_VARIANTS,
        }
        data = await self._api.call(FIND, variables)
        ours = data.get("productByIdentifier")
        if isinstance(ours, Mapping):
            variants = ours["variants"]["nodes"]
            variant = _of_sku(variants, sku)
            if variant is None:
                raise ShopifyRefused(f"the product {handle(sku)} has no variant of the SKU {sku}")
            return _found(ours["id"], variant)
        # The search is by words, and late: what was made just now is not in it.
        variant = _of_sku(data["productVariants"]["nodes"], sku)
        return None if variant is None else _found(variant["product"]["id"], variant)

    async def create(self, product: Product) -> Found:
        """Create a product as a draft; return it, or the one of its handle.

        Quantities are left out: where the product has come into being meanwhile, they would be set
        for it again, and what has arrived since would be gone.
        """
        item: dict[str, Any] = {"tracked": True}
        variant = {
            "sku": product.sku,
            "optionValues": [{"optionName": "Title", "name": "Default Title"}],
            "inventoryItem": item,
        }
        if product.price is not None:
            item["cost"] = product.price
        if product.barcode:
            variant["barcode"] = product.barcode
        input = {
            "handle": handle(product.sku),
            "title": product.title[:LONGEST_TITLE],
            "status": "DRAFT",
            "productOptions": [{"name": "Title", "values": [{"name": "Default Title"}]}],
            "variants": [variant],
            "files": [
                {"originalSource": url, "contentType": "IMAGE", "alt": product.title}
                for url in product.images
            ],
        }
        data = await self._api.call(
            CREATE, {"identifier": {"handle": handle(product.sku)}, "input": input}
        )
        made = _payload(data, "productSet")["product"]
        return _found(made["id"], made["variants"]["nodes"][0])

    async def stock(self, items: Sequence[str], location: str) -> dict[str, int | None]:
        """Return how many pieces are available of each item, None where it is not stocked.

        An item that the shop does not have any more is not among them.
        """
        data = await self._api.call(STOCK, {"items": list(items), "location": location})
        found: dict[str, int | None] = {}
        for node in data["nodes"]:
            if isinstance(node, Mapping) and "id" in node:
                level = node.get("inventoryLevel")
                quantities = [] if level is None else level["quantities"]
                found[node["id"]] = next((int(it["quantity"]) for it in quantities), None)
        return found

    async def activate(self, item: str, location: str, key: str) -> None:
        """Have an item stocked at the location, with none of it there."""
        variables = {"item": item, "location": location, "key": key}
        _payload(await self._api.call(ACTIVATE, variables), "inventoryActivate")

    async def set_stock(
        self, changes: Iterable[Change], location: str, *, key: str, order: str
    ) -> None:
        """Change quantities, all of them or none. Carried out once under ``key``, for a day.

        Raises ShopifyRefused with the code CHANGE_FROM_QUANTITY_STALE if one is not what was seen.
        https://shopify.dev/docs/api/admin-graphql/2026-07/mutations/inventorySetQuantities
        """
        input = {
            "name": "available",
            "reason": "received",
            "referenceDocumentUri": f"gid://lastevent/PurchaseOrder/{order}",
            "quantities": [
                {
                    "inventoryItemId": change.item,
                    "locationId": location,
                    "quantity": change.after,
                    "changeFromQuantity": change.before,
                }
                for change in changes
            ],
        }
        data = await self._api.call(SET_STOCK, {"input": input, "key": key})
        _payload(data, "inventorySetQuantities")


def handle(sku: str) -> str:
    """Return the handle under which a product of ours is in the shop: one for each SKU."""
    return f"{slug(sku)}-{digest(sku)[:8]}".lstrip("-")


def _of_sku(variants: Iterable[Mapping[str, Any]], sku: str) -> Mapping[str, Any] | None:
    """Return the first variant of just this SKU, by id, so that it is the same for everyone."""
    same = [variant for variant in variants if variant["sku"] == sku]
    return min(same, key=lambda variant: str(variant["id"]), default=None)


def _found(product: object, variant: Mapping[str, Any]) -> Found:
    return Found(str(product), str(variant["id"]), str(variant["inventoryItem"]["id"]))


def _payload(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return what a mutation has done; raise ShopifyRefused for what it says of its input."""
    payload: Mapping[str, Any] = data[name]
    errors = payload["userErrors"]
    if errors:
        told = "; ".join(dict.fromkeys(str(error["message"]) for error in errors[:5]))[:300]
        codes = [str(error.get("code")) for error in errors]
        raise ShopifyRefused(f"Shopify refuses this: {told}", codes)
    return payload
