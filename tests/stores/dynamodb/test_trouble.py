"""Bad days: what the service and the network do becomes an error of ours, within a time limit."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from infra.local.dynamodb import RotoServer
from infra.local.proxy import Proxy
from lastevent.core.cursor import Cursor
from lastevent.core.errors import StoreUnavailable, TooLarge, Transient
from lastevent.stores.base import Store
from lastevent.stores.dynamodb import client as client_module
from lastevent.stores.url import open_store
from tests.stores.dynamodb.answering import Answering, answering
from tests.stores.dynamodb.conftest import Open
from tests.stores.harness import WAIT_SECONDS, Harness, append, dynamo_server, notes, texts_after


@pytest.fixture
def service(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    """A server before the harness's that answers with errors when it is told to."""
    with answering(dynamo_server(RotoServer).port) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", service.url)
        yield service


@pytest.fixture
async def store(service: Answering, open_one: Open) -> Store:
    """A store whose requests go to ``service``."""
    store, _ = open_one()
    await append(store, "s", 1)
    return store


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ProvisionedThroughputExceededException", 400),
        ("ThrottlingException", 400),
        ("RequestLimitExceeded", 400),
        ("TransactionConflictException", 400),
        ("InternalServerError", 500),
        ("ServiceUnavailable", 503),
    ],
)
async def test_passing_trouble_is_not_noticed(
    store: Store, service: Answering, code: str, status: int
) -> None:
    service.answer(code, status, times=3)
    answer = await append(store, "s", 2)
    service.answer(code, status, times=2)
    assert await texts_after(store, "s") == ["1", "2"]
    assert answer.cursor.sequence == 2


async def test_answers_that_are_no_dynamodb_s(
    store: Store, service: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a proxy on the way gives them."""
    monkeypatch.setattr(client_module, "REQUEST_SECONDS", 0.5)
    service.answer("", 502)
    service.faults[-1].body = b"<html>Bad gateway</html>"
    service.answer("", 200)
    service.faults[-1].body = b"<html>Welcome</html>"
    await append(store, "s", 2)
    assert await texts_after(store, "s") == ["1", "2"]


async def test_throttling_that_goes_on_is_said(
    store: Store, service: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "REQUEST_SECONDS", 0.5)
    service.answer("ThrottlingException", times=1000)
    before = len(service.seen)
    for call in (append(store, "s", 2), store.log.read("s", None), store.records.get("k", "a")):
        with pytest.raises(Transient, match="busy") as refusal:
            await call
        assert not isinstance(refusal.value, StoreUnavailable)
    assert len(service.seen) - before <= 3 * 8, "with growing pauses"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("AccessDeniedException", "dynamodb:PutItem"),
        ("UnrecognizedClientException", "credentials"),
        ("InvalidSignatureException", "credentials"),
        ("ExpiredTokenException", "credentials"),
        ("ResourceNotFoundException", "lastevent init --store dynamodb://test-"),
        ("ValidationException", "PutItem with ValidationException"),
        ("SomethingNew", "SomethingNew"),
    ],
)
async def test_refusals_say_what_to_do(
    store: Store, service: Answering, code: str, said: str
) -> None:
    service.answer(code, operation="PutItem")
    before = len(service.seen)
    with pytest.raises(StoreUnavailable, match=said) as refusal:
        await append(store, "s", 2)
    assert service.seen[before:] == ["PutItem"], "it is not tried again"
    assert "local" not in str(refusal.value), "no credentials in the sentence"


async def test_an_item_that_the_service_finds_too_large(store: Store, service: Answering) -> None:
    service.answer("ValidationException", operation="PutItem")
    body = service.faults[-1].body
    service.faults[-1].body = body.replace(b"as the test wants it", b"Item size has exceeded")
    with pytest.raises(TooLarge):
        await append(store, "s", 2)


async def test_two_transactions_that_meet(store: Store, service: Answering) -> None:
    service.answer("TransactionCanceledException", times=2, operation="TransactWriteItems")
    body = service.faults[-1].body
    reasons = b'{"CancellationReasons":[{"Code":"TransactionConflict"},{"Code":"None"}],'
    service.faults[-1].body = body.replace(b"{", reasons, 1)
    answer = await store.log.append("s", notes(2), key="k")
    assert not answer.repeated
    assert await texts_after(store, "s") == ["1", "2"]


async def test_there_is_no_table(service: Answering) -> None:
    store = open_store("dynamodb://absent?region=eu-west-1")
    calls = (append(store, "s", 1), store.log.read("s", None), store.records.get("k", "a"))
    for call in calls:
        with pytest.raises(StoreUnavailable, match="lastevent init --store dynamodb://absent"):
            await call
    waited = await store.wakeup.wait({"s": Cursor.after(0)}, WAIT_SECONDS)
    assert waited == {"s"}, "a hint: who follows it reads, and hears why"
    await store.close()


async def test_there_are_no_credentials(
    service: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    store = open_store("dynamodb://table")
    with pytest.raises(StoreUnavailable, match="AWS_ACCESS_KEY_ID"):
        await append(store, "s", 1)
    await store.close()


async def test_there_is_no_region(service: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    store = open_store("dynamodb://table")
    with pytest.raises(StoreUnavailable, match="region="):
        await append(store, "s", 1)
    await store.close()
    named = open_store("dynamodb://table?region=eu-west-1")
    with pytest.raises(StoreUnavailable, match="no table"):
        await append(named, "s", 1)
    await named.close()


# The network


async def test_a_request_has_a_time_limit(
    one: tuple[Store, object], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = one
    await append(store, "s", 1)
    monkeypatch.setattr(client_module, "REQUEST_SECONDS", 0.3)
    proxy.silence()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="in time"):
        await store.records.get("k", "a")
    assert time.monotonic() - began < client_module.READ_SECONDS - 0.5


async def test_a_call_has_a_time_limit_however_many_requests_it_takes(
    one: tuple[Store, object], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = one
    await append(store, "s", 1)
    monkeypatch.setattr(client_module, "CALL_SECONDS", 1.0)
    proxy.delay = 0.6
    await store.records.get("k", "a")
    with pytest.raises(StoreUnavailable, match="too long"):
        await store.log.read("s", None)
    with pytest.raises(StoreUnavailable, match="too long"):
        await store.records.put("k", "a", "1")


@pytest.mark.slow
async def test_a_store_that_is_away_and_comes_back(one: tuple[Store, object], proxy: Proxy) -> None:
    store, _ = one
    await append(store, "s", 1)
    proxy.cut()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await append(store, "s", 2)
    assert time.monotonic() - began < client_module.CALL_SECONDS + 1
    proxy.restore()
    await append(store, "s", 3)
    texts = await texts_after(store, "s")
    assert texts in (["1", "3"], ["1", "2", "3"])


async def test_a_store_that_is_away_for_a_moment(one: tuple[Store, object], proxy: Proxy) -> None:
    store, _ = one
    await append(store, "s", 1)
    proxy.cut()
    call = asyncio.create_task(append(store, "s", 2))
    await asyncio.sleep(0.2)
    assert not call.done()
    proxy.restore()
    await call
    assert await texts_after(store, "s") == ["1", "2"]


@pytest.mark.slow
async def test_a_peer_that_died_without_a_word(one: tuple[Store, object], proxy: Proxy) -> None:
    """Half-open connections: the calls of all kinds end, though the threads are all taken."""
    store, _ = one
    cursor = (await append(store, "s", 1)).cursor
    proxy.silence()
    began = time.monotonic()
    calls = [append(store, f"s:{n}", 2) for n in range(20)]
    outcomes = await asyncio.gather(
        *calls,
        store.log.read("s", cursor),
        store.log.describe("s"),
        store.log.delete("s"),
        store.leases.acquire("l", "h", 10),
        store.records.put("k", "a", "1"),
        store.records.query("k"),
        return_exceptions=True,
    )
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert time.monotonic() - began < client_module.CALL_SECONDS + 1
    proxy.restore()
    await append(store, "s", 3)
    assert (await store.log.read("s", cursor)).events


@pytest.mark.slow
async def test_waiting_goes_on_through_trouble(one: tuple[Store, object], proxy: Proxy) -> None:
    store, _ = one
    cursor = (await append(store, "s", 1)).cursor
    proxy.cut()
    waited = await store.wakeup.wait({"s": cursor}, WAIT_SECONDS)
    assert waited == {"s"}, "to read, and to meet the trouble there"
    proxy.restore()
    await append(store, "s", 2)
    assert await texts_after(store, "s", cursor) == ["2"]
