"""Products and quantities come to the shop once, whatever becomes of the answers on the way."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from time import monotonic, time
from typing import Any

import pytest

from infra.local.shopify import SHOP, Shopify
from infra.local.shopify.faults import Kind
from lastevent.core.errors import ConfigError, Transient, UpstreamLost
from lastevent.services.purchase_orders.images import Images
from lastevent.services.purchase_orders.shopify import api as api_module
from lastevent.services.purchase_orders.shopify import stock as stock_module
from lastevent.services.purchase_orders.shopify.api import ShopifyApi, ShopifyRefused
from lastevent.services.purchase_orders.shopify.shop import Shop, handle
from lastevent.services.purchase_orders.shopify.stock import KIND, Plan
from lastevent.services.purchase_orders.stages import PurchaseOrders
from lastevent.services.workflow.values import Skipped
from lastevent.sources.http_service import AnswerTooLarge
from lastevent.stores.base import Record, RetentionRules, Store
from lastevent.stores.memory import open_url
from tests.services.dying import Died, Life, dying
from tests.services.ordering import SMALL, Context, run
from tests.sources.answering_http import answer, answering

BEFORE = ["ai_parsing", "database_save", "product_draft_creation"]
SYNC = ["shopify_sync"]
STOCK = {"MUG-01": 20, "PLT-02": 3}
MOST_EFFECTS = 60
SAFETY_SECONDS = 20.0
AGAIN = 8
"""How often a stage is tried again, by a workflow or by these tests."""


@pytest.fixture(scope="module")
def module_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shopify]:
    with Shopify(tmp_path_factory.mktemp("shopify"), search_lag=0.2) as made:
        yield made


@pytest.fixture
def store() -> Store:
    """What is special about stores is not seen here: records are the same in all of them."""
    return open_url("memory://", RetentionRules(), time)


OPEN: list[ShopifyApi] = []


@pytest.fixture(autouse=True)
async def _closed() -> AsyncIterator[None]:
    """Close what a test has opened, also where it fails."""
    yield
    while OPEN:
        await OPEN.pop().aclose()


@pytest.fixture
async def shop(module_shop: Shopify) -> Shopify:
    """An empty shop where nothing goes wrong."""
    await module_shop.empty()
    return module_shop


class Orders(PurchaseOrders):
    """The stages, with a shop whose calls may die with their process."""

    def __init__(self, store: Store, shop: Shopify, life: Life | None = None) -> None:
        self.api = DyingApi(shop, life)
        super().__init__(store, Images(), shop=Shop(self.api))


class DyingApi(ShopifyApi):
    def __init__(self, shop: Shopify, life: Life | None) -> None:
        super().__init__(shop.shop, shop.token, shop.api_url)
        self.life = life
        OPEN.append(self)

    async def call(self, document: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.life is None:
            return await super().call(document, variables)
        answered: Mapping[str, Any] = await self.life.call(super().call, document, variables)
        return answered


def opened(token: str, url: str) -> ShopifyApi:
    OPEN.append(ShopifyApi("a.myshopify.com", token, url))
    return OPEN[-1]


async def prepared(store: Store, shop: Shopify, subject: str = "po_1") -> Context:
    context = Context(SMALL, subject=subject)
    orders = Orders(store, shop)
    await run(orders.workflow(), context, BEFORE)
    return context


async def until_done(orders: Orders, context: Context) -> Any:
    """Do the stage as a workflow does: again after what passes."""
    for _ in range(AGAIN):
        try:
            return (await run(orders.workflow(), context, SYNC))["shopify_sync"]
        except Transient:
            await asyncio.sleep(0.05)
    return (await run(orders.workflow(), context, SYNC))["shopify_sync"]


async def arrived_once(shop: Shopify, wanted: Mapping[str, int] = STOCK) -> None:
    """See that the shop holds just what was ordered, and made each product once."""
    state = await shop.state()
    assert state.stock == wanted
    ours = [name for name in state.handles.values() if not name.startswith("by-hand")]
    assert state.creates == dict.fromkeys(ours, 1)


async def test_products_are_drafts_and_quantities_arrive(store: Store, shop: Shopify) -> None:
    context = await prepared(store, shop)
    orders = Orders(store, shop)
    told = await run(orders.workflow(), context, SYNC)
    assert told["shopify_sync"] == {"products": 2, "createdInShop": 2, "pieces": 23, "shop": SHOP}
    await arrived_once(shop)
    state = await shop.state()
    assert set(state.status.values()) == {"DRAFT"}
    assert state.moved[-1]["document"] == "gid://lastevent/PurchaseOrder/po_1"
    told = await run(orders.workflow(), context, SYNC)
    assert told["shopify_sync"] == {"products": 2, "createdInShop": 2, "pieces": 23, "shop": SHOP}
    await arrived_once(shop)


async def test_a_product_comes_with_its_picture_its_cost_and_its_barcode(
    store: Store, shop: Shopify
) -> None:
    """Of pictures those that could be had; and nothing where the order says nothing."""
    rows = (
        "sku,name,qty,price,barcode,image url",
        f"MUG-01,Blue mug,2,4.50,4006381333931,{shop.cdn}/mug.png",
        f"PLT-02,Red plate,1,,,{shop.cdn}/gone.png",
    )
    context = Context("\n".join(rows).encode())
    images = Images([shop.environment["LASTEVENT_IMAGE_HOSTS"]])
    api = ShopifyApi(shop.shop, shop.token, shop.api_url)
    async with aclosing(PurchaseOrders(store, images, shop=Shop(api))) as orders:
        told = await run(orders.workflow(), context, [*BEFORE, "image_attachment", *SYNC])
    assert told["image_attachment"] == {
        "images": 1,
        "refused": 1,
        "reasons": ["the host does not know the image (404)"],
    }
    state = await shop.state()
    assert state.files == {"MUG-01": [f"{shop.cdn}/mug.png"], "PLT-02": []}
    assert state.costs == {"MUG-01": "4.50", "PLT-02": None}
    assert state.barcodes == {"MUG-01": "4006381333931", "PLT-02": ""}


async def test_without_a_shop_it_is_skipped_and_says_why(store: Store, shop: Shopify) -> None:
    context = await prepared(store, shop)
    told = await run(PurchaseOrders(store, Images()).workflow(), context, SYNC)
    skipped = told["shopify_sync"]
    assert isinstance(skipped, Skipped)
    assert "SHOPIFY_SHOP" in skipped.reason


async def test_what_the_merchant_has_is_added_to_and_left_as_it_is(
    store: Store, shop: Shopify
) -> None:
    await shop.add("MUG-01", quantity=5)
    await shop.add("PLT-02", quantity=None)
    context = await prepared(store, shop)
    orders = Orders(store, shop)
    told = await run(orders.workflow(), context, SYNC)
    assert told["shopify_sync"] == {"products": 2, "createdInShop": 0, "pieces": 23, "shop": SHOP}
    state = await shop.state()
    assert state.stock == {"MUG-01": 25, "PLT-02": 3}
    assert set(state.status.values()) == {"ACTIVE"}


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
async def test_a_process_that_dies_at_any_call_brings_nothing_twice(
    carried_out: bool, shop: Shopify, store: Store
) -> None:
    """Calls of the shop and of the store alike, and the answer may be lost or the call."""
    for calls in range(MOST_EFFECTS):
        context = await prepared(store, shop, f"po_{calls}")
        life = Life(calls, carried_out=carried_out)
        doomed = Orders(dying(store, life), shop, life)
        alive = Orders(store, shop)
        try:
            await run(doomed.workflow(), context, SYNC)
        except Died:
            await run(alive.workflow(), context, SYNC)
        await arrived_once(shop, {sku: pieces * (calls + 1) for sku, pieces in STOCK.items()})
        if not life.is_over:
            break
    else:
        pytest.fail("the stage never came to its end")
    assert calls > 5


@pytest.mark.parametrize("field", ["productSet", "inventoryActivate", "inventorySetQuantities"])
@pytest.mark.parametrize("kind", ["lost", "drop", "late", "internal", "throttled", "status"])
async def test_faults_of_the_way_bring_nothing_twice(
    kind: Kind, field: str, store: Store, shop: Shopify
) -> None:
    context = await prepared(store, shop)
    orders = Orders(store, shop)
    await shop.fault(kind, fields=[field], times=2, seconds=0.1, status=503)
    async with asyncio.timeout(SAFETY_SECONDS):
        await until_done(orders, context)
        await asyncio.sleep(0.2 if kind == "late" else 0)  # what is late has come
    await arrived_once(shop)


async def test_many_orders_of_the_same_products_at_once(store: Store, shop: Shopify) -> None:
    """Nobody's pieces are lost, though all change the same quantities."""
    contexts = [await prepared(store, shop, f"po_{n}") for n in range(8)]
    await shop.fault("lost", probability=0.15, seed=3, times=30)
    all_orders = [Orders(store, shop) for _ in contexts]
    async with asyncio.timeout(2 * SAFETY_SECONDS):
        await asyncio.gather(
            *(
                until_done(orders, context)
                for orders, context in zip(all_orders, contexts, strict=True)
            )
        )
    await arrived_once(shop, {sku: 8 * pieces for sku, pieces in STOCK.items()})


async def test_two_runners_of_one_order_bring_it_once(store: Store, shop: Shopify) -> None:
    context = await prepared(store, shop)
    both = [Orders(store, shop) for _ in range(2)]
    await asyncio.gather(*(until_done(orders, context) for orders in both))
    await arrived_once(shop)


async def planned_and_sold(store: Store, shop: Shopify) -> tuple[Context, Orders]:
    """An order whose change of stock was carried out and whose answer was lost; then some sold."""
    context = await prepared(store, shop)
    life = Life(1000, carried_out=True)
    orders = Orders(store, shop, life)
    await shop.fault("lost", fields=["inventorySetQuantities"])
    with pytest.raises(UpstreamLost):
        await run(orders.workflow(), context, SYNC)
    await shop.clear_faults()
    await shop.sell("MUG-01", 4)
    return context, orders


async def test_what_is_sold_between_two_attempts_stays_sold(store: Store, shop: Shopify) -> None:
    context, orders = await planned_and_sold(store, shop)
    await run(orders.workflow(), context, SYNC)
    await arrived_once(shop, {"MUG-01": 16, "PLT-02": 3})


async def test_what_is_sold_before_the_change_has_it_planned_anew(
    store: Store, shop: Shopify, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.add("MUG-01", quantity=5)
    context = await prepared(store, shop)
    orders = Orders(store, shop)
    looked = Shop.stock
    sales = iter([1, 1, 0])

    async def looked_then_sold(self: Shop, *args: Any) -> dict[str, int | None]:
        seen = await looked(self, *args)
        await shop.sell("MUG-01", next(sales))
        return seen

    monkeypatch.setattr(Shop, "stock", looked_then_sold)
    await run(orders.workflow(), context, SYNC)
    await arrived_once(shop, {"MUG-01": 23, "PLT-02": 3})


async def test_stock_that_never_rests_is_left_for_later(
    store: Store, shop: Shopify, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.add("MUG-01", quantity=500)
    context = await prepared(store, shop)
    orders = Orders(store, shop)
    looked = Shop.stock

    async def looked_then_sold(self: Shop, *args: Any) -> dict[str, int | None]:
        seen = await looked(self, *args)
        await shop.sell("MUG-01")
        return seen

    monkeypatch.setattr(Shop, "stock", looked_then_sold)
    with pytest.raises(Transient, match="faster"):
        await run(orders.workflow(), context, SYNC)
    assert (await shop.state()).stock["MUG-01"] == 500 - 1 - stock_module.ATTEMPTS


async def test_after_a_day_what_cannot_be_told_is_said(
    store: Store, shop: Shopify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shop's keys are gone, its stock has moved: to add may be wrong, and not to as well."""
    context, orders = await planned_and_sold(store, shop)
    await shop.forget_keys()
    monkeypatch.setattr(stock_module, "time", lambda: time() + 24 * 3600)
    with pytest.raises(ShopifyRefused, match="PurchaseOrder/po_1"):
        await run(orders.workflow(), context, SYNC)
    assert (await shop.state()).stock == {"MUG-01": 16, "PLT-02": 3}


async def test_after_a_day_what_has_not_moved_is_not_added_twice(
    store: Store, shop: Shopify, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, orders = await planned_and_sold(store, shop)
    await shop.sell("MUG-01", -4)
    await shop.forget_keys()
    monkeypatch.setattr(stock_module, "time", lambda: time() + 24 * 3600)
    with pytest.raises(ShopifyRefused, match="over a day ago"):
        await run(orders.workflow(), context, SYNC)
    assert (await shop.state()).stock == STOCK


async def test_after_a_day_what_was_all_sold_is_not_added_again(
    store: Store, shop: Shopify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stock is what the plan was made of: the shop would take it for one that is still due."""
    context, orders = await planned_and_sold(store, shop)
    await shop.sell("MUG-01", 16)
    await shop.sell("PLT-02", 3)
    await shop.forget_keys()
    monkeypatch.setattr(stock_module, "time", lambda: time() + 24 * 3600)
    with pytest.raises(ShopifyRefused, match="PurchaseOrder/po_1"):
        await run(orders.workflow(), context, SYNC)
    assert (await shop.state()).stock == {"MUG-01": 0, "PLT-02": 0}


async def test_a_location_that_changes_between_two_attempts_changes_nothing(
    store: Store, shop: Shopify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same key with another location is no repetition, but a mistake."""
    context, orders = await planned_and_sold(store, shop)

    async def moved(self: Shop) -> str:
        return "gid://shopify/Location/2"

    monkeypatch.setattr(Shop, "location", moved)
    await run(orders.workflow(), context, SYNC)
    await arrived_once(shop, {"MUG-01": 16, "PLT-02": 3})


async def test_a_product_that_was_deleted_in_the_shop_is_made_anew(
    store: Store, shop: Shopify
) -> None:
    orders = Orders(store, shop)
    await until_done(orders, await prepared(store, shop))
    await shop.remove("MUG-01")
    told = await until_done(orders, await prepared(store, shop, "po_2"))
    assert told["createdInShop"] == 1
    assert (await shop.state()).stock == {"MUG-01": 20, "PLT-02": 6}


async def test_a_product_that_is_deleted_once_it_is_planned_with_is_made_anew(
    store: Store, shop: Shopify
) -> None:
    context, orders = await prepared(store, shop), Orders(store, shop)
    await shop.fault("drop", fields=["inventorySetQuantities"])
    with pytest.raises(UpstreamLost):
        await run(orders.workflow(), context, SYNC)
    await shop.clear_faults()
    await shop.remove("MUG-01")
    await until_done(orders, context)
    assert (await shop.state()).stock == STOCK


@pytest.mark.parametrize(
    "code",
    [
        "CHANGE_FROM_QUANTITY_STALE",
        "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED",
        "INVALID_INVENTORY_ITEM",
        "ITEM_NOT_STOCKED_AT_LOCATION",
    ],
)
async def test_what_was_not_done_is_planned_anew_under_another_key(
    store: Store, shop: Shopify, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """A failed key is what the shop says to who asks again after a refusal that nobody noted."""
    context, orders = await prepared(store, shop), Orders(store, shop)
    setting, keys = Shop.set_stock, []

    async def refused_first(self: Shop, *args: Any, key: str, order: str) -> None:
        keys.append(key)
        if key == keys[0]:
            raise ShopifyRefused("use another", [code])
        await setting(self, *args, key=key, order=order)

    monkeypatch.setattr(Shop, "set_stock", refused_first)
    await run(orders.workflow(), context, SYNC)
    assert len(keys) == 2
    await arrived_once(shop)


async def test_a_change_that_is_under_way_is_waited_for(
    store: Store, shop: Shopify, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, orders = await prepared(store, shop), Orders(store, shop)
    setting, keys = Shop.set_stock, []

    async def busy_first(self: Shop, *args: Any, key: str, order: str) -> None:
        keys.append(key)
        if len(keys) == 1:
            raise ShopifyRefused("in progress", [stock_module.BUSY])
        await setting(self, *args, key=key, order=order)

    monkeypatch.setattr(Shop, "set_stock", busy_first)
    with pytest.raises(UpstreamLost):
        await run(orders.workflow(), context, SYNC)
    await run(orders.workflow(), context, SYNC)
    assert len(set(keys)) == 1, "another key could add it twice"
    await arrived_once(shop)


async def test_what_another_has_done_meanwhile_is_not_asked_for(
    store: Store, shop: Shopify, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, orders = await prepared(store, shop), Orders(store, shop)
    looked = Shop.stock

    async def done_meanwhile(self: Shop, *args: Any) -> dict[str, int | None]:
        plan = Plan(attempt=1, made=time(), done=True, location="", changes={})
        await store.records.put(KIND, "m1/po_1/0000", plan.text, expect=0)
        return await looked(self, *args)

    monkeypatch.setattr(Shop, "stock", done_meanwhile)
    await run(orders.workflow(), context, SYNC)
    assert set((await shop.state()).stock.values()) <= {0, None}


async def test_two_skus_that_are_one_item_in_the_shop_are_added_up(
    store: Store, shop: Shopify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after somebody has renamed a variant there."""
    await shop.add("MUG-01", quantity=5)
    context, orders = await prepared(store, shop), Orders(store, shop)
    finding = Shop.find

    async def the_same(self: Shop, sku: str) -> Any:
        return await finding(self, "MUG-01")

    monkeypatch.setattr(Shop, "find", the_same)
    await run(orders.workflow(), context, SYNC)
    await arrived_once(shop, {"MUG-01": 28})


async def test_a_title_is_as_long_as_the_shop_takes_it(store: Store, shop: Shopify) -> None:
    context = Context(f"sku,name,qty\nA,{'mug ' * 75},1\n".encode())
    orders = Orders(store, shop)
    await run(orders.workflow(), context, BEFORE)
    await run(orders.workflow(), context, SYNC)
    assert (await shop.state()).stock == {"A": 1}


async def test_a_search_finds_the_very_sku_only(store: Store, shop: Shopify) -> None:
    for sku in ("mug-01", "MUG-01-XL", "MUG"):
        await shop.add(sku, quantity=1)
    context = await prepared(store, shop)
    orders = Orders(store, shop)
    told = await run(orders.workflow(), context, SYNC)
    assert told["shopify_sync"] == {"products": 2, "createdInShop": 2, "pieces": 23, "shop": SHOP}


async def test_calls_wait_for_the_points_that_they_cost(store: Store, shop: Shopify) -> None:
    """A bucket that holds some calls only: the shop refuses few, and everything arrives."""
    rows = "\n".join(f"S-{n},1" for n in range(12))
    context = Context(f"sku,qty\n{rows}\n".encode(), subject="po_many")
    orders = Orders(store, shop)
    await run(orders.workflow(), context, BEFORE)
    await shop.bucket(maximum=130, rate=900)
    async with asyncio.timeout(SAFETY_SECONDS):
        await run(orders.workflow(), context, SYNC)
    await arrived_once(shop, {f"S-{n}": 1 for n in range(12)})
    _, refused = await shop.calls()
    assert refused <= 2


async def test_a_call_that_would_wait_for_long_is_left_for_later(
    store: Store, shop: Shopify, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = await prepared(store, shop)
    orders = Orders(store, shop)
    monkeypatch.setattr(api_module, "LONGEST_WAIT", 0.05)
    await shop.bucket(maximum=60, rate=50)
    began = monotonic()
    with pytest.raises(UpstreamLost) as caught:
        await run(orders.workflow(), context, SYNC)
    assert caught.value.retry_after is not None
    assert 0.05 < caught.value.retry_after < 10
    assert monotonic() - began < SAFETY_SECONDS


async def test_retry_after_is_passed_on(store: Store, shop: Shopify) -> None:
    context = await prepared(store, shop)
    orders = Orders(store, shop)
    await shop.fault("status", status=429, retry_after=7, times=1)
    with pytest.raises(UpstreamLost) as caught:
        await run(orders.workflow(), context, SYNC)
    assert caught.value.retry_after == 7


async def test_a_wrong_token_is_said_and_not_shown(store: Store, shop: Shopify) -> None:
    context = await prepared(store, shop)
    api = opened("shpat_not_the_token", shop.api_url)
    orders = PurchaseOrders(store, Images(), shop=Shop(api))
    with pytest.raises(ShopifyRefused, match="SHOPIFY_ACCESS_TOKEN") as caught:
        await run(orders.workflow(), context, SYNC)
    assert not isinstance(caught.value, Transient)
    assert "shpat_not" not in f"{caught.value!r} {caught.value} {api!r}"


@pytest.mark.parametrize(
    "token", ["short", "has a space in it", "line\nbreak-in-it", "überlang-token"]
)
def test_a_token_that_no_header_takes_is_refused_unseen(token: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ShopifyApi("a.myshopify.com", token)
    assert token not in str(caught.value)


ANSWERS: list[tuple[bytes, type[Exception], str]] = [
    (b"", UpstreamLost, "does not answer"),
    (answer("<html>", 502), UpstreamLost, "answers 502"),
    (answer("not json"), UpstreamLost, "not JSON"),
    (answer("[]"), UpstreamLost, "no JSON object"),
    (answer("{}"), UpstreamLost, "no data"),
    (answer("", 301, location="http://elsewhere.example/"), ShopifyRefused, "redirects"),
    (answer("{}", 403), ShopifyRefused, "SHOPIFY_ACCESS_TOKEN"),
    (answer('{"errors": "shop-token-0 is bad"}'), ShopifyRefused, "… is bad"),
    (
        answer('{"errors": [{"message": "no", "extensions": {"code": "ACCESS_DENIED"}}]}'),
        ShopifyRefused,
        "access scope",
    ),
    (answer('{"data": {"location": null}}'), ShopifyRefused, "no location"),
]


@pytest.mark.parametrize(("said", "error", "told"), ANSWERS, ids=[told for *_, told in ANSWERS])
async def test_what_answers_mean(said: bytes, error: type[Exception], told: str) -> None:
    async with answering([said]) as server:
        shop = Shop(opened("shop-token-0", server.url))
        with pytest.raises(error, match=told) as caught:
            await shop.location()
        assert "shop-token-0" not in str(caught.value)
        assert b"shop-token-0" in server.asked[0]


async def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "MAX_ANSWER_BYTES", 1000)
    async with answering([answer("x" * 1001)]) as server:
        shop = Shop(opened("shop-token-0", server.url))
        with pytest.raises(AnswerTooLarge, match="over 1000 bytes"):
            await shop.location()


async def test_a_shop_that_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "CALL_SECONDS", 0.1)
    async with answering([b"HTTP/1.1 200 OK\r\n"]) as server:
        server.hold = True
        shop = Shop(opened("shop-token-0", server.url))
        with pytest.raises(UpstreamLost, match="does not answer"):
            await shop.location()


def test_handles_tell_skus_apart() -> None:
    skus = ["A B", "A-B", "a-b", "Ä B", "漢字", "漢", "x" * 80, "x" * 79]
    handles = [handle(sku) for sku in skus]
    assert len(set(handles)) == len(skus)
    assert all(len(it) <= 60 and it.strip("-") == it for it in handles)


async def test_plans_are_kept_by_order(store: Store, shop: Shopify) -> None:
    context = await prepared(store, shop)
    orders = Orders(store, shop)
    await run(orders.workflow(), context, SYNC)
    plans: list[Record] = await store.records.query(stock_module.KIND, prefix="m1/po_1/")
    (plan,) = [stock_module.Plan.parse(it.value) for it in plans]
    assert (plan.attempt, plan.done) == (1, True)
