"""Servers on stores that lie behind a network: events cross, and bad days pass."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest

from infra.local.dynamodb import REGION, RotoServer
from infra.local.upstash import UpstashServer
from infra.local.valkey_server import ValkeyServer
from lastevent.serve.settings import Settings
from lastevent.stores.url import BACKENDS
from tests.serve.running import LegReader, Running, Serve, state

LIMIT_SECONDS = 25.0
"""Nothing may take longer, however bad the day: a store's own limits and some reserve."""


class Far(ABC):
    """A store's server, and how it goes away and comes back with its data."""

    environ: Mapping[str, str]

    @abstractmethod
    async def leave(self) -> None: ...

    @abstractmethod
    async def come_back(self) -> None: ...


class Upstash(Far):
    """Its database is killed: the REST API refuses."""

    def __init__(self, server: UpstashServer) -> None:
        self.server = server
        self.environ = {"LASTEVENT_STORE_URL": "upstash://", **server.environment}

    async def leave(self) -> None:
        await self.server.kill_store()

    async def come_back(self) -> None:
        await self.server.start_store()


class SilentUpstash(Upstash):
    """It takes requests and never answers, and what is subscribed hears nothing more."""

    async def leave(self) -> None:
        await self.server.mute_subscriptions()
        await self.server.fault("hang")
        await self.server.cut_subscriptions()
        await self.server.fault("hang", commands=["SUBSCRIBE"])

    async def come_back(self) -> None:
        await self.server.clear_faults()
        await self.server.mute_subscriptions(False)


class Redis(Far):
    """It is killed."""

    def __init__(self, valkey: ValkeyServer) -> None:
        self.valkey = valkey
        self.environ = {"LASTEVENT_STORE_URL": f"redis://127.0.0.1:{valkey.port}"}

    async def leave(self) -> None:
        await asyncio.to_thread(self.valkey.kill)

    async def come_back(self) -> None:
        await asyncio.to_thread(self.valkey.start)


class Dynamo(Far):
    """It keeps all in memory, so it is cut off."""

    def __init__(self, server: RotoServer) -> None:
        self.server = server
        url = f"dynamodb://far?region={REGION}"
        self.environ = {"LASTEVENT_STORE_URL": url, **server.environment}

    async def leave(self) -> None:
        await asyncio.to_thread(self.server.proxy.cut)

    async def come_back(self) -> None:
        await asyncio.to_thread(self.server.proxy.restore)


class SilentDynamo(Dynamo):
    """It takes connections and never answers."""

    async def leave(self) -> None:
        await asyncio.to_thread(self.server.proxy.silence)


@asynccontextmanager
async def _far(kind: str, directory: Path) -> AsyncIterator[Far]:
    async with AsyncExitStack() as stack:
        if kind == "redis":
            yield Redis(await stack.enter_async_context(ValkeyServer(directory / "valkey")))
        elif kind.endswith("upstash"):
            emulator = UpstashServer(directory / "upstash", faults=True)
            server = await stack.enter_async_context(emulator)
            yield SilentUpstash(server) if kind.startswith("silent") else Upstash(server)
        else:
            roto = await stack.enter_async_context(RotoServer(directory))
            yield SilentDynamo(roto) if kind.startswith("silent") else Dynamo(roto)


KINDS = ("upstash", "silent upstash", "redis", "dynamodb", "silent dynamodb")


@pytest.fixture(params=KINDS)
async def far(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Far]:
    async with _far(request.param, tmp_path) as far:
        for name, value in far.environ.items():
            monkeypatch.setenv(name, value)
        yield far


@pytest.fixture
def settings(far: Far, tmp_path: Path) -> Settings:
    environ = {"LASTEVENT_DATA_DIR": str(tmp_path), **far.environ}
    return Settings.from_env(environ, bind_host="127.0.0.1")


async def ended_in_trouble(leg: LegReader) -> str:
    """Read a leg that is told of trouble, to its planned end; return the last id."""
    async with asyncio.timeout(LIMIT_SECONDS):
        (*_, trouble) = await leg.until("error")
        assert "retry_ms" in state(trouble)
        while (message := await leg.next(LIMIT_SECONDS)) is not None:
            assert message.type == "stream"
    return leg.decoder.last_event_id


async def publish_when_back(server: Running, stream: str, *data: object) -> list[str]:
    """Publish under a key, again and again until it is taken."""
    body = [{"type": "note", "data": item} for item in data]
    headers = {"Idempotency-Key": f"{data}"}
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            answer = await server.client.post(
                f"/api/streams/{stream}", json=body, headers=headers, timeout=LIMIT_SECONDS
            )
            if answer.status_code == 201:
                ids: list[str] = answer.json()["ids"]
                return ids
            assert answer.status_code == 503
            await asyncio.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_store_is_away_and_comes_back(far: Far, serve: Serve) -> None:
    writer, reader = await serve(), await serve()
    (first,) = await writer.publish("s", 1)
    async with reader.leg("s") as leg:
        await leg.until("live")
        (second,) = await writer.publish("s", 2)
        assert [message.id for message in await leg.notes(1)] == [second]

        await far.leave()
        began = monotonic()
        refused = await writer.client.post(
            "/api/streams/s", json={"type": "note", "data": 3}, timeout=LIMIT_SECONDS
        )
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert monotonic() - began < LIMIT_SECONDS

        # Who comes now is told so in the stream: a status would end an EventSource for good.
        async with reader.leg("elsewhere") as other:
            assert other.answer.status_code == 200
            await ended_in_trouble(other)
        health = await reader.client.get("/api/health", timeout=LIMIT_SECONDS)
        assert health.status_code == 503

        # Who was live hears of it as well.
        cursor = await ended_in_trouble(leg)
        assert cursor == second

    await far.come_back()
    (third,) = await publish_when_back(writer, "s", 4)
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            try:
                async with reader.leg("s", Last_Event_ID=cursor) as leg:
                    notes = await leg.notes(1)
                    break
            except AssertionError:  # the leg ended: still trouble
                await asyncio.sleep(0.2)
    # The refused publish had no key: it may have been written, once, or not at all.
    expected = [third] if notes[0].data == "4" else [notes[0].id]
    assert [message.id for message in notes] == expected
    assert first < second < third


async def test_events_cross_servers(far: Far, serve: Serve) -> None:
    writer, reader = await serve(), await serve()
    async with reader.leg("s") as leg:
        await leg.until("live")
        ids = []
        for n in range(20):
            ids += await writer.publish("s", n)
        assert [message.id for message in await leg.notes(20)] == ids
        await writer.publish("s", close=True)
        await leg.until("end")
    answer = await reader.client.get(
        "/api/streams/s", headers={"Accept": "text/event-stream", "Last-Event-ID": ids[-1]}
    )
    assert answer.status_code == 204


def test_kinds_are_what_the_table_has() -> None:
    local = {"memory", "sqlite"}
    assert {kind.split()[-1] for kind in KINDS} | local | {"rediss"} == set(BACKENDS)
