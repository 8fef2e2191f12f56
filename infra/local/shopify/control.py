"""The server's own endpoints, under a prefix that is no path of the vendor's: `/__emulator`.

GET    /health     204 when it serves
GET    /state      {"products", "creates", "updates", "moved"}: what there is, how often each handle
                   was created and updated, every change of stock
DELETE /state      an empty shop, where nothing was done and nothing goes wrong
POST   /products   one that the merchant made: {"sku", "quantity", "handle"}; null: not stocked
POST   /sales      {"sku", "pieces"}: so many fewer are there
DELETE /products   {"sku"}: the merchant has deleted it
PUT    /bucket     {"maximum", "rate"}: points, and how many more each second
DELETE /keys       a day passes: idempotency keys are forgotten
GET    /calls      {"counts", "throttled"}: calls by field, and how many the bucket refused
POST   /faults     a rule of faults.py; DELETE lifts all of them
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.control import done, fault_routes, health
from infra.local.shopify.api import Api
from infra.local.shopify.cost import Bucket
from infra.local.shopify.faults import Faults, Rule
from infra.local.shopify.keys import Keys
from infra.local.shopify.shop import LOCATION, Shop

PREFIX = "/__emulator"


class Control:
    """What the endpoints act on."""

    def __init__(self, api: Api, shop: Shop, keys: Keys, faults: Faults) -> None:
        self._api = api
        self._shop = shop
        self._keys = keys
        self._faults = faults

    def routes(self) -> list[Route]:
        """Return the endpoints."""
        return [
            health(),
            Route("/state", self._state, methods=["GET"]),
            Route("/state", self._empty, methods=["DELETE"]),
            Route("/products", self._add, methods=["POST"]),
            Route("/products", self._remove, methods=["DELETE"]),
            Route("/sales", self._sell, methods=["POST"]),
            Route("/bucket", self._set_bucket, methods=["PUT"]),
            Route("/keys", self._forget_keys, methods=["DELETE"]),
            Route("/calls", self._calls, methods=["GET"]),
            *fault_routes(self._faults, Rule),
        ]

    async def _state(self, _: Request) -> Response:
        return JSONResponse(self._shop.state)

    async def _empty(self, _: Request) -> Response:
        self._shop.empty()
        self._keys.forget()
        self._faults.clear()
        self._api.empty()
        return done()

    async def _add(self, asked: Request) -> Response:
        made = self._shop.add(**await asked.json())
        return JSONResponse({"id": made.id, "handle": made.handle})

    async def _remove(self, asked: Request) -> Response:
        sku = (await asked.json())["sku"]
        for product, variant in list(self._shop.variants()):
            if variant.sku == sku:
                self._shop.products.pop(product.id, None)
        return done()

    async def _sell(self, asked: Request) -> Response:
        sold = await asked.json()
        for _, variant in self._shop.variants():
            if variant.sku == sold["sku"]:
                variant.stock[LOCATION] -= sold["pieces"]
        return done()

    async def _set_bucket(self, asked: Request) -> Response:
        self._api.bucket = Bucket(**await asked.json())
        return done()

    async def _forget_keys(self, _: Request) -> Response:
        self._keys.forget()
        return done()

    async def _calls(self, _: Request) -> Response:
        return JSONResponse({"counts": self._api.calls, "throttled": self._api.throttled})
