"""Stock that arrives once: an order's quantities are added, whatever becomes of answers.

    no plan ─► planned: from 5 to 17, attempt 1 ─► set under the attempt's key ─► done
                     ▲                                  │ it was not 5 any more
                     └──── planned anew, attempt 2 ─────┘

The plan is written down before the shop is asked, and says from which quantity to which. Within a
day, asking again with the same plan and key does nothing a second time: the shop gives its first
answer under that key. So a refusal says that the plan was not carried out, and a new one is made of
what is there now. After the day nobody can tell, and the shop is not asked: where all that arrived
was sold meanwhile, the plan would fit again. That is said, and left to a person.
"""

import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from time import time

from lastevent.core.errors import Conflict, Transient, UpstreamLost
from lastevent.services.purchase_orders.shopify.api import ShopifyRefused
from lastevent.services.purchase_orders.shopify.shop import Change, Shop
from lastevent.stores.base import Record, Store

KIND = "shopify-stock"
BATCH = 25
"""Items in one change: all of them or none. Small, since one that somebody sold meanwhile has the
rest planned anew."""

KEY_SECONDS = 23 * 3600.0
"""The shop keeps keys for a day (https://shopify.dev/docs/api/usage/implementing-idempotency)."""

ATTEMPTS = 12
"""How often stock is planned anew before others are left to go first."""

NOT_DONE = frozenset(
    {
        "CHANGE_FROM_QUANTITY_STALE",
        "INVALID_INVENTORY_ITEM",
        "ITEM_NOT_STOCKED_AT_LOCATION",
        "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED",
    }
)
"""What the shop says of a plan that was not carried out, where another may be.
https://shopify.dev/docs/api/admin-graphql/latest/enums/InventorySetQuantitiesUserErrorCode"""

BUSY = "IDEMPOTENCY_CONCURRENT_REQUEST"

_NAMESPACE = uuid.UUID("6f6f2f1e-2f0b-5d0a-9b7e-0d3c6a51c0de")


class ItemsGone(Transient):
    """The shop does not have these items any more: somebody has deleted their products."""

    def __init__(self, items: Collection[str]) -> None:
        super().__init__(f"{len(items)} products are not in the shop any more: they are made anew")
        self.items = frozenset(items)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done at a location, or was: quantities by item, before and after. ``made``:
    Unix seconds."""

    attempt: int
    made: float
    done: bool
    location: str
    changes: Mapping[str, tuple[int, int]]

    @classmethod
    def parse(cls, text: str) -> "Plan":
        """Read what ``text`` gave."""
        told = json.loads(text)
        changes = {item: (before, after) for item, (before, after) in told["changes"].items()}
        return cls(told["attempt"], told["made"], told["done"], told["location"], changes)

    @property
    def text(self) -> str:
        """The plan as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))


class Stock:
    """What an order adds to a shop's stock at one location.

    ``owner`` is the merchant's and the order's ids with a slash between, ``order`` the latter.
    """

    def __init__(self, store: Store, shop: Shop, owner: str, order: str, location: str) -> None:
        self._records = store.records
        self._shop = shop
        self._owner = owner
        self._order = order
        self._location = location

    async def add(self, batch: int, quantities: Mapping[str, int]) -> bool:
        """Add so many pieces of each item, once; return whether it was not done before.

        ``batch`` is the number by which the order knows these, and no others. Raises ItemsGone,
        other Transient, and ShopifyRefused.
        """
        id = f"{self._owner}/{batch:04d}"
        record = await self._records.get(KIND, id)
        if record is not None and Plan.parse(record.value).done:
            return False
        for _ in range(ATTEMPTS):
            if record is None:
                record = await self._planned(id, quantities, 1, 0)
            plan = Plan.parse(record.value)
            if plan.done:
                return True  # by another, meanwhile
            if time() - plan.made > KEY_SECONDS:
                raise ShopifyRefused(
                    "whether this order's stock has arrived cannot be told any more: the shop was "
                    f"asked over a day ago; look for PurchaseOrder/{self._order} in the inventory "
                    "history, and send the order anew if it is not there"
                )
            try:
                await self._carry_out(id, plan)
            except ShopifyRefused as error:
                if BUSY in error.codes:
                    raise UpstreamLost("Shopify is at this very change") from error
                if error.codes.isdisjoint(NOT_DONE):
                    raise
                record = await self._planned(id, quantities, plan.attempt + 1, record.version)
            else:
                await self._put(id, replace(plan, done=True), record.version)
                return True
        raise Transient("the shop's stock changes faster than it can be added to")

    async def _carry_out(self, id: str, plan: Plan) -> None:
        changes = [Change(item, *change) for item, change in plan.changes.items()]
        key = str(uuid.uuid5(_NAMESPACE, f"{self._shop.name}/{id}/{plan.attempt}"))
        await self._shop.set_stock(changes, plan.location, key=key, order=self._order)

    async def _planned(
        self, id: str, quantities: Mapping[str, int], attempt: int, version: int
    ) -> Record:
        """Make a plan of what is there now; return its record, or another's that was quicker."""
        now = await self._shop.stock(list(quantities), self._location)
        gone = quantities.keys() - now.keys()
        if gone:
            raise ItemsGone(gone)
        changes: dict[str, tuple[int, int]] = {}
        for item, quantity in quantities.items():
            before = now[item]
            if before is None:
                key = str(uuid.uuid5(_NAMESPACE, f"{self._shop.name}/{id}/{item}/activate"))
                await self._shop.activate(item, self._location, key)
                before = 0
            changes[item] = (before, before + quantity)
        return await self._put(id, Plan(attempt, time(), False, self._location, changes), version)

    async def _put(self, id: str, plan: Plan, version: int) -> Record:
        try:
            return await self._records.put(KIND, id, plan.text, expect=version)
        except Conflict:
            # Another runner is at the same order: what it has written is as good.
            record = await self._records.get(KIND, id)
            if record is None:
                raise
            return record
