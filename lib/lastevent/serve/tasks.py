"""Work in an invocation of its own: who asked for it has its answer at once, and the work goes on.

    a function ─ spawn ─► on a server of one's own  a task of this process
                       ─► where one may be frozen   the same, and the request is held until it ends
                       ─► where there is better     what the adapter gives: Invocation.spawn
    the adapter that receives it ─ App.perform ─► the function that the task's name stands for

A task may be lost, or end early, with its invocation or its process, and a platform's queue may
hand it out twice. What has to be done in any case, and what must not be done twice, is written down
in the store by whoever asks for it; the task is only the quickest way to it.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self, cast

from lastevent.core.errors import InvalidRequest, LastEventError, NotFound, Transient
from lastevent.serve.invocation import Invocation

if TYPE_CHECKING:
    from lastevent.serve.service import Service

FIELD = "lastevent"
MAX_ARGUMENT_BYTES = 65_536
"""Less than any platform carries with an asynchronous invocation."""

MAX_RUNNING = 256
"""At most so many tasks run in one process; whoever asks for more is to ask again."""

MARGIN_SECONDS = 2.0
"""How long before its platform's deadline a task is cancelled, so that it ends by itself; a quarter
of its time, if that is less."""

GRACE_SECONDS = 1.0
"""How long tasks have to end by themselves once the process is told to go."""

STOP_SECONDS = 5.0
"""How long they then have to end as they are cancelled."""

log = logging.getLogger("lastevent")

type Work = Callable[["Service", Invocation, Mapping[str, Any]], Awaitable[object]]
"""What a task does: ``work(service, invocation, argument)``, in the time of the invocation. Its
result, JSON, goes to whoever waits for it, which as a rule is nobody."""


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do, by its name; ``argument`` is a JSON object of at most MAX_ARGUMENT_BYTES."""

    name: str
    argument: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            size = len(json.dumps(dict(self.argument), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise InvalidRequest(f"the argument of {self.name[:80]} is no JSON object") from error
        if size > MAX_ARGUMENT_BYTES:
            raise InvalidRequest(f"the argument of {self.name[:80]} is over {MAX_ARGUMENT_BYTES}")

    @property
    def event(self) -> dict[str, Any]:
        """The event that carries this task to a function: JSON of one field."""
        return {FIELD: {"task": self.name, "argument": dict(self.argument)}}

    @classmethod
    def of_event(cls, event: object) -> Self | None:
        """Return the task that an event carries, None if it carries none.

        That field is its only one. What platforms make of HTTP requests has others, and all that a
        client says is within them, so no request can be taken for a task. Raises InvalidRequest.
        """
        if not isinstance(event, dict) or set(event) != {FIELD}:
            return None
        told = event[FIELD]
        if isinstance(told, dict) and not set(told) - {"task", "argument"}:
            name, argument = told.get("task"), told.get("argument", {})
            if isinstance(name, str) and isinstance(argument, dict):
                return cls(name, argument)
        raise InvalidRequest('a task is written as {"lastevent": {"task": NAME, "argument": {…}}}')


async def spawn(service: "Service", invocation: Invocation, task: Task) -> None:
    """Have ``task`` run beyond the request of ``invocation``; return when that is certain.

    Raises NotFound for a name that the application does not know, Transient if it cannot be
    started now.
    """
    service.tasks.must_know(task.name)
    if invocation.spawn is not None:
        await invocation.spawn(task)
    else:
        service.tasks.start(task, invocation)


@asynccontextmanager
async def holding(service: "Service", invocation: Invocation) -> AsyncIterator[Invocation]:
    """Hold a request, in a process that may be frozen once it is over, for the tasks it starts.

    Yields the request's invocation, which is the tasks' own too.
    """
    started: set[asyncio.Task[None]] = set()

    async def start(task: Task) -> None:
        started.add(service.tasks.start(task, held))

    held = invocation._replace(spawn=start)
    try:
        yield held
    finally:
        while started:  # a task may start others
            done, _ = await asyncio.wait(started, return_when=asyncio.FIRST_COMPLETED)
            started -= done


class Tasks:
    """The tasks that an application knows, and those that run in this process.

    ``places`` maps a task's name to its Work: ``module:function``, imported on first use.
    """

    def __init__(self, service: "Service", places: Mapping[str, str]) -> None:
        self._service = service
        self._places = places
        self._running: set[asyncio.Task[None]] = set()
        self._repeating: set[asyncio.Task[None]] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def must_know(self, name: str) -> None:
        """Raise NotFound for a name that stands for nothing."""
        if name not in self._places:
            raise NotFound(f"there is no task {name[:80]!r}")

    async def perform(self, task: Task, invocation: Invocation) -> object:
        """Do a task within its invocation, and return its result.

        Raises NotFound, what the task raises, and Transient if it had to be cancelled.
        """
        self.must_know(task.name)
        module, _, function = self._places[task.name].partition(":")
        work = cast(Work, getattr(import_module(module), function))
        try:
            async with asyncio.timeout_at(_last_moment(invocation)) as limit:
                return await work(self._service, invocation, task.argument)
        except TimeoutError:
            if limit.expired():
                raise Transient(f"the task {task.name} did not end in its time") from None
            raise

    def start(self, task: Task, invocation: Invocation) -> asyncio.Task[None]:
        """Have this process do a task; what it raises is logged. Raises Transient if it is full."""
        if len(self._running) >= MAX_RUNNING:
            raise Transient(f"{MAX_RUNNING} tasks run here already: ask again later")
        running = asyncio.create_task(self._run(task, invocation))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return running

    def repeat(self, task: Task, seconds: float) -> None:
        """Have this process do a task again and again, ``seconds`` after it was done last, until
        the process ends. Each time may last as long."""
        self._repeating.add(asyncio.create_task(self._repeat(task, seconds)))

    async def aclose(self) -> None:
        """End what runs in this process, within GRACE_SECONDS and STOP_SECONDS."""
        for repeating in self._repeating:
            repeating.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=GRACE_SECONDS)
        for running in self._running:
            running.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=STOP_SECONDS)
        if self._running:
            log.error("%d tasks did not end", len(self._running))

    async def _repeat(self, task: Task, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(seconds)
            try:
                done = self.start(task, Invocation(deadline=loop.time() + seconds))
            except Transient as error:
                report(task, error)
            else:
                await asyncio.wait([done])

    async def _run(self, task: Task, invocation: Invocation) -> None:
        try:
            await self.perform(task, invocation)
        except Exception as error:
            report(task, error)


def report(task: Task, error: Exception) -> None:
    """Log why a task failed; its argument is nobody's business."""
    told = isinstance(error, LastEventError)
    log.error(
        "the task %s failed: %s",
        task.name,
        error if told else type(error).__name__,
        exc_info=None if told else error,
    )


def _last_moment(invocation: Invocation) -> float | None:
    if invocation.deadline is None:
        return None
    left = max(invocation.deadline - asyncio.get_running_loop().time(), 0.0)
    return invocation.deadline - min(MARGIN_SECONDS, left / 4)
