"""The fixture that fails blocking calls sees ours, on a loop, and no others."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.project.tree import LIBRARY

SOURCE = """
import time
def pause():
    time.sleep(0.001)
def pause_and_survive():
    try:
        time.sleep(0.001)
    except Exception:
        pass
"""


@pytest.fixture(scope="module")
def library() -> dict[str, Callable[[], None]]:
    """Functions that count as the library's own: the watch goes by their file's name."""
    module: dict[str, Any] = {}
    exec(compile(SOURCE, str(LIBRARY / "made_up.py"), "exec"), module)
    return module


async def test_a_blocking_call_is_seen_even_when_its_error_is_swallowed(
    library: dict[str, Callable[[], None]], blocking_calls: list[str]
) -> None:
    library["pause_and_survive"]()
    assert "time.sleep blocks the event loop" in blocking_calls[0]
    assert "made_up.py" in blocking_calls[0]
    blocking_calls.clear()


async def test_blocking_elsewhere_is_fine(
    library: dict[str, Callable[[], None]], blocking_calls: list[str]
) -> None:
    await asyncio.to_thread(library["pause"])
    time.sleep(0.001)  # noqa: ASYNC251  a test may; the library may not
    assert blocking_calls == []


def test_blocking_without_a_loop_is_fine(
    library: dict[str, Callable[[], None]], blocking_calls: list[str]
) -> None:
    library["pause"]()
    assert blocking_calls == []
