"""Events that nobody waits for: the queue before a function, and a schedule that feeds it.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html and the pages below it: what the
function throttles is tried again until its age is over, what it fails at as often as is configured.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass

from infra.local.aws.function import LambdaFunction
from infra.local.aws.invocation import InvocationFailed, Throttled
from infra.local.aws.runtime_api import MAX_PAYLOAD_BYTES
from infra.local.child import Startable

# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html: a minute before
# the second attempt, two before the third.
RETRY_SECONDS = (60.0, 120.0)
EVENT_AGE_SECONDS = 6 * 3600.0
THROTTLED_SECONDS = 1.0
MAX_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an event: how often it was tried, and why it failed in the end, if it did."""

    event: bytes
    attempts: int
    failure: str | None


class EventQueue:
    """The queue of ``function``; its methods run on the function's loop.

    ``retry_seconds``: the pause before each further attempt at what failed; empty for a function
    whose MaximumRetryAttempts is 0.
    """

    def __init__(
        self,
        function: LambdaFunction,
        *,
        retry_seconds: Sequence[float] = RETRY_SECONDS,
        event_age_seconds: float = EVENT_AGE_SECONDS,
    ) -> None:
        self.outcomes: deque[Outcome] = deque(maxlen=MAX_KEPT)
        """What became of the newest events, in the order in which that was known."""
        self._function = function
        self._retry_seconds = tuple(retry_seconds)
        self._event_age_seconds = event_age_seconds
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, event: bytes) -> None:
        """Have the function get an event, in an instant or later."""
        self.run(self._deliver(event))

    def run(self, what: Coroutine[object, object, None]) -> None:
        """Have ``what`` go on until the function is stopped, at the latest."""
        task = asyncio.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, event: bytes) -> None:
        until = time.monotonic() + self._event_age_seconds
        pauses = iter(self._retry_seconds)
        attempts = 0
        while True:
            try:
                invocation = await self._function.invoke(event)
                attempts += 1
                await invocation.whole(MAX_PAYLOAD_BYTES)
                failure, pause = None, None
            except Throttled:
                failure, pause = "throttled", THROTTLED_SECONDS
            except InvocationFailed as error:
                failure, pause = str(error), next(pauses, None)
            if pause is None or time.monotonic() + pause > until:
                self.outcomes.append(Outcome(event, attempts, failure))
                return
            await asyncio.sleep(pause)


class Schedule(Startable):
    """Puts ``event`` into ``queue`` every ``seconds``, as a rule of EventBridge with an input does.

    Start it after the function, and stop it before.
    """

    def __init__(
        self, function: LambdaFunction, queue: EventQueue, event: object, seconds: float
    ) -> None:
        self._function = function
        self._queue = queue
        self._event = json.dumps(event).encode()
        self._seconds = seconds
        self._ended = asyncio.Event()

    def start(self) -> None:
        """Begin to wait for the first time."""
        self._function.run(self._begin())

    def stop(self) -> None:
        """Put no more."""
        self._function.run(self._end())

    async def _begin(self) -> None:
        self._ended.clear()
        self._queue.run(self._tick())

    async def _end(self) -> None:
        self._ended.set()

    async def _tick(self) -> None:
        while not self._ended.is_set():
            await asyncio.sleep(self._seconds)
            if not self._ended.is_set():
                self._queue.put(self._event)
