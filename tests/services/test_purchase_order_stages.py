"""Each stage by itself: done twice, cut between any two of its effects, done by two at once."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from time import sleep
from typing import Any

import pytest

from infra.local.shopify import Shopify
from lastevent.core.errors import NotFound, TooLarge, Transient, UpstreamLost
from lastevent.services.purchase_orders import pictures, thumbnails
from lastevent.services.purchase_orders.images import FETCH_SECONDS, Images
from lastevent.services.purchase_orders.order import MAX_ORDER_IMAGES, Line
from lastevent.services.purchase_orders.parsing import BadOrder, parse
from lastevent.services.purchase_orders.records import (
    IMAGES,
    LINES,
    MAX_PRODUCT_IMAGES,
    ORDERS,
    PARSED,
    PRODUCTS,
    THUMBNAILS,
    OrderRecords,
    Product,
    Thumbnail,
    merged,
)
from lastevent.services.purchase_orders.stages import (
    NO_IMAGES,
    NO_PILLOW,
    NO_SHOP,
    NONE_ATTACHED,
    PICTURES_AT_ONCE,
    PurchaseOrders,
)
from lastevent.services.workflow.records import MAX_INPUT_BYTES
from lastevent.services.workflow.values import Skipped
from lastevent.stores.base import RetentionRules, Store
from lastevent.stores.memory import open_url
from tests.services.dying import Died, Life, dying
from tests.services.ordering import BAD, SMALL, Context, example, run

KINDS = (PARSED, ORDERS, LINES, PRODUCTS, IMAGES, THUMBNAILS)
STAGES = (
    "ai_parsing",
    "database_save",
    "product_draft_creation",
    "image_attachment",
    "background_image_processing",
    "shopify_sync",
    "status_update",
)
MOST_EFFECTS = 200


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shopify]:
    """A shop, for its pictures."""
    with Shopify(tmp_path_factory.mktemp("shopify")) as made:
        yield made


def images(shop: Shopify) -> Images:
    return Images([shop.environment["LASTEVENT_IMAGE_HOSTS"]])


def pictured(shop: Shopify, *names: str) -> bytes:
    rows = [f"P-{n},Product {n},{n + 1},{shop.cdn}/{name}" for n, name in enumerate(names)]
    return "\n".join(["sku,name,qty,image", *rows]).encode()


async def everything(store: Store) -> dict[str, list[tuple[str, str]]]:
    """What the store holds of orders."""
    return {
        kind: [(it.id, it.value) for it in await store.records.query(kind, limit=1000)]
        for kind in KINDS
    }


def new_store() -> Store:
    return open_url("memory://", RetentionRules(), lambda: 1_800_000_000.0)


def test_the_workflow_has_the_seven_stages() -> None:
    stages = PurchaseOrders(new_store(), Images()).workflow().stages
    assert tuple(stage.name for stage in stages) == STAGES


async def test_an_order_goes_through_all_stages(store: Store, shop: Shopify) -> None:
    orders = PurchaseOrders(store, images(shop))
    context = Context(pictured(shop, "a.png", "b.jpg", "gone.png"))
    results = await run(orders.workflow(), context)
    assert results["ai_parsing"] == {"lineItems": 3, "confidence": 90, "parser": "built-in"}
    assert results["database_save"] == {"lineItems": 3, "pieces": 6, "total": None}
    assert results["product_draft_creation"] == {"products": 3, "created": 3}
    refused = {"images": 2, "refused": 1, "reasons": ["the host does not know the image (404)"]}
    assert results["image_attachment"] == refused
    assert results["background_image_processing"] == refused
    assert results["shopify_sync"] == Skipped(NO_SHOP)
    finished = results["status_update"]
    assert isinstance(finished, dict)
    assert finished["inShop"] == 0
    records = OrderRecords(store, "m1")
    saved = await records.saved("po_1")
    assert saved is not None
    assert (saved.state, saved.summary["images"]) == ("processed", 2)
    assert [product.images for product in await records.products()].count(()) == 1
    small = await records.thumbnail(f"{shop.cdn}/a.png", 96)
    assert small is not None
    assert (small.format, small.width, small.height) == ("webp", 96, 72)
    await orders.aclose()


async def test_every_stage_may_be_done_twice(store: Store, shop: Shopify) -> None:
    orders = PurchaseOrders(store, images(shop))
    context = Context(pictured(shop, "a.png", "page.png"))
    for name in STAGES:
        first = await run(orders.workflow(), context, [name])
        once = await everything(store)
        again = await run(orders.workflow(), context, [name])
        assert await everything(store) == once, name
        assert again == first
    await orders.aclose()


async def test_all_stages_at_once_by_two_do_no_more_than_by_one(shop: Shopify) -> None:
    store, alone = new_store(), new_store()
    content = pictured(shop, "a.png")
    await run(PurchaseOrders(alone, images(shop)).workflow(), Context(content))
    workflow = PurchaseOrders(store, images(shop)).workflow()
    for name in STAGES:
        await asyncio.gather(*(run(workflow, Context(content), [name]) for _ in range(2)))
    assert await everything(store) == await everything(alone)


@pytest.mark.parametrize("name", [name for name in STAGES if name != "shopify_sync"])
@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
async def test_a_stage_that_dies_anywhere_is_completed_by_the_next(
    name: str, carried_out: bool, shop: Shopify, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = pictured(shop, "a.png", "b.png")
    before = STAGES[: STAGES.index(name)]
    kept: dict[str, bytes] = {}
    fetch = Images.fetch

    async def fetch_once(self: Images, url: str) -> bytes:
        if url not in kept:
            kept[url] = await fetch(self, url)
        return kept[url]

    monkeypatch.setattr(Images, "fetch", fetch_once)
    whole = new_store()
    await run(PurchaseOrders(whole, images(shop)).workflow(), Context(content), (*before, name))
    for calls in range(MOST_EFFECTS):
        store = new_store()
        await run(PurchaseOrders(store, images(shop)).workflow(), Context(content), before)
        life = Life(calls, carried_out=carried_out)
        doomed = PurchaseOrders(dying(store, life), images(shop)).workflow()
        try:
            await run(doomed, Context(content), [name])
        except Died:
            # Who comes next does the stage as if nothing had happened.
            await run(PurchaseOrders(store, images(shop)).workflow(), Context(content), [name])
        assert await everything(store) == await everything(whole), f"dead after {calls} calls"
        if not life.is_over:
            break
    else:
        pytest.fail("the stage never came to its end")
    assert calls > 0


async def test_an_order_is_not_seen_before_its_lines_are_there() -> None:
    context = Context(SMALL)
    for calls in range(MOST_EFFECTS):
        store = new_store()
        await run(PurchaseOrders(store, Images()).workflow(), context, ["ai_parsing"])
        life = Life(calls, carried_out=True)
        doomed = PurchaseOrders(dying(store, life), Images()).workflow()
        with contextlib.suppress(Died):
            await run(doomed, context, ["database_save"])
        records = OrderRecords(store, "m1")
        if await records.saved("po_1") is not None:
            assert len(await records.lines("po_1")) == 3
        if not life.is_over:
            return
    pytest.fail("the stage never came to its end")


@pytest.mark.parametrize("name", [path.name for path in BAD])
async def test_of_a_bad_file_nothing_is_kept(name: str, store: Store) -> None:
    context = Context(example(name))
    with pytest.raises(BadOrder, match="line "):
        await run(PurchaseOrders(store, Images()).workflow(), context)
    assert not any((await everything(store)).values())


async def test_a_stage_without_those_before_it_says_so(store: Store) -> None:
    for name in STAGES[1:]:
        orders = PurchaseOrders(store, Images(), shop=NOBODYS_SHOP)
        with pytest.raises(NotFound, match="po_1"):
            await run(orders.workflow(), Context(SMALL), [name])


NOBODYS_SHOP: Any = object()


async def test_what_was_read_first_counts(store: Store) -> None:
    await run(PurchaseOrders(store, Images()).workflow(), Context(SMALL), ["ai_parsing"])
    other = Context(b"sku,qty\nOTHER,1\n")
    told = await run(PurchaseOrders(store, Images()).workflow(), other, ["ai_parsing"])
    assert told["ai_parsing"] == {"lineItems": 3, "confidence": 100, "parser": "built-in"}


async def test_of_two_readings_at_once_the_first_counts_for_both(store: Store) -> None:
    """A model may read a text in two ways, and a run may have two runners for a moment."""
    records = OrderRecords(store, "m1")
    one, other = parse(b"2 x Tea"), parse(b"3 x Tea")
    assert await records.keep_parsed("po_1", one) == one
    assert await records.keep_parsed("po_1", other) == one


async def test_a_merchants_product_is_used_again_and_left_as_it_is(store: Store) -> None:
    workflow = PurchaseOrders(store, Images()).workflow()
    await run(workflow, Context(SMALL))
    records = OrderRecords(store, "m1")
    await records.change_product("MUG-01", lambda it: type(it)(**{**asdict(it), "title": "Mine"}))
    again = await run(workflow, Context(b"sku,name,qty\nMUG-01,Cup,1\nNEW,New,1", subject="po_2"))
    assert again["product_draft_creation"] == {"products": 2, "created": 1}
    product = await records.product("MUG-01")
    assert product is not None
    assert (product.title, product.status, product.price) == ("Mine", "draft", "4.50")


async def test_merchants_are_apart(store: Store) -> None:
    workflow = PurchaseOrders(store, Images()).workflow()
    await run(workflow, Context(SMALL, merchant="m1"))
    await run(workflow, Context(b"sku,qty\nB,1\n", merchant="m10"))
    assert [it.sku for it in await OrderRecords(store, "m10").products()] == ["B"]
    assert len(await OrderRecords(store, "m1").products()) == 2
    assert [it.id for it in await OrderRecords(store, "m1").orders()] == ["po_1"]


async def test_two_hundred_lines_are_saved_and_told_of(store: Store) -> None:
    context = Context(example("two-hundred-lines.csv"))
    workflow = PurchaseOrders(store, Images()).workflow()
    results = await run(workflow, context, STAGES[:3])
    assert results["product_draft_creation"] == {"products": 200, "created": 200}
    lines = await OrderRecords(store, "m1").lines("po_1")
    assert [line.place for line in lines] == list(range(5, 205))
    assert (100.0, "Saved 200 of 200 line items") in context.told


async def test_hosts_that_do_not_answer_are_waited_for_once_an_order(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an invocation that ends before all are waited for begins with the first one again."""
    asked: list[str] = []

    async def silent(self: Images, url: str) -> bytes:
        asked.append(url)
        raise UpstreamLost("the image's host does not answer")

    monkeypatch.setattr(Images, "fetch", silent)
    context = Context(b"sku,qty,image\nA,1,https://a.example/1.png\n")
    workflow = PurchaseOrders(store, Images()).workflow()
    refused = {"images": 0, "refused": 1, "reasons": ["the image's host does not answer"]}
    for _ in range(2):
        told = await run(workflow, context, STAGES[:4])
        assert told["image_attachment"] == refused
    assert len(asked) == pictures.FETCHES
    await run(workflow, Context(context.content, subject="po_2"), STAGES[:4])
    assert len(asked) == 2 * pictures.FETCHES


async def test_pictures_are_made_small_one_at_a_time(
    store: Store, shop: Shopify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes some 100 MB, and a function may have little more."""
    making, at_once = 0, 0

    def make(content: bytes) -> Mapping[int, Thumbnail]:
        nonlocal making, at_once
        making += 1
        at_once = max(at_once, making)
        sleep(0.02)
        making -= 1
        return {}

    monkeypatch.setattr(thumbnails, "make", make)
    orders = PurchaseOrders(store, images(shop))
    await run(orders.workflow(), Context(pictured(shop, "a.png", "b.jpg", "c.png")), STAGES[:5])
    assert at_once == 1
    await orders.aclose()


async def test_lines_that_are_not_to_be_read_yet_are_waited_for(store: Store) -> None:
    workflow = PurchaseOrders(store, Images()).workflow()
    await run(workflow, Context(SMALL), STAGES[:2])
    await store.records.delete(LINES, "m1/po_1/0002")
    with pytest.raises(Transient, match="not all to be read"):
        await run(workflow, Context(SMALL), STAGES[2:3])


async def test_a_line_that_is_there_otherwise_is_written_anew(store: Store) -> None:
    records = OrderRecords(store, "m1")
    for quantity in (1, 2, 2):
        await records.write_line("po_1", 1, Line(place=1, quantity=quantity, sku="A"))
    assert [line.quantity for line in await records.lines("po_1")] == [2]
    record = await store.records.get(LINES, "m1/po_1/0001")
    assert record is not None
    assert record.version == 2


def test_all_hosts_of_an_order_may_be_waited_for_in_vain() -> None:
    stages = {it.name: it for it in PurchaseOrders(new_store(), Images()).workflow().stages}
    rounds = MAX_ORDER_IMAGES / PICTURES_AT_ONCE
    longest = rounds * pictures.FETCHES * FETCH_SECONDS
    assert stages["image_attachment"].seconds > longest
    assert stages["background_image_processing"].seconds > longest


def test_a_product_has_so_many_pictures_at_most() -> None:
    """Or order after order would make its document longer than any store takes."""
    product = Product(sku="A", title="A")
    for order in range(10):
        product = merged(product, tuple(f"https://a.example/{order}/{n}" for n in range(10)))
    assert product.images[0] == "https://a.example/0/0"
    assert len(product.images) == MAX_PRODUCT_IMAGES


async def test_an_order_that_no_store_takes_is_refused_by_all(store: Store) -> None:
    """Half of a UTF-16 file's size is added when it is kept."""
    table = "sku,name,qty\n" + "".join(f"{n},{'茶' * 120},1\n" for n in range(1000))
    content = table.encode("utf-16")
    assert len(content) <= MAX_INPUT_BYTES
    with pytest.raises(TooLarge, match="send it as several orders"):
        await run(PurchaseOrders(store, Images()).workflow(), Context(content))
    assert not any((await everything(store)).values())


async def test_why_there_is_nothing_to_do_is_said(
    store: Store, shop: Shopify, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = PurchaseOrders(store, images(shop))
    told = await run(orders.workflow(), Context(SMALL))
    assert told["image_attachment"] == told["background_image_processing"] == Skipped(NO_IMAGES)
    other = Context(pictured(shop, "gone.png"), subject="po_2")
    assert (await run(orders.workflow(), other))["background_image_processing"] == Skipped(
        NONE_ATTACHED
    )
    monkeypatch.setattr(thumbnails, "available", lambda: False)
    third = Context(pictured(shop, "c.png"), subject="po_3")
    told = await run(orders.workflow(), third)
    assert told["image_attachment"] == {"images": 1, "refused": 0}
    assert told["background_image_processing"] == Skipped(NO_PILLOW)
    await orders.aclose()
