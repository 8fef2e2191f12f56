from collections.abc import Iterator

import pytest

from tests.cli.command import Server, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A development server, shared by the tests of a module: each uses streams of its own."""
    with running(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def stream(request: pytest.FixtureRequest) -> str:
    """A stream's name that no other test uses."""
    return f"test:{abs(hash(request.node.nodeid)):x}"
