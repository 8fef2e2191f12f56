"""The answers of the schema's fields, out of a shop."""

from collections.abc import Callable, Mapping
from typing import Any

from graphql import GraphQLError, GraphQLResolveInfo, get_directive_values

from infra.local.shopify.keys import Keys
from infra.local.shopify.schema import SCHEMA
from infra.local.shopify.shop import LOCATION, LOCATION_NAME, Product, Shop, UserError, Variant

type Info = GraphQLResolveInfo[Any]

MOST = 250
"""Of a list at most (https://shopify.dev/docs/api/usage/limits)."""


class Root:
    """The queries and mutations of one shop; what their arguments say is what the methods take."""

    def __init__(self, shop: Shop, keys: Keys) -> None:
        self._shop = shop
        self._keys = keys

    def location(self, info: Info, id: str = LOCATION) -> Any:
        return (
            {"__typename": "Location", "id": LOCATION, "name": LOCATION_NAME}
            if id == LOCATION
            else None
        )

    def locations(self, info: Info, first: int | None = None) -> Any:
        return {"nodes": [self.location(info)][: _most(first)]}

    def nodes(self, info: Info, ids: list[str]) -> list[Any]:
        _most(len(ids))
        return [self._node(id) for id in ids]

    def product(self, info: Info, id: str) -> Any:
        found = self._shop.products.get(id)
        return None if found is None else _product(found)

    def productByIdentifier(self, info: Info, identifier: Mapping[str, Any]) -> Any:
        if len(identifier) != 1:
            raise GraphQLError("OneOf Input Object must specify exactly one key")
        if "id" in identifier:
            return self.product(info, identifier["id"])
        found = self._shop.by_handle(identifier.get("handle", ""))
        return None if found is None else _product(found)

    def products(self, info: Info, first: int | None = None, query: str | None = None) -> Any:
        found = {product.id: product for product, _ in self._shop.search(query)}
        return {"nodes": [_product(it) for it in found.values()][: _most(first)]}

    def productVariants(
        self, info: Info, first: int | None = None, query: str | None = None
    ) -> Any:
        found = self._shop.search(query)
        return {"nodes": [_variant(*it) for it in found][: _most(first)]}

    def productSet(
        self,
        info: Info,
        input: Mapping[str, Any],
        identifier: Mapping[str, Any] = {},
        synchronous: bool = True,
    ) -> Any:
        if not synchronous:
            raise GraphQLError("The asynchronous mode is not modelled")
        return _payload("product", lambda: _product(self._shop.set(identifier, input)))

    def inventoryActivate(
        self,
        info: Info,
        inventoryItemId: str,
        locationId: str,
        available: int | None = None,
        onHand: int | None = None,
    ) -> Any:
        def activate() -> Any:
            return _level(self._shop.activate(inventoryItemId, locationId, available), locationId)

        input = [inventoryItemId, locationId, available, onHand]
        return _payload("inventoryLevel", lambda: self._keys.once(key_of(info), input, activate))

    def inventorySetQuantities(self, info: Info, input: Mapping[str, Any]) -> Any:
        def move() -> Any:
            if input["name"] not in ("available", "on_hand"):
                raise UserError("INVALID_NAME", "The name must be either 'available' or 'on_hand'.")
            _most(len(input["quantities"]))
            self._shop.move(input["quantities"], input.get("referenceDocumentUri"))
            number = len(self._shop.moved)
            return {"id": f"gid://shopify/InventoryAdjustmentGroup/{number}"}

        return _payload(
            "inventoryAdjustmentGroup", lambda: self._keys.once(key_of(info), input, move)
        )

    def _node(self, id: str) -> Any:
        if id in self._shop.products:
            return _product(self._shop.products[id])
        item = self._shop.item(id)
        return None if item is None else _item(item)


def key_of(info: Info) -> str:
    """Return the key of a field's @idempotent; raise what the API says where it is missing."""
    directive = SCHEMA.get_directive("idempotent")
    assert directive is not None
    given = get_directive_values(directive, info.field_nodes[0], info.variable_values)
    if given is None:
        raise GraphQLError(
            "The @idempotent directive is required for this mutation but was not provided.",
            extensions={"code": "BAD_REQUEST"},
        )
    return str(given["key"])


def _most(count: int | None) -> int:
    if count is None:
        raise GraphQLError("you must provide one of first or last")
    if count > MOST:
        raise GraphQLError(
            f"The input array size of {count} is greater than the maximum of {MOST}."
        )
    return count


def _payload(name: str, change: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {name: change(), "userErrors": []}
    except UserError as error:
        return {name: None, "userErrors": [error.value]}


def _product(product: Product) -> dict[str, Any]:
    def variants(info: Info, first: int | None = None) -> Any:
        return {"nodes": [_variant(product, it) for it in product.variants][: _most(first)]}

    return {
        "__typename": "Product",
        "id": product.id,
        "handle": product.handle,
        "title": product.title,
        "status": product.status,
        "variants": variants,
    }


def _variant(product: Product, variant: Variant) -> dict[str, Any]:
    return {
        "__typename": "ProductVariant",
        "id": variant.id,
        "sku": variant.sku,
        "barcode": variant.barcode,
        "product": lambda info: _product(product),
        "inventoryItem": lambda info: _item(variant),
    }


def _item(variant: Variant) -> dict[str, Any]:
    def level(info: Info, locationId: str) -> Any:
        return _level(variant, locationId) if locationId in variant.stock else None

    return {
        "__typename": "InventoryItem",
        "id": variant.item,
        "sku": variant.sku,
        "tracked": True,
        "inventoryLevel": level,
    }


def _level(variant: Variant, location: str) -> dict[str, Any]:
    def quantities(info: Info, names: list[str]) -> Any:
        return [{"name": name, "quantity": variant.stock[location]} for name in names]

    number = variant.item.rpartition("/")[2]
    return {
        "__typename": "InventoryLevel",
        "id": f"gid://shopify/InventoryLevel/{number}?inventory_item_id={number}",
        "quantities": quantities,
    }
