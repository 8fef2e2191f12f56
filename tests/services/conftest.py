"""A store of each embedded kind, and servers of previews on it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lastevent.services.previews import Previews
from lastevent.sources.command import CommandSpec
from lastevent.stores.base import Store
from lastevent.stores.url import open_store
from tests.services.logs import COMMANDS, LEASE_SECONDS, Serve
from tests.sources.processes import WAIT_SECONDS


@pytest.fixture(params=["memory://", "sqlite:///{}/test.db"], ids=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(request.param).format(tmp_path)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    made = open_store(url)
    await made.prepare()
    yield made
    await made.close()


@pytest.fixture
async def serve(store: Store) -> AsyncIterator[Serve]:
    """Return a function that makes a server's previews; two of them are two servers."""
    made: list[Previews] = []

    def server(
        other: Store | None = None,
        commands: Mapping[str, CommandSpec] = COMMANDS,
        **options: Any,
    ) -> Previews:
        options = {"lease_seconds": LEASE_SECONDS, "grace_seconds": 1.0} | options
        made.append(Previews(other or store, commands, **options))
        return made[-1]

    yield server
    async with asyncio.timeout(WAIT_SECONDS):
        for previews in made:
            await previews.aclose()
    assert len(asyncio.all_tasks()) == 1, "nothing runs on"
