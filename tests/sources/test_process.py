"""A process's last output: read to the end, but not without end."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from lastevent.sources.process import CHUNK_BYTES, PIPE_BYTES, Process, _Pipe


@pytest.fixture
def endless() -> Iterator[IO[bytes]]:
    with Path("/dev/zero").open("rb", buffering=0) as file:
        yield file


async def test_a_pipe_that_is_never_empty_is_not_read_for_ever(endless: IO[bytes]) -> None:
    """A grandchild that left the group may write faster than we read."""
    process = Process(1.0, 1024)
    process._pipes = [_Pipe("stdout", endless)]
    process._finish(0)
    size = 0
    while chunk := process.take():
        size += len(chunk.data)
    assert PIPE_BYTES <= size < PIPE_BYTES + CHUNK_BYTES
    assert process.is_over
