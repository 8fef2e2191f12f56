"""What holds for every test: no example is judged by its speed, no call blocks a loop."""

import traceback
from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, BlockingError, blockbuster
from hypothesis import settings

settings.register_profile("lastevent", deadline=None)
settings.load_profile("lastevent")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse names of tests that differ from process to process: workers must agree on them."""
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"give its parameters ids: {item.nodeid}")


class _Recorded(BlockingError):
    """A blocking call, remembered: code that survives any error would swallow this one too."""

    calls: list[str] = []  # noqa: RUF012  one list for the session, emptied by each test

    def __init__(self, func: str) -> None:
        super().__init__(func)
        frames = "".join(traceback.format_stack(limit=8)[:-2])
        self.calls.append(f"{func} blocks the event loop\n{frames}")


@pytest.fixture(scope="session", autouse=True)
def _watch_loops() -> Iterator[None]:
    """Make blocking calls raise where a loop runs and code of ours is on the stack."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blockbuster, "BlockingError", _Recorded)
        watch = BlockBuster(["lastevent", "functions"])
        for function in watch.functions.values():
            # A route imports what it needs on its first call, and that reads files: it is the
            # price of a quick cold start, paid once.
            function.can_block_in("<frozen importlib._bootstrap>", "_find_and_load")
            # What is logged is written at once, to wherever pytest keeps it.
            function.can_block_in("logging/__init__.py", "emit")
        watch.activate()
        yield
        watch.deactivate()


@pytest.fixture(autouse=True)
def blocking_calls() -> Iterator[list[str]]:
    """Fail a test whose code blocked an event loop; a test that means to clears the list."""
    _Recorded.calls.clear()
    yield _Recorded.calls
    if _Recorded.calls:
        pytest.fail("\n".join(_Recorded.calls))
