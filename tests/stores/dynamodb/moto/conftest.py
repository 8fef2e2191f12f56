"""The contract's semantics on moto, which does more of what DynamoDB does than the other server.

What runs many calls at once is left out: moto's transactions are not atomic among threads, so those
tests say nothing there. So are tests that ask the server for nothing which these do not.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.local.dynamodb import MotoServer
from tests.stores.harness import DynamoHarness, Harness


class MotoHarness(DynamoHarness):
    server_type = MotoServer


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    """A table in moto."""
    made = MotoHarness(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def shared(harness: Harness) -> Harness:
    """The same."""
    return harness
