"""Jobs over HTTP: who may follow one, what viewers see, and how many connections that takes."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from time import time
from typing import Any

import jwt
import pytest

from functions.jobs import KIND, resume, routes
from infra.local.job_service.jobs import Faults
from infra.local.job_service.service import JobService
from lastevent.core.errors import InvalidName, NotFound
from lastevent.core.event import NewEvent
from lastevent.core.wire import Message
from lastevent.serve import live
from lastevent.serve.invocation import Invocation
from lastevent.serve.live import pumps, sweep
from lastevent.sources.keeper import Live
from lastevent.sources.pumps import Pumps
from tests.serve.running import WAIT_SECONDS, LegReader, Running, Serve, any_store, state
from tests.sources.job_service import KEY, serving, upstream
from tests.sources.scripted import Scripted

SECRET = "s" * 40
PATH = "/api/jobs/7/progress"
OWN = ("stream", "heartbeat")

ServeJobs = Callable[..., Awaitable[Running]]


@pytest.fixture
async def service() -> JobService:
    """A service that knows job 7 and says when somebody has joined it."""
    service = JobService(KEY, acknowledges=True, forbidden=frozenset({"mallory"}))
    service.job("7")
    return service


@pytest.fixture
async def url(service: JobService) -> AsyncIterator[str]:
    async with serving(service) as url:
        yield url


@pytest.fixture
def serve_jobs(serve: Serve, url: str) -> ServeJobs:
    """Return a function that starts a server for the service's jobs, with more of its settings."""

    async def start(*, checked: bool = False, **changes: Any) -> Running:
        environ = {"JOBS_UPSTREAM_KEY": KEY, "JOBS_TYPES": "joined=joined"}
        if checked:
            environ["JOBS_CHECK_URL"] = f"{url}/jobs/{{job}}/access?user={{user}}"
        jobs = upstream(f"{url}/ws", **environ)
        return await serve(routes=routes, **{"jobs": jobs} | changes)

    return start


def token(sub: str = "u", **claims: object) -> dict[str, str]:
    claims = {"sub": sub, "exp": time() + 60} | claims
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


async def joined(service: JobService, connections: int = 1) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while len(service.job("7").open) != connections:
            await asyncio.sleep(0.005)


def data(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.data)
    return found


async def until(leg: LegReader, type: str) -> list[Message]:
    """Return the next events up to the first of this type."""
    found: list[Message] = []
    while not found or found[-1].type != type:
        found += await leg.notes(1)
    return found


async def test_a_job_is_followed_to_its_end(
    serve_jobs: ServeJobs, service: JobService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lastevent")
    server = await serve_jobs()
    async with server.leg(PATH) as leg:
        await joined(service)
        await service.say("7", type="progress", progress=30, message="Reading prices")
        (progress,) = await leg.notes(1)
        assert progress.type == "progress"
        assert (data(progress)["progress"], data(progress)["message"]) == (30, "Reading prices")
        await service.say("7", type="completed")
        messages = await leg.until("end")
        assert [it.type for it in messages] == ["done", "stream"]
        cursor = messages[-1].id
    await joined(service, 0)
    again = await server.client.get(PATH, headers={"Last-Event-ID": cursor or ""})
    assert again.status_code == 204
    assert service.job("7").most == 1
    told = [message for message in caplog.messages if "job" in message or "API" in message]
    assert told[:4] == [
        "SSE Progress API called",
        "Client joining import job: 7",
        "Connected to external service for job: 7",
        "Forwarding progress update for job: 7",
    ]


@any_store
async def test_ten_viewers_are_one_connection(serve_jobs: ServeJobs, service: JobService) -> None:
    server = await serve_jobs()
    async with AsyncExitStack() as stack:
        legs = [await stack.enter_async_context(server.leg(PATH)) for _ in range(10)]
        for leg in legs:
            await leg.until("live")
        await joined(service)
        for number in range(20):
            await service.say("7", type="progress", progress=number)
        await service.say("7", type="completed")
        for leg in legs:
            messages = [it for it in await leg.until("end") if it.type not in OWN]
            assert [it.type for it in messages] == ["progress"] * 20 + ["done"]
            assert [data(it)["data"]["seq"] for it in messages] == list(range(1, 22))
    job = service.job("7")
    assert (job.most, len(job.all)) == (1, 1)


async def test_a_cut_is_said_with_its_gap(serve_jobs: ServeJobs, service: JobService) -> None:
    server = await serve_jobs()
    async with server.leg(PATH) as leg:
        await joined(service)
        await service.say("7", type="progress", progress=1)
        await leg.notes(1)
        service.faults = Faults(status=503)
        service.cut("7")
        (lost,) = await leg.notes(1)
        assert (lost.type, data(lost)["state"]) == ("upstream", "lost")
        await service.say("7", type="progress", progress=2)  # nobody hears it
        service.faults = Faults()
        back = await until(leg, "upstream")
        assert data(back[-1])["state"] == "back"
        await service.say("7", type="progress", progress=3)
        await service.say("7", type="failed", error="No such shop")
        events = [*back, *await until(leg, "failed")]
    (gap,) = [data(it) for it in events if it.type == "gap"]
    missed = service.job("7").said[1]
    assert gap["from"] <= missed["at"] <= gap["to"]
    told = [data(it)["data"]["seq"] for it in events if it.type in ("progress", "failed")]
    assert told == [3, 4]
    assert service.job("7").most == 1


async def test_a_job_that_is_refused_is_a_failure_that_is_told(
    serve_jobs: ServeJobs, service: JobService
) -> None:
    service.faults = Faults(close=4403, reason=f"not with {KEY}")
    server = await serve_jobs()
    async with server.leg(PATH) as leg:
        messages = await leg.until("end")
    failure = data(messages[-2])
    assert messages[-2].type == "failure"
    assert "refuses job 7 (4403 not with [redacted])" in failure["error"]


@any_store
async def test_a_job_that_failed_is_tried_again_for_who_comes_anew(
    serve_jobs: ServeJobs, service: JobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its service may know it by now, or a setting have been mended."""
    server = await serve_jobs()
    service.faults = Faults(close=4404)
    async with server.leg(PATH) as leg:
        [failure] = await leg.notes(1)
        assert failure.type == "failure"
        await leg.until("end")
    service.faults = Faults()
    async with server.leg(PATH) as leg:
        assert [it.type for it in await leg.notes(1)] == ["failure"], "not so soon"
    monkeypatch.setattr(live, "RETRY_SECONDS", 0.0)
    async with server.leg(PATH, Last_Event_ID=failure.id) as leg:
        assert leg.answer.status_code == 204, "who has read it all does not begin it anew"
    async with server.leg(PATH) as leg:
        await leg.until("live")
        await joined(service, 1)
        await joined(service)
        await service.say("7", type="completed")
        assert [it.type for it in await leg.notes(1)] == ["done"]


async def test_who_pumps_is_held_whatever_that_costs(
    serve_jobs: ServeJobs, service: JobService
) -> None:
    """A leg that only looks would connect upstream and leave again each time."""
    billed = Invocation(held_is_billed=True, may_freeze=True)
    server = await serve_jobs(policy="cost", bounds=lambda: billed)
    async with server.leg(PATH) as leg:
        await leg.until("live")
        await joined(service)
        ending = asyncio.create_task(leg.until("end"))
        await asyncio.sleep(0.3)
        assert not ending.done()
        await service.say("7", type="completed")
        await ending
    assert service.job("7").most == 1


async def test_where_the_process_may_freeze_the_upstream_is_left_before_the_last_byte(
    serve_jobs: ServeJobs, service: JobService
) -> None:
    bounds = Invocation(may_freeze=True)
    server = await serve_jobs(max_leg_seconds=1.5, bounds=lambda: bounds)
    async with server.leg(PATH) as leg:
        await leg.until("live")
        await joined(service)
        ending = asyncio.create_task(leg.until("rotate"))
        await joined(service, 0)
        assert not ending.done()
        await ending


async def test_a_token_that_names_the_job(serve_jobs: ServeJobs, service: JobService) -> None:
    server = await serve_jobs(development=False, auth_secret=SECRET)
    assert (await server.client.get(PATH)).status_code == 401
    for read in ([], ["job:8"], ["7"]):
        assert (await server.client.get(PATH, headers=token(read=read))).status_code == 403
    assert service.job("7").all == [], "nobody was connected for those"
    async with server.leg(PATH, **token(read=["job:7"])) as leg:
        assert leg.answer.status_code == 200
        await joined(service)


@any_store
async def test_the_service_says_who_may_see_a_job(
    serve_jobs: ServeJobs, service: JobService
) -> None:
    server = await serve_jobs(checked=True, development=False, auth_secret=SECRET)
    answer = await server.client.get(PATH, headers=token("mallory"))
    assert (answer.status_code, answer.json()["title"]) == (403, "Not allowed")
    answer = await server.client.get("/api/jobs/8/progress", headers=token("alice"))
    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no job 8")
    assert service.job("7").all == []
    for _ in range(3):
        async with server.leg(PATH, **token("alice & co")) as leg:
            assert leg.answer.status_code == 200
            await leg.until("live")
    assert service.checks == [("7", "mallory"), ("7", "alice & co")], "asked once for a while"
    # Another way in is not opened by it.
    assert (await server.client.get(PATH, headers=token("mallory"))).status_code == 403


@any_store
async def test_who_is_named_may_see_what_exists_or_existed(
    serve_jobs: ServeJobs, service: JobService
) -> None:
    server = await serve_jobs(checked=True, development=False, auth_secret=SECRET)
    named = token("mallory", read=["job:*"])
    async with server.leg(PATH, **named) as leg:
        assert leg.answer.status_code == 200
    assert (await server.client.get("/api/jobs/8/progress", headers=named)).status_code == 404
    done = [NewEvent("done", "{}")]
    await server.service.store.log.append("job:8", done, close=True)
    async with server.leg("/api/jobs/8/progress", **named) as leg:
        assert [it.type for it in await leg.until("end")][-2:] == ["done", "stream"]
    answer = await server.client.get("/api/jobs/8/progress", headers=token("alice"))
    assert answer.status_code == 404, "whom no token names learns nothing of it"


@any_store
async def test_a_check_that_is_not_answered_keeps_its_client(
    serve_jobs: ServeJobs, service: JobService
) -> None:
    server = await serve_jobs(checked=True, development=False, auth_secret=SECRET)
    service.faults = Faults(status=503)
    async with server.leg(PATH, **token("alice", read=["job:7"])) as leg:
        assert leg.answer.status_code == 200
        assert state(await leg.next())["state"] == "error"
        assert await leg.next() is None
    assert service.job("7").all == []
    service.faults = Faults(status=418)
    answer = await server.client.get(PATH, headers=token("alice"))
    assert (answer.status_code, answer.json()["title"]) == (502, "Refused upstream")


@any_store
@pytest.mark.parametrize("job", ["%2E%2E", "%2E", "a%20b", "-x", "x" * 252, "%C3%A9"])
async def test_ids_that_no_job_has(serve_jobs: ServeJobs, job: str) -> None:
    """The service's addresses are made of an id: none leads to another of its paths."""
    server = await serve_jobs()
    answer = await server.client.get(f"/api/jobs/{job}/progress")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


@any_store
async def test_without_a_service(serve_jobs: ServeJobs) -> None:
    server = await serve_jobs(jobs=None)
    answer = await server.client.get(PATH)
    assert answer.status_code == 404
    assert "JOBS_UPSTREAM_URL" in answer.json()["detail"]
    with pytest.raises(NotFound):
        await resume(server.service, "job:7")


@any_store
async def test_what_is_no_job_any_more_is_swept_once(serve_jobs: ServeJobs) -> None:
    service = (await serve_jobs()).service
    await pumps(service).register(Live("note:1", KIND, lambda: Scripted([])))
    for found in (["gone"], []):
        swept = await sweep(service, Invocation(), {"jobs": resume})
        assert [it["state"] for it in swept] == found


@any_store
async def test_what_nobody_watches_is_swept_to_its_end(
    serve_jobs: ServeJobs, service: JobService
) -> None:
    server = await serve_jobs()
    with pytest.raises(NotFound):
        await resume(server.service, "deploy:7")
    with pytest.raises(InvalidName):
        await resume(server.service, "job:..")
    live = await resume(server.service, "job:7")
    assert isinstance(live, Live)
    assert (live.stream, live.kind) == ("job:7", "jobs")
    await Pumps(server.service.store).register(live)
    swept = asyncio.create_task(sweep(server.service, Invocation(), {"jobs": resume}))
    await joined(service)
    await service.say("7", type="completed")
    async with asyncio.timeout(WAIT_SECONDS):
        assert await swept == [{"stream": "job:7", "kind": "jobs", "state": "over"}]
    page = await server.service.store.log.read("job:7", None)
    assert [event.type for event in page.events] == ["done"]
    assert page.closed


@any_store
async def test_a_polled_job(serve_jobs: ServeJobs, service: JobService, url: str) -> None:
    polled = upstream(
        f"{url}/jobs/{{job}}",
        JOBS_UPSTREAM_KEY=KEY,
        JOBS_UPSTREAM_MODE="poll",
        JOBS_POLL_SECONDS="0.2",
    )
    server = await serve_jobs(jobs=polled)
    async with server.leg(PATH) as leg:
        assert data((await leg.notes(1))[0])["progress"] == 0
        await service.say("7", type="progress", progress=50)
        assert data((await leg.notes(1))[0])["progress"] == 50
        await service.say("7", type="completed")
        assert (await leg.until("end"))[-2].type == "done"
