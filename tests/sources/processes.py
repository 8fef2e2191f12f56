"""Real processes: whether they live, what this one holds open, what commands say."""

import asyncio
import contextlib
import json
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lastevent.core.event import NewEvent
from lastevent.sources.command import Command, CommandSpec

WAIT_SECONDS = 20.0
"""A safety limit: what takes longer than this has hung."""


def python(script: str, *arguments: object) -> CommandSpec:
    """Return a command that runs a Python script."""
    return CommandSpec((sys.executable, "-c", script, *map(str, arguments)))


def sh(script: str) -> CommandSpec:
    """Return a command that runs a shell script."""
    return CommandSpec(("sh", "-c", script))


def alive(pid: int) -> bool:
    """Whether a process runs. One that waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def children() -> set[int]:
    """This process's children, those that wait to be reaped included."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it may end meanwhile
            found |= {int(pid) for pid in (thread / "children").read_text().split()}
    return found


@dataclass(frozen=True)
class Held:
    """What this process holds: descriptors, children, threads, tasks."""

    fds: int = field(default_factory=lambda: len(list(Path("/proc/self/fd").iterdir())))
    children: frozenset[int] = field(default_factory=lambda: frozenset(children()))
    tasks: int = field(default_factory=lambda: len(asyncio.all_tasks()))
    reapers: int = field(
        default_factory=lambda: sum("_reap" in thread.name for thread in threading.enumerate())
    )


async def until(condition: Callable[[], object], what: str = "this") -> None:
    """Wait until a condition holds."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"waited for {what}") from None


class Sink:
    """Takes what a source hands on; ``gate`` holds it back while it is not set."""

    def __init__(self) -> None:
        self.events: list[NewEvent] = []
        self.batches: list[list[NewEvent]] = []
        self.closed = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, events: Sequence[NewEvent], close: bool) -> None:
        assert not self.closed, "events after the end"
        await self.gate.wait()
        self.batches.append(list(events))
        self.events += events
        self.closed = close

    def said(self, *types: str) -> list[dict[str, Any]]:
        """Return the data of the events of these types."""
        return [json.loads(event.data) for event in self.events if event.type in types]

    def lines(self, channel: str) -> list[str]:
        """Return a channel's lines, put together from their pieces."""
        lines, rest, open = [], "", False
        for said in self.said(channel):
            rest, open = rest + said["text"], said.get("open", False)
            if not open:
                lines.append(rest)
                rest = ""
        assert not open, "a line was left open"
        return lines

    @property
    def exit(self) -> tuple[int | None, str | None]:
        """How the command ended."""
        last = self.events[-1]
        assert last.type == "exit", "the exit comes last"
        assert self.closed, "and closes"
        said = json.loads(last.data)
        return said["code"], said["signal"]


async def run(spec: CommandSpec, **options: Any) -> Sink:
    """Run a command to its end."""
    command, sink = Command(spec, **options), Sink()
    await command.start()
    async with asyncio.timeout(WAIT_SECONDS):
        await drain(command, sink)
    return sink


async def drain(
    command: Command, sink: Callable[[Sequence[NewEvent], bool], Awaitable[None]]
) -> None:
    """Read a command to its end, as a pump does."""
    async with contextlib.aclosing(command.read()) as batches:
        async for batch in batches:
            await sink(batch.events, batch.over)
