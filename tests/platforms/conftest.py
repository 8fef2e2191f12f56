"""The platforms and the stores that they can share."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from infra.local.dynamodb import REGION, RotoServer
from infra.local.platforms import (
    LambdaBuffered,
    LambdaStream,
    Platform,
    Uvicorn,
    Vercel,
    build_for_vercel,
)
from infra.local.upstash import UpstashServer
from lastevent.serve.auth import mint
from tests.infra import sam
from tests.platforms.built import shared
from tests.platforms.places import PLATFORMS, Deploy, Place, Stores, Wanted

SECRET = "a secret of the tests, and of nothing else"
TABLE = f"dynamodb://platforms?region={REGION}"
LEG_SECONDS = 4
CRON_SECRET = "c" * 32

Start = Callable[..., object]


@pytest.fixture(scope="session")
def on_vercel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Vercel would deploy, with boto3."""
    return shared(tmp_path_factory, "vercel-with-boto3", build_for_vercel)


@pytest.fixture(scope="session")
def on_lambda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `sam build` makes for Lambda, a directory a function."""
    return sam.built(tmp_path_factory)


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Callable[[str, dict[str, str], Path], Platform]:
    """Return a function that makes a platform by its name, not yet started."""

    def made(name: str, environment: dict[str, str], directory: Path) -> Platform:
        if name == "uvicorn":
            return Uvicorn(environment, directory)
        if name == "vercel":
            return Vercel(environment, directory, request.getfixturevalue("on_vercel"))
        built = request.getfixturevalue("on_lambda")
        if name == "lambda-stream":
            return LambdaStream(environment, directory, built / "StreamFunction")
        return LambdaBuffered(environment, directory, built / "ApiFunction")

    return made


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Callable[[str], object]]:
    """Return a coroutine function that starts a store; what it returns tells a server of it."""
    async with AsyncExitStack() as stack:

        async def start(name: str) -> dict[str, str]:
            found: dict[str, str] = {}
            if name == "sqlite":
                found["LASTEVENT_STORE_URL"] = f"sqlite:///{tmp_path}/platforms.db"
            if "upstash" in name:
                upstash = UpstashServer(tmp_path / "upstash", faults=True)
                await stack.enter_async_context(upstash)
                found |= upstash.environment
            if "dynamodb" in name:
                roto = await stack.enter_async_context(RotoServer(tmp_path))
                found |= {**roto.environment, "LASTEVENT_STORE_URL": TABLE}
            if name == "dynamodb+upstash":
                found["LASTEVENT_WAKEUP_URL"] = "upstash://"
            return found

        yield start


@pytest.fixture
def deploy(stores: Stores, tmp_path: Path, request: pytest.FixtureRequest) -> Deploy:
    """Return a function that deploys to one of PLATFORMS, by its name, with these settings."""

    @asynccontextmanager
    async def deployed(
        platform: str,
        settings: Mapping[str, str],
        *,
        store: str = "upstash",
        sweeps: bool = False,
        limit_seconds: float | None = None,
    ) -> AsyncIterator[Place]:
        environment = {
            "LASTEVENT_AUTH_SECRET": SECRET,
            "LASTEVENT_MAX_LEG_SECONDS": str(LEG_SECONDS),
            "CRON_SECRET": CRON_SECRET,
            **settings,
        }
        wanted = Wanted(environment, await stores(store), tmp_path, sweeps, limit_seconds)
        async with PLATFORMS[platform](wanted, request) as place:
            yield place

    return deployed


@pytest.fixture(scope="session")
def token() -> str:
    """A token of somebody who may do everything."""
    return mint(SECRET, {"sub": "tester", "read": ["*"], "append": ["*"]}, 3600)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("LASTEVENT_", "UPSTASH_", "KV_", "AWS_")):
            monkeypatch.delenv(name)
