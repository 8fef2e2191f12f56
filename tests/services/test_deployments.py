"""Deployments: asked for seldom, known for long, handed over by those who published them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from lastevent.core.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    StoreUnavailable,
    UpstreamLost,
    UpstreamRefused,
)
from lastevent.core.event import NewEvent
from lastevent.services import deployments as deployments_module
from lastevent.services.deployment import Deployment, Site, SiteFile
from lastevent.services.deployment_records import (
    FOLLOWED_SECONDS,
    KIND,
    UNSETTLED,
    DeploymentRecords,
)
from lastevent.services.deployments import INLINE_BYTES, Deployments
from lastevent.sources.pumps import Pumps
from lastevent.sources.vercel.api import ApiRefused, VercelApi
from lastevent.sources.vercel.progress import Took
from lastevent.sources.vercel.snapshot import Snapshot
from lastevent.sources.vercel.telling import Telling
from lastevent.stores.base import Record, RetentionRules, Store
from lastevent.stores.memory import open_url
from tests.sources.trouble import Trouble

NOW = 1_800_000_000.0
BUILDING = Snapshot("dpl_a", "shop", "BUILDING", "prj_a", "https://a.vercel.app")
READY = replace(BUILDING, ready_state="READY", ended=int(NOW * 1000))
SITE = Site("shop", (SiteFile("index.html", b"<h1>Hi</h1>"),))


class FakeApi(VercelApi):
    """Says ``now``, or raises it or a deployment's own trouble; counts what it is asked."""

    def __init__(self) -> None:
        super().__init__("fake-token")
        self.now: Snapshot | Exception = BUILDING
        self.troubles: dict[str, Exception] = {}
        self.asked: list[str] = []
        self.created: list[Any] = []
        self.uploaded: list[bytes] = []
        self.codes = 0

    async def deployment(self, id: str) -> Snapshot:
        self.asked.append(id)
        await asyncio.sleep(0)
        now = self.troubles.get(id, self.now)
        if isinstance(now, Exception):
            raise now
        return now

    async def upload(self, content: bytes) -> str:
        self.uploaded.append(content)
        return f"digest{len(content)}"

    async def create(self, deployment: Any) -> Snapshot:
        if isinstance(self.now, Exception):
            raise self.now
        self.created.append(deployment)
        return self.now

    async def transfer_code(self, project: str) -> str:
        await asyncio.sleep(0)
        self.codes += 1
        return f"code{self.codes}"


class Clock:
    """The store's time and ours."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(deployments_module, "time", clock)
    monkeypatch.setattr("lastevent.sources.pumps.time", clock)
    return clock


@pytest.fixture
async def store(clock: Clock) -> Store:
    return open_url("memory://", RetentionRules(), clock)


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
async def deployments(store: Store, api: FakeApi) -> AsyncIterator[Deployments]:
    made = Deployments(store, api, Pumps(store).forget, log_seconds=3600)
    yield made
    await made.aclose()


async def test_what_is_published_is_recorded(
    deployments: Deployments, api: FakeApi, store: Store
) -> None:
    large = SiteFile("large.bin", b"x" * (INLINE_BYTES + 1))
    made = await deployments.publish(replace(SITE, files=(*SITE.files, large)), "ada")
    assert (made.id, made.state, made.publisher) == ("dpl_a", "building", "ada")
    (body,) = api.created
    inline, uploaded = body["files"]
    assert inline["data"] == "PGgxPkhpPC9oMT4="
    assert uploaded == {"file": "large.bin", "sha": "digest65537", "size": INLINE_BYTES + 1}
    assert api.uploaded == [large.content]
    record = await store.records.get(KIND, "dpl_a")
    assert record is not None
    assert Deployment.parse(record.value) == made
    assert await store.records.get(UNSETTLED, "dpl_a") is not None


async def test_what_is_published_is_said_even_if_the_store_is_away(
    store: Store, api: FakeApi
) -> None:
    deployments = Deployments(Trouble(before=1).over(store), api, Pumps(store).forget)
    assert (await deployments.publish(SITE, "ada")).id == "dpl_a"


@pytest.mark.parametrize(
    ("answered", "error"),
    [
        (400, InvalidRequest),
        (402, Forbidden),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (401, UpstreamRefused),
        (418, UpstreamRefused),
    ],
)
async def test_what_a_refusal_means(
    deployments: Deployments, api: FakeApi, answered: int, error: type[Exception]
) -> None:
    api.now = ApiRefused("No, said the vendor", answered)
    for call in (deployments.publish(SITE, "ada"), deployments.get("dpl_a")):
        with pytest.raises(error, match="said the vendor") as caught:
            await call
        assert type(caught.value) is error


async def test_however_many_ask_the_vendor_is_asked_once_in_two_seconds(
    deployments: Deployments, store: Store, api: FakeApi, clock: Clock
) -> None:
    other = Deployments(store, api, Pumps(store).forget)
    await asyncio.gather(*(deployments.get("dpl_a") for _ in range(50)))
    assert len(api.asked) == 1
    for _ in range(10):
        await asyncio.gather(*(it.get("dpl_a") for it in (deployments, other) for _ in range(20)))
        clock.now += 0.5
    assert len(api.asked) <= 4, "two processes share what they learn"
    for _ in range(2):
        clock.now += 10
        await asyncio.gather(*(it.get("dpl_a") for it in (deployments, other) for _ in range(20)))
    assert len(api.asked) <= 6


async def test_what_is_final_is_never_asked_again(
    deployments: Deployments, api: FakeApi, clock: Clock
) -> None:
    api.now = READY
    assert (await deployments.get("dpl_a")).state == "ready"
    for seconds in (10, 10**6):
        clock.now += seconds
        assert (await deployments.get("dpl_a")).state == "ready"
    assert len(api.asked) == 1


async def test_a_blocked_one_may_go_on(
    deployments: Deployments, api: FakeApi, clock: Clock
) -> None:
    api.now = replace(BUILDING, ready_state="BLOCKED", error="no seat")
    assert (await deployments.get("dpl_a")).error == "no seat"
    clock.now += 10
    api.now = READY
    unblocked = await deployments.get("dpl_a")
    assert (unblocked.state, unblocked.error) == ("ready", None)


async def test_while_the_vendor_is_away_what_was_known_counts(
    deployments: Deployments, api: FakeApi, clock: Clock
) -> None:
    await deployments.get("dpl_a")
    api.now = UpstreamLost("Vercel does not answer", 5)
    clock.now += 10
    assert (await deployments.get("dpl_a")).state == "building"
    with pytest.raises(UpstreamLost):
        await deployments.get("dpl_unknown")


async def test_who_leaves_takes_nothing_from_the_others(
    deployments: Deployments, api: FakeApi
) -> None:
    leaver = asyncio.create_task(deployments.get("dpl_a"))
    stayer = asyncio.create_task(deployments.get("dpl_a"))
    await asyncio.sleep(0)
    leaver.cancel()
    assert (await stayer).state == "building"


async def test_a_host_name_is_resolved_and_remembered(
    deployments: Deployments, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = Clock()
    monkeypatch.setattr(deployments_module, "monotonic", ticks)
    for _ in range(3):
        assert await deployments.resolve("shop.vercel.app") == "dpl_a"
    assert await deployments.resolve("dpl_b") == "dpl_b"
    assert api.asked == ["shop.vercel.app"]
    ticks.now += 61
    api.now = replace(BUILDING, id="dpl_new")
    assert await deployments.resolve("shop.vercel.app") == "dpl_new"
    for number in range(deployments_module.MAX_HOSTS + 5):
        await deployments.resolve(f"h{number}.vercel.app")
    assert len(deployments._hosts) == deployments_module.MAX_HOSTS
    with pytest.raises(InvalidRequest):
        await deployments.resolve("no host")


async def test_a_code_is_given_until_it_expires(
    deployments: Deployments, api: FakeApi, clock: Clock
) -> None:
    api.now = READY
    await deployments.publish(SITE, "ada")
    first = await deployments.claim("dpl_a")
    again = await deployments.claim("dpl_a", "https://b.example/back")
    assert first.transfer_code == again.transfer_code == "code1"
    assert first.transfer_expires == int((NOW + 24 * 3600) * 1000)
    assert again.claim_url is not None
    assert again.claim_url.endswith("?code=code1&returnUrl=https%3A%2F%2Fb.example%2Fback")
    clock.now += 24 * 3600
    assert (await deployments.claim("dpl_a")).transfer_code == "code2"


async def test_all_who_claim_at_once_get_the_same_code(
    deployments: Deployments, api: FakeApi
) -> None:
    api.now = READY
    await deployments.publish(SITE, "ada")
    claims = await asyncio.gather(*(deployments.claim("dpl_a") for _ in range(5)))
    assert len({claim.transfer_code for claim in claims}) == 1


async def test_only_what_was_published_here_is_handed_over(
    deployments: Deployments, api: FakeApi
) -> None:
    api.now = READY
    with pytest.raises(Forbidden):
        await deployments.claim("dpl_a")
    assert api.codes == 0


async def closed_log(store: Store) -> None:
    await store.log.append("deploy:dpl_a", [NewEvent("log", "{}")], close=True)


async def test_an_old_log_is_forgotten_when_somebody_wants_it(
    deployments: Deployments, store: Store, api: FakeApi, clock: Clock
) -> None:
    api.now = READY
    await closed_log(store)
    await deployments.open("dpl_a")
    assert (await store.log.describe("deploy:dpl_a")).exists
    clock.now += 3601
    await deployments.open("dpl_a")
    assert not (await store.log.describe("deploy:dpl_a")).exists
    assert await store.records.get(UNSETTLED, "dpl_a") is not None, "the sweep forgets it again"


async def end_blocked(store: Store, api: FakeApi) -> None:
    """Have a deployment blocked, and its log at its end with that."""
    api.now = replace(BUILDING, ready_state="BLOCKED", error="no seat")
    last = Telling.parse(None).last(api.now, lost=False)
    await store.log.append("deploy:dpl_a", last.events, close=True)


@pytest.mark.parametrize("by_sweep", [False, True], ids=["opened", "swept"])
@pytest.mark.parametrize("now", [BUILDING, READY], ids=["building", "ready"])
async def test_a_log_that_ended_blocked_is_forgotten_once_its_deployment_is_let_go_on(
    deployments: Deployments,
    store: Store,
    api: FakeApi,
    clock: Clock,
    now: Snapshot,
    by_sweep: bool,
) -> None:
    async def looked_at() -> bool:
        clock.now += 10
        await (deployments.sweep() if by_sweep else deployments.open("dpl_a"))
        return (await store.log.describe("deploy:dpl_a")).exists

    await end_blocked(store, api)
    await deployments.get("dpl_a")
    assert await looked_at(), "it is blocked still"
    api.now = now
    assert not await looked_at()


@pytest.mark.parametrize(
    "last",
    [
        NewEvent("failure", "{}"),
        NewEvent("log", '{"readyState":"BLOCKED"}'),
        NewEvent("state", '{"readyState":"READY"}'),
        NewEvent("state", "BLOCKED"),
    ],
    ids=["given-up", "said", "ready", "odd"],
)
async def test_a_log_that_ended_otherwise_stays(
    deployments: Deployments, store: Store, last: NewEvent
) -> None:
    await store.log.append("deploy:dpl_a", [last], close=True)
    await deployments.open("dpl_a")
    await deployments.sweep()
    assert (await store.log.describe("deploy:dpl_a")).exists


async def test_the_sweep_settles(
    deployments: Deployments, store: Store, api: FakeApi, clock: Clock
) -> None:
    def swept(state: str) -> list[dict[str, object]]:
        return [{"stream": "deploy:dpl_a", "kind": "deployments", "state": state}]

    await deployments.publish(SITE, "ada")
    clock.now += 10
    assert await deployments.sweep() == swept("building")
    api.now = READY
    clock.now += 10
    await closed_log(store)
    assert await deployments.sweep() == []
    record = await store.records.get(KIND, "dpl_a")
    assert record is not None
    assert Deployment.parse(record.value).state == "ready", "nobody else asked"
    clock.now += 3601
    assert await deployments.sweep() == swept("forgotten")
    assert not (await store.log.describe("deploy:dpl_a")).exists
    asked = len(api.asked)
    assert await deployments.sweep() == []
    assert len(api.asked) == asked
    assert await store.records.get(KIND, "dpl_a") is not None, "status and codes stay"


async def test_the_sweep_passes_over_what_is_gone_or_away(
    deployments: Deployments, store: Store, api: FakeApi, clock: Clock
) -> None:
    await deployments.publish(SITE, "ada")
    clock.now += 10
    api.now = UpstreamLost("away")
    assert (await deployments.sweep())[0]["state"] == "building"
    clock.now += 10
    api.now = ApiRefused("not yours", 403)
    assert (await deployments.sweep())[0]["state"] == "forbidden"
    clock.now += 10
    api.now = ApiRefused("deleted", 404)
    assert (await deployments.sweep())[0]["state"] == "gone"
    assert await store.records.get(UNSETTLED, "dpl_a") is None


@pytest.mark.parametrize(
    "trouble",
    [
        ApiRefused("odd, said the vendor", 400),
        ApiRefused("who are you, said the vendor", 401),
        UpstreamLost("away, said the vendor"),
        ValueError("said nobody"),
    ],
    ids=["refused", "unknown", "away", "unforeseen"],
)
async def test_one_that_fails_keeps_no_other_from_the_sweep(
    deployments: Deployments,
    store: Store,
    api: FakeApi,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    trouble: Exception,
) -> None:
    await DeploymentRecords(store).unsettle("dpl_0")
    api.troubles["dpl_0"] = trouble
    await deployments.publish(SITE, "ada")
    clock.now += 10
    assert await deployments.sweep() == [
        {"stream": "deploy:dpl_0", "kind": "deployments", "state": "failed"},
        {"stream": "deploy:dpl_a", "kind": "deployments", "state": "building"},
    ]
    assert f"dpl_0 is not settled: {trouble}" in caplog.text
    assert ("Traceback" in caplog.text) == isinstance(trouble, ValueError)
    assert await store.records.get(UNSETTLED, "dpl_0") is not None, "the next sweep tries again"


async def test_trouble_of_the_store_is_the_whole_sweeps(store: Store, api: FakeApi) -> None:
    deployments = Deployments(Trouble(before=1, only="get").over(store), api, Pumps(store).forget)
    for id in ("dpl_0", "dpl_a"):
        await DeploymentRecords(store).unsettle(id)
    with pytest.raises(StoreUnavailable):
        await deployments.sweep()
    assert api.asked == []


async def test_what_was_followed_only_is_not_kept_for_ever(
    deployments: Deployments, store: Store, api: FakeApi, clock: Clock
) -> None:
    await deployments.get("dpl_a")
    api.now = replace(READY, id="dpl_b")
    await deployments.publish(SITE, "ada")
    clock.now += FOLLOWED_SECONDS + 1
    assert await store.records.get(KIND, "dpl_a") is None
    assert await store.records.get(KIND, "dpl_b") is not None


async def test_the_ledger_never_raises(
    deployments: Deployments, store: Store, api: FakeApi
) -> None:
    ledger = DeploymentRecords(store)
    await ledger.note(BUILDING)
    await ledger.note(READY)
    assert (await deployments.get("dpl_a")).state == "ready"
    assert api.asked == [], "what the pump has seen is known"
    await ledger.note_took("prj_a", Took(42.5, 120))
    assert await ledger.last_took("prj_a") == Took(42.5, 120)
    away = DeploymentRecords(Trouble(before=99).over(store))
    await away.note(READY)
    await away.note_took("prj_a", Took(1, 1))
    assert await away.last_took("prj_a") is None


async def test_two_who_write_a_record_at_once_both_succeed(store: Store) -> None:
    met = 0
    put = store.records.put

    async def meddled(kind: str, id: str, value: str, **more: Any) -> Record:
        nonlocal met
        if kind == KIND and met < 3 and more.get("expect") is not None:
            met += 1
            await put(kind, id, Deployment.of(BUILDING, "ada").text)
        return await put(kind, id, value, **more)

    change: Callable[..., Any] = meddled
    store.records.put = change  # type: ignore[method-assign]
    await DeploymentRecords(store).note(READY)
    record = await store.records.get(KIND, "dpl_a")
    assert record is not None
    found = Deployment.parse(record.value)
    assert (found.state, found.publisher) == ("ready", "ada")


async def test_trouble_of_the_store_is_the_callers(store: Store, api: FakeApi) -> None:
    deployments = Deployments(Trouble(before=1).over(store), api, Pumps(store).forget)
    with pytest.raises(StoreUnavailable):
        await deployments.get("dpl_a")
