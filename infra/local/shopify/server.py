"""`Shopify`: the server as a process of its own, and what a test can do to it."""

import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.child import HOST, Child
from infra.local.controlled import Faulty, faulting
from infra.local.shopify.control import PREFIX
from infra.local.shopify.faults import Rule
from infra.local.shopify.schema import VERSION

SHOP = "local-shop.myshopify.com"


@dataclass(frozen=True, slots=True)
class State:
    """What the shop holds, by SKU, and what was done to it.

    ``creates`` and ``updates`` are counts by handle, ``moved`` every change of stock as
    {"item", "before", "after", "document"}.
    """

    stock: Mapping[str, int | None]
    status: Mapping[str, str]
    files: Mapping[str, Sequence[str]]
    handles: Mapping[str, str]
    creates: Mapping[str, int]
    updates: Mapping[str, int]
    moved: Sequence[Mapping[str, Any]]
    costs: Mapping[str, str | None]
    barcodes: Mapping[str, str]


class Shopify(Faulty):
    """The API in another process, on a free port; a context manager of both kinds.

    ``directory`` is where its log goes. ``search_lag``: after so many seconds a search finds what
    was made.
    """

    prefix = PREFIX
    fault = faulting(Rule)
    shop = SHOP

    def __init__(self, directory: Path, *, search_lag: float = 1.0, port: int = 0) -> None:
        super().__init__(port)
        self.token = f"shpat_{secrets.token_hex(16)}"
        self.api_url = f"{self.url}/admin/api/{VERSION}"
        self.cdn = f"{self.url}/cdn"
        """Where pictures are (cdn.py)."""
        self._directory = directory
        self._search_lag = search_lag

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a server of ours finds it, and may fetch its pictures."""
        return {
            "SHOPIFY_SHOP": SHOP,
            "SHOPIFY_ACCESS_TOKEN": self.token,
            "SHOPIFY_API_URL": self.api_url,
            "LASTEVENT_IMAGE_HOSTS": f"{HOST}:{self.port}",
        }

    def start(self) -> None:
        """Start it, empty; return when it serves. Raises ServerFailed."""
        self._child = Child(
            [
                *(sys.executable, "-m", "infra.local.shopify"),
                *("--host", HOST, "--port", str(self.port), "--token", self.token),
                *("--search-lag", str(self._search_lag)),
            ],
            self._directory / "shopify.log",
            self._serves,
        )

    async def state(self) -> State:
        """Return what it holds."""
        told = await self._request("GET", "/state")
        variants = [(product, it) for product in told["products"] for it in product["variants"]]
        return State(
            {it["sku"]: next(iter(it["stock"].values()), None) for _, it in variants},
            {it["sku"]: product["status"] for product, it in variants},
            {it["sku"]: product["files"] for product, it in variants},
            {it["sku"]: product["handle"] for product, it in variants},
            told["creates"],
            told["updates"],
            told["moved"],
            {it["sku"]: it["cost"] for _, it in variants},
            {it["sku"]: it["barcode"] for _, it in variants},
        )

    async def empty(self) -> None:
        """Begin anew: nothing is there, nothing was done, nothing goes wrong."""
        await self._request("DELETE", "/state")

    async def add(self, sku: str, quantity: int | None = 0, handle: str | None = None) -> None:
        """Make a product by hand; of None pieces: it is not stocked."""
        wanted = {"sku": sku, "quantity": quantity, "handle": handle}
        await self._request("POST", "/products", wanted)

    async def remove(self, sku: str) -> None:
        """Delete a product by hand."""
        await self._request("DELETE", "/products", {"sku": sku})

    async def sell(self, sku: str, pieces: int = 1) -> None:
        """Have so many fewer of them."""
        await self._request("POST", "/sales", {"sku": sku, "pieces": pieces})

    async def bucket(self, maximum: float, rate: float) -> None:
        """Begin a bucket of so many points, with so many more each second."""
        await self._request("PUT", "/bucket", {"maximum": maximum, "rate": rate})

    async def forget_keys(self) -> None:
        """Let a day pass for the idempotency keys."""
        await self._request("DELETE", "/keys")

    async def calls(self) -> tuple[Mapping[str, int], int]:
        """Return the calls by field, and how many the bucket refused."""
        told = await self._request("GET", "/calls")
        return told["counts"], told["throttled"]
