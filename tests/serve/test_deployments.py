"""Deployments over HTTP: published, followed by many, asked for, handed over; by whom."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import combinations
from time import time
from typing import Any

import jwt
import pytest

from functions import deployments as function
from functions.deployments import resume, routes, sweep
from infra.local.vercel_api import Chaos, Line, Phase, Script, Truth, VercelApi
from lastevent.core.errors import ConfigError, NotFound
from lastevent.core.wire import Message
from lastevent.serve.live import pumps
from lastevent.serve.settings import Settings
from lastevent.services import deployments as deployments_module
from lastevent.services.deployments import Deployments
from lastevent.sources.vercel.api import VENDOR
from lastevent.sources.vercel.logs import Pace
from tests.infra.vendor_case import SAME_MS, SCRIPT, TAIL, TEXTS
from tests.serve.running import WAIT_SECONDS, Running, Serve, any_store, state

SECRET = "s" * 40
SPEED = 40
FILES = [{"file": "index.html", "data": "<h1>Hi</h1>"}]
SITE = {"name": "shop", "files": FILES}

ServeDeployments = Callable[..., Awaitable[Running]]

QUICK = Pace(poll=0.1, look=0.2, quiet=0.6, announced=0.6)

LET_GO_ON = Script(
    phases=(Phase(0, "BLOCKED"), Phase(3.0, "BUILDING"), Phase(3.6, "READY")),
    lines=tuple(Line(3.0 + number / 20, f"line {number}") for number in range(10)),
    reason="Nobody has let it go on yet.",
)


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VercelApi]:
    """The vendor's API, for all tests of this module."""
    with VercelApi(tmp_path_factory.mktemp("vercel")) as api:
        yield api


@pytest.fixture
async def vercel(vendor: VercelApi) -> AsyncIterator[VercelApi]:
    """The same without faults and counts."""
    await vendor.forget_calls()
    await vendor.play_next("next", speed=SPEED)
    yield vendor
    await vendor.clear_faults()


@pytest.fixture
def serve_deployments(
    serve: Serve, vercel: VercelApi, monkeypatch: pytest.MonkeyPatch
) -> ServeDeployments:
    """Return a function that starts a server that may use the vendor's API, at a quick pace."""

    def quick(*args: Any, **options: Any) -> Deployments:
        return Deployments(*args, **options, pace=QUICK)

    monkeypatch.setattr(function, "Deployments", quick)

    async def start(**changes: Any) -> Running:
        known = {"vercel_token": vercel.token, "vercel_api_url": vercel.url}
        return await serve(routes=routes, **known | changes)

    return start


def token(**claims: object) -> dict[str, str]:
    claims = {"sub": "u", "exp": time() + 60} | claims
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


def path(id: str, what: str) -> str:
    return f"/api/deploy/vercel/{id}/{what}"


async def follow(server: Running, id: str) -> list[Message]:
    """Return all that a viewer sees until the end."""
    async with server.leg(path(id, "stream")) as leg:
        assert leg.answer.status_code == 200, await leg.answer.aread()
        return await leg.until("end")


def lines(messages: list[Message]) -> list[dict[str, Any]]:
    logs = [json.loads(message.data) for message in messages if message.type == "log"]
    return [line for line in logs if line["id"].startswith("evt_")]


def check_lines(messages: list[Message], truth: Truth) -> None:
    """Each line once, after all that precede it, but for one that was not to be seen when a line
    that follows it was."""
    told = [line["id"] for line in lines(messages)]
    assert sorted(told) == sorted(truth.ids)
    places = {line.id: (place, line.visible) for place, line in enumerate(truth.lines)}
    for before, after in combinations(told, 2):
        (place, seen), (later_place, later_seen) = places[before], places[after]
        assert place < later_place or seen < later_seen, (before, after)


async def test_publish_follow_ask_and_hand_over(
    serve_deployments: ServeDeployments, vercel: VercelApi
) -> None:
    server = await serve_deployments()
    answer = await server.client.post("/api/deploy/vercel", json=SITE)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["state"] == "building"
    assert made["url"].startswith("https://shop-")
    assert (await server.client.get(made["links"]["status"])).json()["state"] == "building"

    views = await asyncio.gather(*(follow(server, made["id"]) for _ in range(3)))
    truth = await vercel.truth(made["id"])
    for messages in views:
        assert [line["id"] for line in lines(messages)] == truth.ids
        *_, last, end = messages
        assert state(end)["state"] == "end"
        told = json.loads(last.data)
        assert (last.type, told["readyState"], told["over"]) == ("state", "READY", True)
    report = await vercel.calls()
    assert report.most_at_once["events"] == 1
    assert report.counts["events"] < 40, "three viewers are one poller"

    status = await server.client.get(made["links"]["status"])
    assert status.json() == {
        "id": made["id"],
        "state": "ready",
        "readyState": "READY",
        "url": made["url"],
    }
    assert status.headers["cache-control"] == "no-store"
    code = (await server.client.post(made["links"]["claim"])).json()
    assert code["claimUrl"] == f"https://vercel.com/claim-deployment?code={code['code']}"
    back = {"returnUrl": "https://c.example/back"}
    again = (await server.client.post(made["links"]["claim"], json=back)).json()
    assert again["code"] == code["code"]
    assert "returnUrl=https%3A%2F%2Fc.example%2Fback" in again["claimUrl"]


@any_store
async def test_it_goes_on_where_another_server_left_off(
    serve_deployments: ServeDeployments, vercel: VercelApi
) -> None:
    chaos = Chaos(late=0.3, tail=0.5, same_ms=3, shape="mixed", duplicates=0.1, echo=0.3)
    server = await serve_deployments()
    made = await vercel.deploy("next", speed=20, chaos=chaos)
    await vercel.fault("status", operations=["events"], status=429, retry_after=0.3, times=1)
    await vercel.fault("cut", operations=["events"], probability=0.1, times=3)
    async with server.leg(path(made.id, "stream")) as leg:
        messages = await leg.notes(20)
    await pumps(server.service).rest()  # as a function does that may be frozen
    cursor = messages[-1].id
    async with server.leg(path(made.id, "stream"), last_event_id=cursor) as leg:
        messages += await leg.until("end")
    truth = await vercel.truth(made.id)
    check_lines(messages, truth)


@any_store
async def test_nothing_is_lost_or_doubled_where_the_vendors_follower_does_both(
    serve_deployments: ServeDeployments, vercel: VercelApi
) -> None:
    """What that one makes of it is in tests/infra/test_vercel_api_cli.py."""
    server = await serve_deployments()
    chaos = Chaos(
        shape="mixed",
        tail=1.0,
        tail_lines=TAIL,
        same_ms=SAME_MS,
        duplicates=0.3,
        echo=0.3,
        shuffled=True,
    )
    made = await vercel.deploy(SCRIPT, speed=6, chaos=chaos)
    messages: list[Message] = []
    async with server.leg(path(made.id, "stream")) as leg:

        async def tell(count: int) -> None:
            while len(lines(messages)) < count:
                messages.extend(await leg.notes(1))

        # Each of these meets the poll that comes next.
        for count in (20, 50, 80, len(TEXTS) - TAIL + 2):
            await tell(count)
            await vercel.fault("cut", operations=["events"], times=1)
            await tell(count + 1)
            await vercel.fault("delay", operations=["events"], seconds=0.2, times=1)
        await vercel.fault("status", operations=["events"], status=429, retry_after=0.3, times=1)
        messages += await leg.until("end")
    truth = await vercel.truth(made.id)
    assert [line["id"] for line in lines(messages)] == truth.ids
    assert [line["text"] for line in lines(messages)] == TEXTS
    states = [json.loads(message.data) for message in messages if message.type == "state"]
    assert states[-1]["over"] is True


@any_store
async def test_one_that_was_blocked_has_a_log_once_it_is_let_go_on(
    serve_deployments: ServeDeployments, vercel: VercelApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever watched it had come to an end. It is seen again as it is built, and afterwards."""
    monkeypatch.setattr(deployments_module, "FRESH_SECONDS", 0.1)
    server = await serve_deployments()

    async def becomes(id: str, state: str) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while (await server.client.get(path(id, "status"))).json()["state"] != state:
                await asyncio.sleep(0.05)

    building, built = [(await vercel.deploy(LET_GO_ON)).id for _ in range(2)]
    ends = await asyncio.gather(follow(server, building), follow(server, built))
    for *_, last, _ in ends:
        told = json.loads(last.data)
        assert (told["state"], told["over"], told["error"]) == ("blocked", True, LET_GO_ON.reason)
    for id, end in zip((building, built), ends, strict=True):
        async with server.leg(path(id, "stream"), last_event_id=end[-1].id) as leg:
            assert leg.answer.status_code == 204, "as long as it is blocked, that is all"

    await becomes(building, "building")
    views = [await follow(server, building)]
    await becomes(built, "ready")
    async with server.leg(path(built, "stream"), last_event_id=ends[1][-1].id) as leg:
        views.append(await leg.until("end"))  # who had seen the end sees what followed
    for id, messages in zip((building, built), views, strict=True):
        assert [line["id"] for line in lines(messages)] == (await vercel.truth(id)).ids
        told = json.loads(messages[-2].data)
        assert (told["readyState"], told["over"]) == ("READY", True)


@any_store
async def test_what_fails_says_why(serve_deployments: ServeDeployments, vercel: VercelApi) -> None:
    server = await serve_deployments()
    made = await vercel.deploy("failing", speed=SPEED)
    *_, last, _ = await follow(server, made.id)
    told = json.loads(last.data)
    assert (told["state"], told["error"]) == ("error", 'Command "npm run build" exited with 1')
    status = (await server.client.get(path(made.id, "status"))).json()
    assert (status["state"], status["error"]) == ("error", told["error"])


@any_store
async def test_a_log_is_fetched_again_when_it_has_been_forgotten(
    serve_deployments: ServeDeployments, vercel: VercelApi
) -> None:
    server = await serve_deployments()
    made = await vercel.deploy("next", speed=SPEED, age=3600)
    first = await follow(server, made.id)
    calls = (await vercel.calls()).counts["events"]
    assert lines(await follow(server, made.id)) == lines(first)
    assert (await vercel.calls()).counts["events"] == calls, "it was there"

    server = await serve_deployments(deployment_log_seconds=0.0)
    assert lines(await follow(server, made.id)) == lines(first)
    assert (await vercel.calls()).counts["events"] > calls
    assert (await sweep(server.service))[0]["state"] == "forgotten"
    extent = await server.service.store.log.describe(f"deploy:{made.id}")
    assert not extent.exists
    assert (await server.client.get(path(made.id, "status"))).json()["state"] == "ready"


@any_store
async def test_a_host_name_leads_to_its_deployment(
    serve_deployments: ServeDeployments, vercel: VercelApi
) -> None:
    server = await serve_deployments()
    made = await vercel.deploy("next", speed=SPEED, age=3600)
    status = (await server.client.get(path(made.url, "status"))).json()
    assert status["id"] == made.id
    assert len(lines(await follow(server, made.url))) > 100


@any_store
@pytest.mark.parametrize(
    ("id", "status"),
    [("dpl_nope", 404), ("nothing.vercel.app", 404), ("no-id", 400), ("dpl_a.b", 400)],
)
async def test_what_is_not_there(serve_deployments: ServeDeployments, id: str, status: int) -> None:
    server = await serve_deployments()
    for method, what in [("GET", "status"), ("GET", "stream"), ("POST", "claim")]:
        answer = await server.client.request(method, path(id, what))
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    assert await server.service.store.records.query("sources") == []


@any_store
async def test_what_is_not_ours(serve_deployments: ServeDeployments, vercel: VercelApi) -> None:
    server = await serve_deployments(vercel_token=vercel.stranger_token)
    made = await vercel.deploy("next", speed=SPEED)
    for what in ("status", "stream"):
        answer = await server.client.get(path(made.id, what))
        assert answer.status_code == 403, answer.text
        assert vercel.stranger_token not in answer.text


@any_store
async def test_a_team(serve_deployments: ServeDeployments, vercel: VercelApi) -> None:
    made = await vercel.deploy("next", speed=SPEED, team=True)
    server = await serve_deployments(vercel_team_id=vercel.team)
    assert (await server.client.get(path(made.id, "status"))).status_code == 200


@any_store
async def test_a_wrong_token_is_the_servers_fault(
    serve_deployments: ServeDeployments, vercel: VercelApi
) -> None:
    server = await serve_deployments(vercel_token="wrong-token-12345")
    made = await vercel.deploy("next", speed=SPEED)
    answer = await server.client.get(path(made.id, "status"))
    assert answer.status_code == 502
    assert answer.json()["type"] == "urn:lastevent:problem:upstream-refused"
    assert "VERCEL_TOKEN" in answer.json()["detail"]
    assert "wrong-token" not in answer.text


@any_store
async def test_without_a_token_there_is_nothing(serve_deployments: ServeDeployments) -> None:
    server = await serve_deployments(vercel_token=None)
    for method, url in [
        ("POST", "/api/deploy/vercel"),
        ("GET", path("dpl_a", "status")),
        ("GET", path("dpl_a", "stream")),
    ]:
        answer = await server.client.request(method, url, json=SITE)
        assert answer.status_code == 404
        assert "VERCEL_TOKEN" in answer.json()["detail"]
    assert await sweep(server.service) == ()


@any_store
async def test_while_the_vendor_is_away(
    serve_deployments: ServeDeployments, vercel: VercelApi
) -> None:
    server = await serve_deployments()
    made = await vercel.deploy("next", speed=SPEED)
    await vercel.fault("status", status=429, retry_after=3)
    answer = await server.client.get(path(made.id, "status"))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "3"
    async with server.leg(path(made.id, "stream")) as leg:
        assert leg.answer.status_code == 200, "a 5xx would end a native client for good"
        await leg.until("error")
    assert await server.service.store.records.query("sources") == [], "it may not exist"
    await vercel.clear_faults()
    assert (await server.client.get(path(made.id, "status"))).status_code == 200
    await vercel.fault("status", status=503, times=4)
    messages = await follow(server, made.id)
    assert [line["id"] for line in lines(messages)] == (await vercel.truth(made.id)).ids


@any_store
@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"name": "shop"}, "either"),
        ({"name": "Shop", "files": FILES}, "name"),
        ({"name": "shop", "files": [{"file": "../x", "data": ""}]}, "path"),
        ({"name": "shop", "files": [{"file": "x", "data": "?", "encoding": "base64"}]}, "data"),
        ({"name": "shop", "files": [{"file": "x"}]}, "files.0.data"),
        ({"name": "shop", "files": FILES, "env": {}}, "env"),
        ({"name": "shop", "gitSource": {"type": "svn"}}, "gitSource.type"),
        ([], ""),
    ],
)
async def test_what_cannot_be_published(
    serve_deployments: ServeDeployments, vercel: VercelApi, body: object, detail: str
) -> None:
    server = await serve_deployments()
    answer = await server.client.post("/api/deploy/vercel", json=body)
    assert answer.status_code == 400
    assert detail in answer.json()["detail"]
    assert "create" not in (await vercel.calls()).counts


@any_store
async def test_a_git_source_and_a_large_file(
    serve_deployments: ServeDeployments, vercel: VercelApi
) -> None:
    server = await serve_deployments()
    source = {"type": "github", "org": "example", "repo": "shop", "ref": "main"}
    for more in (
        {"gitSource": source, "target": "production"},
        {"files": [{"file": "large.txt", "data": "x" * 100_000}], "target": "preview"},
    ):
        answer = await server.client.post("/api/deploy/vercel", json={"name": "shop", **more})
        assert answer.status_code == 201, answer.text
    assert (await vercel.calls()).counts["upload"] == 1


@any_store
@pytest.mark.parametrize(
    "address",
    [
        *(
            "javascript:alert(1)",
            "http://c.example/",
            "//c.example",
            "https://",
            "",
            "https://a b/",
        ),
        "https://c.example/" + "x" * 2000,
    ],
)
async def test_where_nobody_is_sent_back_to(
    serve_deployments: ServeDeployments, address: str
) -> None:
    server = await serve_deployments()
    body = {"returnUrl": address}
    answer = await server.client.post(path("dpl_a", "claim"), json=body)
    assert answer.status_code == 400
    assert "returnUrl" in answer.json()["detail"]


@any_store
async def test_who_may_do_what(serve_deployments: ServeDeployments, vercel: VercelApi) -> None:
    server = await serve_deployments(development=False, auth_secret=SECRET)
    client = server.client
    operator = token(read=["deploy:*"], append=["deploy:*"], sub="ada")
    made = (await client.post("/api/deploy/vercel", json=SITE, headers=operator)).json()
    id, stream = made["id"], f"deploy:{made['id']}"
    await vercel.forget_calls()

    async def statuses(headers: dict[str, str]) -> list[int]:
        calls = [
            ("POST", "/api/deploy/vercel", SITE),
            ("GET", path(id, "status"), None),
            ("POST", path(id, "claim"), None),
        ]
        return [
            (await client.request(method, url, json=body, headers=headers)).status_code
            for method, url, body in calls
        ]

    assert await statuses({}) == [401] * 3
    assert await statuses(token(read=["other:*"], append=["other:*"])) == [403] * 3
    assert (await client.get(path(id, "stream"), headers=token(read=["o:*"]))).status_code == 403
    host = made["url"].removeprefix("https://")
    assert (await client.get(path(host, "status"), headers=token(read=["o:*"]))).status_code == 403
    assert (await vercel.calls()).counts == {}, "the vendor is not asked for those who may not"
    assert await statuses(token(read=[stream])) == [403, 200, 403]
    assert await statuses(token(read=[stream], append=[stream])) == [403, 200, 200]
    answer = await client.get(path(host, "status"), headers=token(read=["deploy:dpl_other"]))
    assert answer.status_code == 403
    answer = await client.get(path(host, "status"), headers=token(read=["dep*"]))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("VERCEL_TOKEN", "two words-123"),
        ("VERCEL_TOKEN", "short"),
        ("VERCEL_TEAM_ID", "my team"),
        ("VERCEL_API_URL", "http://api.example.com"),
        ("LASTEVENT_DEPLOYMENT_LOG_SECONDS", "1"),
    ],
)
def test_a_setting_that_cannot_be_right(variable: str, value: str) -> None:
    environ = {"LASTEVENT_STORE_URL": "memory://", variable: value}
    with pytest.raises(ConfigError, match=variable) as caught:
        Settings.from_env(environ, bind_host="127.0.0.1")
    assert variable != "VERCEL_TOKEN" or value not in str(caught.value)


def test_settings() -> None:
    environ = {
        "LASTEVENT_STORE_URL": "memory://",
        "VERCEL_TOKEN": "token-123456",
        "VERCEL_TEAM_ID": "team_a",
        "VERCEL_API_URL": "http://127.0.0.1:8080",
    }
    settings = Settings.from_env(environ, bind_host="127.0.0.1")
    assert settings.vercel_token == "token-123456"
    assert "token-123456" not in repr(settings)
    assert Settings().vercel_api_url == VENDOR


@any_store
async def test_what_the_sweep_can_make_again(serve_deployments: ServeDeployments) -> None:
    server = await serve_deployments()
    live = await resume(server.service, "deploy:dpl_a")
    assert (live.stream, live.kind) == ("deploy:dpl_a", "deployments")
    for stream in ("deploy:shop.vercel.app", "job:a"):
        with pytest.raises(NotFound):
            await resume(server.service, stream)
