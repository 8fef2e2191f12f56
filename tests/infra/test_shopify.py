"""The local shop that speaks Shopify's Admin GraphQL API: its schema, its stock, its faults."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from infra.local.shopify import Shopify
from infra.local.shopify.shop import LOCATION
from lastevent.services.purchase_orders.shopify import shop as documents

WAIT_SECONDS = 20.0
"""A safety limit: what takes longer than this has hung."""

SET = {"handle": "mug", "title": "Mug", "status": "DRAFT"}
VARIANT = {"sku": "MUG-01", "optionValues": [{"optionName": "Title", "name": "Default Title"}]}
OPTIONS = [{"name": "Title", "values": [{"name": "Default Title"}]}]
INPUT = {**SET, "productOptions": OPTIONS, "variants": [VARIANT]}


@pytest.fixture(scope="module")
def module_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shopify]:
    with Shopify(tmp_path_factory.mktemp("shopify"), search_lag=0.3) as server:
        yield server


@pytest.fixture
async def shop(module_shop: Shopify) -> Shopify:
    await module_shop.empty()
    return module_shop


@pytest.fixture
async def http(shop: Shopify) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"X-Shopify-Access-Token": shop.token}
    async with httpx.AsyncClient(
        base_url=shop.api_url, headers=headers, trust_env=False, timeout=WAIT_SECONDS
    ) as client:
        yield client


async def ask(http: httpx.AsyncClient, query: str, **variables: Any) -> dict[str, Any]:
    answer = await http.post("/graphql.json", json={"query": query, "variables": variables})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def create(http: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    body = await ask(http, documents.CREATE, identifier={"handle": "mug"}, input={**INPUT, **more})
    payload: dict[str, Any] = body["data"]["productSet"]
    return payload


async def stocked(http: httpx.AsyncClient) -> str:
    """Make a product that is stocked; return its item."""
    made = await create(http)
    item: str = made["product"]["variants"]["nodes"][0]["inventoryItem"]["id"]
    body = await ask(http, documents.ACTIVATE, item=item, location=LOCATION, key="activate")
    assert body["data"]["inventoryActivate"]["userErrors"] == []
    return item


async def move(
    http: httpx.AsyncClient, item: str, before: int | None, after: int, key: str
) -> list[str]:
    """Set a quantity; return the codes of what is wrong."""
    quantity = {"inventoryItemId": item, "locationId": LOCATION, "quantity": after}
    input = {
        "name": "available",
        "reason": "received",
        "quantities": [quantity | {"changeFromQuantity": before}],
    }
    body = await ask(http, documents.SET_STOCK, input=input, key=key)
    return [it["code"] for it in body["data"]["inventorySetQuantities"]["userErrors"]]


async def test_a_wrong_token_is_refused(shop: Shopify) -> None:
    async with httpx.AsyncClient(base_url=shop.api_url, trust_env=False) as http:
        answer = await http.post("/graphql.json", json={"query": "{ location { id } }"})
    assert answer.status_code == 401
    assert "Invalid API key" in answer.json()["errors"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("{ nothing { id } }", "Cannot query field 'nothing'"),
        ("{ location", "Syntax Error"),
        ("{ productVariants { nodes { id } } }", "first or last"),
        ("{ productVariants(first: 300) { nodes { id } } }", "greater than the maximum"),
        ("{ productByIdentifier(identifier: {}) { id } }", "exactly one key"),
    ],
)
async def test_what_the_schema_does_not_have_is_an_error(
    http: httpx.AsyncClient, query: str, told: str
) -> None:
    assert told in (await ask(http, query))["errors"][0]["message"]


async def test_a_product_is_made_once_for_its_handle(
    http: httpx.AsyncClient, shop: Shopify
) -> None:
    first, second = await create(http), await create(http, title="Cup")
    assert first["product"] == second["product"]
    state = await shop.state()
    assert (state.creates, state.updates) == ({"mug": 1}, {"mug": 1})
    assert state.stock == {"MUG-01": None}
    refused = await create(http, handle="cup")
    assert refused["product"] is None
    assert refused["userErrors"][0]["code"] == "INVALID_INPUT"


async def test_variants_in_the_input_replace_those_that_are_there(
    http: httpx.AsyncClient, shop: Shopify
) -> None:
    item = await stocked(http)
    other = {"sku": "MUG-XL", "optionValues": [{"optionName": "Title", "name": "Large"}]}
    await create(http, variants=[other])
    assert (await shop.state()).stock == {"MUG-XL": None}
    assert await move(http, item, 0, 1, "k") == ["INVALID_INVENTORY_ITEM"]


async def test_quantities_that_are_given_again_are_set_again(
    http: httpx.AsyncClient, shop: Shopify
) -> None:
    """So whoever makes a product that may be there already does not name any."""
    item = await stocked(http)
    assert await move(http, item, 0, 7, "k") == []
    quantity = {"locationId": LOCATION, "name": "available", "quantity": 0}
    await create(http, variants=[{**VARIANT, "inventoryQuantities": [quantity]}])
    assert (await shop.state()).stock == {"MUG-01": 0}


async def test_a_search_is_late_and_a_handle_is_not(http: httpx.AsyncClient) -> None:
    await create(http)
    variables = {"product": {"handle": "mug"}, "variants": 'sku:"mug"', "most": 5}
    data = (await ask(http, documents.FIND, **variables))["data"]
    assert data["productByIdentifier"]["id"]
    assert data["productVariants"]["nodes"] == []
    await asyncio.sleep(0.4)
    (found,) = (await ask(http, documents.FIND, **variables))["data"]["productVariants"]["nodes"]
    assert found["sku"] == "MUG-01"


async def test_a_quantity_changes_from_what_was_seen(
    http: httpx.AsyncClient, shop: Shopify
) -> None:
    item = await stocked(http)
    assert await move(http, item, 0, 5, "one") == []
    assert await move(http, item, 0, 5, "two") == ["CHANGE_FROM_QUANTITY_STALE"]
    assert await move(http, item, None, 9, "three") == []
    assert (await shop.state()).stock == {"MUG-01": 9}


async def test_an_item_must_be_stocked_first(http: httpx.AsyncClient) -> None:
    made = await create(http)
    item = made["product"]["variants"]["nodes"][0]["inventoryItem"]["id"]
    stock = await ask(http, documents.STOCK, items=[item, "gid://x/Y/1"], location=LOCATION)
    assert stock["data"]["nodes"] == [{"id": item, "inventoryLevel": None}, None]
    assert await move(http, item, 0, 5, "k") == ["ITEM_NOT_STOCKED_AT_LOCATION"]


async def test_a_key_is_answered_again_and_bound_to_its_input(
    http: httpx.AsyncClient, shop: Shopify
) -> None:
    item = await stocked(http)
    assert await move(http, item, 0, 5, "k") == []
    assert await move(http, item, 0, 5, "k") == []
    assert await move(http, item, 0, 6, "k") == ["IDEMPOTENCY_KEY_PARAMETER_MISMATCH"]
    assert len((await shop.state()).moved) == 1
    await shop.forget_keys()
    assert await move(http, item, 0, 5, "k") == ["CHANGE_FROM_QUANTITY_STALE"]


async def test_without_a_key_stock_is_not_changed(http: httpx.AsyncClient) -> None:
    query = documents.SET_STOCK.replace("@idempotent(key: $key)", "").replace(", $key: String!", "")
    input = {"name": "available", "reason": "received", "quantities": []}
    (error,) = (await ask(http, query, input=input))["errors"]
    assert "@idempotent directive is required" in error["message"]


async def test_the_bucket_is_paid_from_and_refills(http: httpx.AsyncClient, shop: Shopify) -> None:
    await shop.bucket(maximum=25, rate=50)
    told = (await ask(http, documents.LOCATION))["extensions"]["cost"]
    assert told["requestedQueryCost"] == 1
    assert told["throttleStatus"]["maximumAvailable"] == 25
    await create(http)
    await create(http)
    body = await ask(http, documents.CREATE, identifier={"handle": "mug"}, input=INPUT)
    assert body["errors"][0]["extensions"]["code"] == "THROTTLED"
    assert "data" not in body
    assert body["extensions"]["cost"]["actualQueryCost"] is None
    await asyncio.sleep(0.4)
    await create(http)
    _, throttled = await shop.calls()
    assert throttled == 1


async def test_faults_before_and_after_it_is_done(http: httpx.AsyncClient, shop: Shopify) -> None:
    item = await stocked(http)
    for kind, before, after in (("drop", 0, 0), ("lost", 0, 3)):
        await shop.fault(kind, fields=["inventorySetQuantities"], times=1)  # type: ignore[arg-type]
        with pytest.raises(httpx.TransportError):
            await move(http, item, before, 3, kind)
        assert (await shop.state()).stock == {"MUG-01": after}
    await shop.fault("status", status=429, retry_after=3, times=1)
    answer = await http.post("/graphql.json", json={"query": documents.LOCATION})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    for kind, code in (("throttled", "THROTTLED"), ("internal", "INTERNAL_SERVER_ERROR")):
        await shop.fault(kind, times=1)  # type: ignore[arg-type]
        body = await ask(http, documents.LOCATION)
        assert body["errors"][0]["extensions"]["code"] == code
    assert "errors" not in await ask(http, documents.LOCATION)


async def test_what_is_done_late_keeps_its_key_busy(http: httpx.AsyncClient, shop: Shopify) -> None:
    item = await stocked(http)
    await shop.fault("late", fields=["inventorySetQuantities"], times=1, seconds=0.5)
    with pytest.raises(httpx.TransportError):
        await move(http, item, 0, 3, "k")
    assert await move(http, item, 0, 3, "k") == ["IDEMPOTENCY_CONCURRENT_REQUEST"]
    async with asyncio.timeout(WAIT_SECONDS):
        while not (await shop.state()).moved:
            await asyncio.sleep(0.05)
    assert await move(http, item, 0, 3, "k") == []
    assert len((await shop.state()).moved) == 1


async def test_a_fault_that_cannot_be_is_refused(shop: Shopify) -> None:
    with pytest.raises(ValueError, match="no fault is"):
        await shop.fault("fire")  # type: ignore[arg-type]


async def test_the_merchants_own_hand(shop: Shopify) -> None:
    await shop.add("A", quantity=5)
    await shop.add("B", quantity=None, handle="b")
    await shop.sell("A", 2)
    state = await shop.state()
    assert state.stock == {"A": 3, "B": None}
    assert state.creates == {}
    await shop.remove("A")
    assert (await shop.state()).stock == {"B": None}


async def test_pictures(shop: Shopify) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        png = await http.get(f"{shop.cdn}/a.png?width=30&height=20")
        assert png.content.startswith(b"\x89PNG")
        assert (await http.get(f"{shop.cdn}/a.jpg")).content.startswith(b"\xff\xd8")
        assert (await http.get(f"{shop.cdn}/gone.png")).status_code == 404
        assert (await http.get(f"{shop.cdn}/away.png")).status_code == 503
        assert len((await http.get(f"{shop.cdn}/bomb.png")).content) < 1000
