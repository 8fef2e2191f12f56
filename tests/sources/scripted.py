"""Sources that do what a test says."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from lastevent.core.event import NewEvent
from lastevent.sources.base import Batch, Replays

Step = Batch | Exception | float
"""What a scripted source does next: yield, raise, or sleep so many seconds."""


@dataclass
class Scripted:
    """Plays one script for each time it is read, the last one again and again.

    ``positions`` are those that it was read from; ``open``: how many readings are going on.
    """

    scripts: list[list[Step]]
    replays: Replays = "full"
    positions: list[str | None] = field(default_factory=list)
    open: int = 0

    async def read(self, position: str | None) -> AsyncGenerator[Batch]:
        script = self.scripts[min(len(self.positions), len(self.scripts) - 1)]
        self.positions.append(position)
        self.open += 1
        try:
            for step in script:
                if isinstance(step, Batch):
                    yield step
                elif isinstance(step, Exception):
                    raise step
                else:
                    await asyncio.sleep(step)
        finally:
            self.open -= 1


def notes(*texts: object, position: str | None = None, over: bool = False) -> Batch:
    return Batch([NewEvent("note", str(text)) for text in texts], position, over)


@dataclass
class Numbers:
    """An upstream that has said 0, 1, 2 … up to ``count``, and can tell all of it again.

    ``trouble`` is called before each batch and may raise; ``open`` counts connections, ``most`` how
    many there were at once.
    """

    count: int
    size: int = 3
    trouble: Callable[[], None] = lambda: None
    pause: float = 0.0
    replays: Replays = "full"
    open: int = 0
    most: int = 0

    async def read(self, position: str | None) -> AsyncGenerator[Batch]:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            next = int(position or 0)
            yield Batch()
            while next < self.count:
                await asyncio.sleep(self.pause)
                self.trouble()
                end = min(next + self.size, self.count)
                yield notes(*range(next, end), position=str(end))
                next = end
        finally:
            self.open -= 1
