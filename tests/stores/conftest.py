"""Fixtures: a harness of each backend in turn, and stores on its data."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lastevent.stores.base import Store
from tests.stores.harness import BACKENDS, HARNESSES, Harness

SHARED = [backend for backend in BACKENDS if HARNESSES[str(backend.id)].shared]


@pytest.fixture(params=BACKENDS)
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    """Data in every backend."""
    made: Harness = request.param(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def store(harness: Harness) -> Store:
    """A store of every backend."""
    return await harness.open()


@pytest.fixture(params=SHARED)
async def shared(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    """Data in every backend that several processes can use."""
    made: Harness = request.param(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def two(shared: Harness) -> tuple[Store, Store]:
    """Two stores on the same data."""
    return await shared.open(), await shared.open()
