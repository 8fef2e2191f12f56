"""One execution environment: a runtime's process, from its start to its end.

Init, Invoke and Shutdown as in
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html: Init ends when the
runtime asks for its first event; an invocation ends when it asks for the next one; then, with
nothing under way, everything in the environment is frozen.
"""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from infra.local.aws.invocation import Invocation, InvocationFailed
from infra.local.aws.process import FunctionProcess, Keeper
from infra.local.aws.runtime_api import RuntimeApi

DRAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Launch:
    """How environments of a function are started, and what ends them."""

    command: list[str]
    directory: Path
    variables: Mapping[str, str] = field(repr=False)
    arn: str
    slots: int
    shutdown_seconds: float
    max_streamed_bytes: int
    log: IO[bytes]
    keeper: Keeper


class Environment:
    """One execution environment. ``on_change`` is called when it became free, or has ended."""

    def __init__(self, launch: Launch, number: int, on_change: Callable[[], None]) -> None:
        self.number = number
        self.ended: str | None = None
        """Why it ended; None while it lives."""
        self.used = 0.0
        """When its runtime last asked for an event, by the monotonic clock."""
        self.init_ms = 0
        self.billed_ms: list[int] = []
        """Of each invocation that is over, in their order: until the next event was asked for."""
        self._launch = launch
        self._on_change = on_change
        self._why = ""
        # Whoever started it has the first use of it.
        self._reserved = True
        self._api = RuntimeApi(launch.arn, launch.slots, self._waits, launch.max_streamed_bytes)
        self._process: FunctionProcess | None = None
        self._failure: InvocationFailed | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._gone = asyncio.Event()

    @property
    def pid(self) -> int:
        """The runtime's process id."""
        return self._process.pid if self._process else 0

    @property
    def frozen(self) -> bool:
        """Whether its processes are stopped."""
        return self.ended is None and self._process is not None and self._process.frozen

    @property
    def free(self) -> bool:
        """Whether it can take an invocation now."""
        if self._reserved or self.ended is not None:
            return False
        return self._api.free > 0 and len(self._api.running) < self._launch.slots

    @property
    def soon_free(self) -> bool:
        """Whether the runtime is on its way to ask for an event: all it has is answered.

        Or it has not yet asked for as many as it may have at once.
        """
        if self._reserved or self.ended is not None:
            return False
        running = self._api.running.values()
        if self._launch.slots > 1:
            return len(running) < self._launch.slots
        return all(one.answered for one in running)

    async def init(self, seconds: float) -> None:
        """Start the runtime and wait until it is initialised. Raises InvocationFailed."""
        begun = time.monotonic()
        variables = {
            **self._launch.variables,
            "AWS_LAMBDA_RUNTIME_API": await self._api.start(),
            "AWS_LAMBDA_LOG_STREAM_NAME": f"[$LATEST]{self.number:032x}",
        }
        try:
            self._process = await FunctionProcess.start(
                self._launch.command,
                variables,
                self._launch.directory,
                self._launch.log,
                self._launch.keeper,
            )
        except OSError as error:
            await self._api.stop()
            self._end(f"cannot be run: {error.strerror}")
            raise InvocationFailed.of("Runtime.InvalidEntrypoint", str(error.strerror)) from error
        self._start(self._watch(self._process))
        try:
            await self._initialised(seconds)
        except InvocationFailed as failure:
            self.init_ms = _milliseconds(begun)
            self._report("INIT_REPORT", self.init_ms, failure)
            await self.end(failure.kind)
            raise
        self.init_ms = _milliseconds(begun)

    def invoke(self, invocation: Invocation, seconds: float) -> None:
        """Hand it an invocation, which must end within ``seconds``.

        It must be free, or this be the first one after its start.
        """
        self._reserved = False
        if self._process is None or not self._api.free:
            invocation.fail(InvocationFailed.of("Runtime.ExitError", "The runtime has ended"))
            return
        invocation.deadline_ms = int((time.time() + seconds) * 1000)
        self._process.thaw()
        self._api.offer(invocation)
        self._start(self._oversee(invocation, seconds))

    async def end(self, why: str) -> None:
        """End it as the platform does: by SIGTERM first only where an extension is registered."""
        if self._process and self.ended is None:
            self._why = self._why or why
            if self._launch.shutdown_seconds:
                self._process.terminate()
                try:
                    async with asyncio.timeout(self._launch.shutdown_seconds):
                        await self._gone.wait()
                except TimeoutError:
                    pass
            self.kill(why)
            await self._gone.wait()

    def kill(self, why: str) -> None:
        """Kill its processes at this instant."""
        if self._process and self.ended is None:
            self._why = self._why or why
            self._process.kill()

    async def gone(self) -> None:
        """Return when it has ended."""
        await self._gone.wait()

    async def _initialised(self, seconds: float) -> None:
        ready = asyncio.create_task(self._api.ready.wait())
        gone = asyncio.create_task(self._gone.wait())
        try:
            first: set[asyncio.Future[Any]] = {ready, gone, self._api.init_failed}
            await asyncio.wait(first, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            gone.cancel()
        if self._api.ready.is_set() and self.ended is None:
            return
        if self._api.init_failed.done():
            raise self._api.init_failed.result()
        if self._failure:
            raise self._failure
        raise InvocationFailed.of("Sandbox.Timedout", f"Init timed out after {seconds:.2f} seconds")

    async def _oversee(self, invocation: Invocation, seconds: float) -> None:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                await invocation.over.wait()
        except TimeoutError:
            message = (
                f"RequestId: {invocation.id} Error: Task timed out after {seconds:.2f} seconds"
            )
            failure = InvocationFailed.of("Sandbox.Timedout", message)
            invocation.fail(failure)
            if self._launch.slots == 1:
                self._failure = failure
                self.kill("timed out")
            else:
                # "Lambda Managed Instances does not force the timeout": the code runs on.
                # .../dg/lambda-managed-instances-execution-environment.html
                self._api.give_up(invocation)
        self.billed_ms.append(_milliseconds(begun))
        self._report(f"REPORT RequestId: {invocation.id}", self.billed_ms[-1], invocation.failure)

    async def _watch(self, process: FunctionProcess) -> None:
        code = await process.wait()
        how = f"exit status {code}" if code >= 0 else f"signal {-code}"
        # What it sent before it ended is still on its way to be read.
        await self._api.drained(DRAIN_SECONDS)
        for invocation in list(self._api.running.values()):
            message = f"RequestId: {invocation.id} Error: Runtime exited: {how}"
            invocation.fail(InvocationFailed.of("Runtime.ExitError", message))
            invocation.over.set()
        self._failure = self._failure or InvocationFailed.of(
            "Runtime.ExitError", f"Error: Runtime exited: {how}"
        )
        await self._api.stop()
        self._end(self._why or how)

    def _waits(self) -> None:
        """The runtime waits for its next event: freeze it, if nothing is under way."""
        # Managed Instances "run continuously": only an environment with one slot is frozen.
        if self._process and self._launch.slots == 1 and not self._api.running:
            self._process.freeze()
        self.used = time.monotonic()
        self._on_change()

    def _end(self, why: str) -> None:
        self.ended = why
        self._gone.set()
        self._on_change()

    def _report(self, what: str, milliseconds: int, failure: InvocationFailed | None) -> None:
        """Say in the function's log what the platform says there of a phase."""
        how = f" Status: error Error: {failure}" if failure else ""
        self._launch.log.write(f"{what} Billed Duration: {milliseconds} ms{how}\n".encode())
        self._launch.log.flush()

    def _start(self, what: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _milliseconds(begun: float) -> int:
    """Return the time since then as it is billed: each begun millisecond counts."""
    return math.ceil((time.monotonic() - begun) * 1000)
