"""A local shop that speaks Shopify's Admin GraphQL API, as far as products and their stock go.

    from infra.local.shopify import Shopify

    async with Shopify(directory) as shop:              # a process of its own, a free port
        environment = shop.environment                  # SHOPIFY_SHOP, …_ACCESS_TOKEN, …_API_URL
        await shop.add("MUG-01", quantity=5)            # one that the merchant has already
        await shop.fault("lost", fields=["inventorySetQuantities"], times=1)
        ...                                             # orders are brought to it
        state = await shop.state()
        assert state.stock["MUG-01"] == 17
        assert set(state.creates.values()) == {1}

Documents are checked against a part of the vendor's schema for 2026-07 (schema.py): one that asks
for what is not there is refused. By hand: `python -m infra.local.shopify`.

Modelled, by the API reference and what developers report: tokens, `productSet` by handle (lists
replace), lookups by handle and by search (which is late), items that are not stocked, quantities by
compare-and-set, idempotency keys (required, a day), the bucket of points, user errors and errors.

Not modelled: the asynchronous mode, several locations, publishing, media that are processed,
scopes, points given back. Not documented, and decided for the stricter side: a product made without
quantities is stocked nowhere; a refused change leaves its key unused.
"""

from infra.local.shopify.server import SHOP, Shopify, State

__all__ = ["SHOP", "Shopify", "State"]
