"""A session's emulator, empty for each test, and a plain HTTP client for it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from infra.local.upstash import UpstashServer
from tests.infra import sam
from tests.infra.rest import Rest
from tests.infra.vercel_output import built_output


@pytest.fixture(scope="session")
def session_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpstashServer]:
    """One emulator for all tests that break nothing for the next one."""
    directory: Path = tmp_path_factory.mktemp("upstash")
    with UpstashServer(directory, faults=True, durable=False) as server:
        yield server


@pytest.fixture
async def server(session_server: UpstashServer) -> AsyncIterator[UpstashServer]:
    """The session's emulator without data and faults."""
    yield session_server
    await session_server.clear_faults()
    await session_server.mute_subscriptions(False)
    async with Rest.of(session_server) as rest:
        assert await rest.call("FLUSHALL") == "OK"
        assert await rest.call("SCRIPT", "FLUSH") == "OK"


@pytest.fixture
async def rest(server: UpstashServer) -> AsyncIterator[Rest]:
    """A client of the session's emulator."""
    async with Rest.of(server) as client:
        yield client


@pytest.fixture
async def bare(server: UpstashServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client that has no token."""
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def vercel_output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Vercel would deploy."""
    return built_output(tmp_path_factory)


@pytest.fixture(scope="session")
def sam_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `sam build` makes: a directory a function. It takes BUILD_SECONDS at most."""
    return sam.built(tmp_path_factory)


@pytest.fixture(scope="session")
def bundle(sam_build: Path) -> Path:
    """What a function has on AWS Lambda; that it is the same for all is a test."""
    return sam_build / "ApiFunction"
