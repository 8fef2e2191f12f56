"""The built function, run by Vercel's own runtime as on the platform, on the store of Upstash."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from infra.local.upstash import UpstashServer
from infra.local.vercel import VercelServer
from infra.local.vercel.pool import Options
from lastevent.core.wire import Message
from lastevent.serve.pages import HEADERS
from tests.infra.vercel_output import SECRET, WAIT_SECONDS, Deployed, credentials
from tests.serve.running import LegReader, state

pytestmark = [pytest.mark.node, pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
async def deployed(
    vercel_output: Path, tmp_path: Path, server: UpstashServer
) -> AsyncIterator[Deployed]:
    """The project, deployed with its own settings."""
    async with Deployed.on(vercel_output, tmp_path, server) as deployed:
        yield deployed


def notes(messages: list[Message]) -> list[object]:
    """The numbers in those messages that are not the leg's own."""
    return [json.loads(it.data) for it in messages if it.type not in ("stream", "heartbeat")]


async def rest(leg: LegReader) -> list[Message]:
    """Read a leg to its end."""
    messages = []
    while (message := await leg.next(WAIT_SECONDS)) is not None:
        messages.append(message)
    return messages


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, "LASTEVENT_AUTH_SECRET"),
        ({"LASTEVENT_AUTH_SECRET": SECRET}, "its own sqlite store"),
        (
            {"LASTEVENT_AUTH_SECRET": SECRET, "LASTEVENT_STORE_URL": "memory://"},
            "its own memory store",
        ),
    ],
    ids=["no secret", "sqlite", "memory"],
)
async def test_what_would_be_unsafe_does_not_start(
    vercel_output: Path,
    tmp_path: Path,
    server: UpstashServer,
    settings: dict[str, str],
    wanted: str,
) -> None:
    store = server.environment if not settings else {}
    async with VercelServer(vercel_output, tmp_path, {**store, **settings}) as vercel:
        async with httpx.AsyncClient(base_url=vercel.url, trust_env=False) as client:
            for path in ("/api/health", "/api/streams/a"):
                answer = await client.get(path, timeout=WAIT_SECONDS)
                assert answer.headers["x-vercel-error"] == "FUNCTION_INVOCATION_FAILED"
        assert wanted in vercel.log.read_text()
        assert SECRET not in vercel.log.read_text()


async def test_each_event_arrives_before_the_next_is_published(deployed: Deployed) -> None:
    async with deployed.leg("timing") as leg:
        assert leg.answer.headers["content-type"].startswith("text/event-stream")
        await leg.until("live")
        for number in range(20):
            await deployed.publish("timing", number)
            assert notes(await leg.notes(1)) == [number]


async def test_a_reader_comes_back_for_the_rest(deployed: Deployed) -> None:
    ids = await deployed.publish("rest", *range(10))
    async with deployed.leg("rest", after=ids[3]) as leg:
        assert notes(await leg.notes(6)) == [4, 5, 6, 7, 8, 9]
    await deployed.publish("rest", 10, close=True)
    async with deployed.leg("rest", after=ids[-1]) as leg:
        messages = await leg.until("end")
        assert notes(messages) == [10]
    finished = await deployed.client.get(
        "/api/streams/rest",
        headers={"Accept": "text/event-stream", "Last-Event-ID": messages[-1].id or ""},
    )
    assert finished.status_code == 204


async def test_nothing_is_lost_or_doubled_across_legs_retirements_and_crashes(
    vercel_output: Path, tmp_path: Path, server: UpstashServer
) -> None:
    count, got, cursor, legs, cuts = 150, [], None, 0, 0
    options = Options(freeze=True)
    async with Deployed.on(
        vercel_output, tmp_path, server, options, LASTEVENT_MAX_LEG_SECONDS="0.8"
    ) as deployed:

        async def publish() -> None:
            for number in range(count):
                # A crash may take the answer with it: the key makes the second one the same.
                body = {"events": [{"type": "note", "data": number}], "close": number == count - 1}
                for _ in range(5):
                    answer = await deployed.client.post(
                        "/api/streams/all", json=body, headers={"Idempotency-Key": str(number)}
                    )
                    if answer.status_code == 201:
                        break
                assert answer.status_code == 201, answer.text
                if number == count // 3:
                    await deployed.server.kill()
                if number == count * 2 // 3:
                    await deployed.server.retire()
                await asyncio.sleep(0.02)

        publishing = asyncio.create_task(publish())
        async with asyncio.timeout(60):
            ended = False
            while not ended:
                try:
                    async with deployed.leg("all", after=cursor) as leg:
                        if leg.answer.status_code == 500:  # it came to an instance that was killed
                            cuts += 1
                            continue
                        legs += 1
                        while (message := await leg.next(WAIT_SECONDS)) is not None:
                            got += notes([message])
                            cursor = message.id or cursor
                            ended = message.type == "stream" and state(message)["state"] == "end"
                except (httpx.RemoteProtocolError, httpx.ReadError):
                    cuts += 1
            await publishing
        assert await deployed.server.started() >= 3
    assert got == list(range(count))
    assert legs >= 4
    assert cuts >= 1


async def test_one_instance_serves_200_streams(deployed: Deployed) -> None:
    async with contextlib.AsyncExitStack() as stack:
        legs: list[LegReader] = []
        for _ in range(10):  # each asks the store where to begin: not all in one moment
            opened = await asyncio.gather(
                *(stack.enter_async_context(deployed.leg("many")) for _ in range(20))
            )
            await asyncio.gather(*(leg.until("live") for leg in opened))
            legs += opened
        (instance,) = await deployed.server.running()
        assert instance.in_flight == 200
        await deployed.publish("many", 7)
        heard = await asyncio.gather(*(leg.notes(1) for leg in legs))
        assert [notes(messages) for messages in heard] == [[7]] * 200
        assert await deployed.server.started() == 1


async def test_a_retired_instance_says_its_planned_ends_and_goes_by_itself(
    vercel_output: Path, tmp_path: Path, server: UpstashServer
) -> None:
    # A grace time that is out of reach: were it used up, the request to retire would run out first.
    options = Options(grace_seconds=3 * WAIT_SECONDS)
    async with (
        Deployed.on(vercel_output, tmp_path, server, options) as deployed,
        contextlib.AsyncExitStack() as stack,
    ):
        legs = await asyncio.gather(
            *(stack.enter_async_context(deployed.leg("ends")) for _ in range(50))
        )
        await asyncio.gather(*(leg.until("live") for leg in legs))
        retiring = asyncio.create_task(deployed.server.retire())
        for messages in await asyncio.gather(*(rest(leg) for leg in legs)):
            assert state(messages[-1])["state"] == "rotate"
        await retiring
        assert await deployed.server.running() == []


async def test_planned_ends_fit_into_the_grace_time_that_vercel_gives(deployed: Deployed) -> None:
    async with contextlib.AsyncExitStack() as stack:
        legs = await asyncio.gather(
            *(stack.enter_async_context(deployed.leg("ends")) for _ in range(50))
        )
        await asyncio.gather(*(leg.until("live") for leg in legs))
        await deployed.server.retire()
        for messages in await asyncio.gather(*(rest(leg) for leg in legs)):
            assert state(messages[-1])["state"] == "rotate"


async def test_a_leg_ends_before_its_deadline(
    vercel_output: Path, tmp_path: Path, server: UpstashServer
) -> None:
    """The platform would cut it: that the answer is whole shows that it was not."""
    options = Options(max_duration=5)
    async with Deployed.on(
        vercel_output, tmp_path, server, options, LASTEVENT_MAX_LEG_SECONDS="600"
    ) as deployed:
        await deployed.publish("deadline", 1)
        async with deployed.leg("deadline") as leg:
            (opened,) = await leg.until("open")
            assert 0 < state(opened)["ends_in"] < 5
            messages = await rest(leg)
        assert notes(messages) == [1]
        assert state(messages[-1])["state"] == "rotate"


def instant(seconds: float) -> str:
    """An instant from now, as the header has it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


@pytest.mark.parametrize("forged", ["nonsense", "-3600", "86400"])
async def test_a_forged_deadline_harms_nobody(deployed: Deployed, forged: str) -> None:
    """Not even behind an edge that would let it through: the runtime itself is asked."""
    header = forged if forged == "nonsense" else instant(float(forged))
    await deployed.publish("forged", 1)
    honest = {"Accept": "text/event-stream", **credentials()}
    (instance,) = await deployed.server.running()
    url = f"http://127.0.0.1:{instance.port}/api/streams/forged"
    async with deployed.leg("forged", x_vercel_internal_deadline=header) as through_the_edge:
        (opened,) = await through_the_edge.until("open")
        assert 40 < state(opened)["ends_in"] <= 55
        async with (
            httpx.AsyncClient(trust_env=False, timeout=WAIT_SECONDS) as client,
            client.stream(
                "GET", url, headers={**honest, "x-vercel-internal-deadline": header}
            ) as answer,
        ):
            leg = LegReader(answer)
            (opened,) = await leg.until("open")
            if forged == "-3600":  # who says that there is no time gets a short leg, and its end
                assert state((await rest(leg))[-1])["state"] == "rotate"
            else:
                assert 40 < state(opened)["ends_in"] <= 55
        await deployed.publish("forged", 2)
        assert notes(await through_the_edge.notes(2)) == [1, 2]


async def test_what_came_while_it_was_frozen_is_read_when_it_wakes(
    vercel_output: Path, tmp_path: Path, server: UpstashServer
) -> None:
    frozen, awake = Options(freeze=True), Options()
    async with (
        Deployed.on(
            vercel_output, tmp_path / "a", server, frozen, LASTEVENT_MAX_LEG_SECONDS="0.5"
        ) as sleeper,
        Deployed.on(vercel_output, tmp_path / "b", server, awake) as other,
    ):
        (id,) = await other.publish("sleep", 0)
        for number in range(1, 4):
            async with sleeper.leg("sleep", after=id) as leg:
                await rest(leg)
            async with asyncio.timeout(WAIT_SECONDS):
                while not (await sleeper.server.running())[0].frozen:
                    await asyncio.sleep(0.02)
            before, (id,) = id, await other.publish("sleep", number)
            async with sleeper.leg("sleep", after=before) as leg:
                assert notes(await leg.notes(1)) == [number]
        assert await sleeper.server.started() == 1


@pytest.mark.parametrize(
    ("path", "text"), [("/", "<title>"), ("/previews", "<title>"), ("/lastevent.js", "export")]
)
async def test_pages_come_from_the_cdn(deployed: Deployed, path: str, text: str) -> None:
    answer = await deployed.client.get(path)
    assert answer.status_code == 200
    assert text in answer.text
    # How long a page is kept is the CDN's own business; the rest is what our server says.
    for name in HEADERS.keys() - {"Cache-Control"}:
        assert answer.headers[name] == HEADERS[name]
    assert await deployed.server.started() == 0  # no function was asked


async def test_what_is_nowhere_is_a_problem(deployed: Deployed) -> None:
    for path in ("/absent", "/api/absent"):
        answer = await deployed.client.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
