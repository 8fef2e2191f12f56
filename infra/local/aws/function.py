"""`LambdaFunction`: a built function, its execution environments, and what can be done to them."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from infra.local.aws.environment import Environment, Launch
from infra.local.aws.invocation import Invocation, InvocationFailed, Throttled
from infra.local.aws.managed import ManagedRuntime
from infra.local.aws.process import Keeper
from infra.local.aws.runtime_api import MAX_STREAMED_BYTES
from infra.local.child import ServerFailed, Startable

REGION = "eu-west-1"
ACCOUNT = "123456789012"
TASK_ROOT = PurePosixPath("/var/task")
INIT_SECONDS = 10.0
STOP_SECONDS = 10.0
# An environment that has answered is about to ask for its next event. On the platform a next
# request is far behind; on loopback it would start another environment for nothing.
RELEASE_SECONDS = 0.1

ROLE = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""What the platform sets for the function's role, and here the caller may."""
RESERVED = frozenset(
    {
        *("_HANDLER", "_X_AMZN_TRACE_ID", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME"),
        *("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION"),
        *("AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME"),
        *("AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_MAX_CONCURRENCY", "AWS_LAMBDA_RUNTIME_API"),
        *("LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"),
    }
)
"""https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html: not to be set."""


@dataclass(frozen=True, slots=True)
class EnvironmentState:
    """How an execution environment stands."""

    number: int
    """Counts from 1: so many cold starts there were."""
    pid: int
    frozen: bool
    ended: str | None
    """Why it ended; None while it lives."""
    init_ms: int
    billed_ms: tuple[int, ...]
    """Of each invocation that is over. Init is billed too, and not in here."""


class LambdaFunction(Startable):
    """One function as Lambda runs it, from a directory that holds what would be deployed.

    ``handler`` is the value of _HANDLER, ``environment`` the function's variables, ``wrapper`` the
    value of AWS_LAMBDA_EXEC_WRAPPER (/var/task stands for the directory). Its log and its runtime
    go to ``data``. ``timeout`` and ``memory`` (MB) are the function's; memory is told, not held to.
    Up to ``max_environments`` live at once: its reserved concurrency, if ``concurrency`` is 1. More
    than 1 makes it a function of Lambda Managed Instances. ``shutdown_seconds``: how long a runtime
    has after SIGTERM (0.5 with an internal extension, 2 with an external one); without it there is
    only SIGKILL. A context manager; its methods may be called from any thread.
    """

    def __init__(
        self,
        directory: Path,
        handler: str,
        environment: Mapping[str, str] | None = None,
        *,
        data: Path,
        name: str = "function",
        timeout: float = 30.0,
        memory: int = 256,
        wrapper: str | None = None,
        max_environments: int = 10,
        concurrency: int = 1,
        init_seconds: float = INIT_SECONDS,
        shutdown_seconds: float = 0.0,
        max_streamed_bytes: int = MAX_STREAMED_BYTES,
    ) -> None:
        if reserved := RESERVED.intersection(environment or {}):
            raise ValueError(f"reserved environment variables: {', '.join(sorted(reserved))}")
        self.name = name
        self.timeout = timeout
        self.log = data / f"{name}.log"
        """What the function's processes said, all of them."""
        self._directory = directory.resolve()
        self._handler = handler
        self._environment = dict(environment or {})
        self._data = data
        self._memory = memory
        self._wrapper = wrapper
        self._max_environments = max_environments
        self._concurrency = concurrency
        self._init_seconds = init_seconds
        self._shutdown_seconds = shutdown_seconds
        self._max_streamed_bytes = max_streamed_bytes
        self._environments: list[Environment] = []
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._launch: Launch | None = None
        self._log_file: IO[bytes] | None = None

    @property
    def arn(self) -> str:
        """The function's name as the platform knows it."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.name}"

    def start(self) -> None:
        """Be ready for requests; the first one starts an environment. Raises ServerFailed."""
        if not self._directory.is_dir():
            raise ServerFailed(f"{self._directory} is no directory")
        self._data.mkdir(parents=True, exist_ok=True)
        managed = ManagedRuntime(self._data / "managed")
        self._log_file = self.log.open("ab")
        wrapper = self._wrapper_path()
        self._launch = Launch(
            command=[*([str(wrapper)] if wrapper else []), *managed.command],
            directory=self._directory,
            variables=self._variables(managed, wrapper),
            arn=self.arn,
            slots=self._concurrency,
            shutdown_seconds=self._shutdown_seconds,
            max_streamed_bytes=self._max_streamed_bytes,
            log=self._log_file,
            keeper=Keeper(),
        )
        self._environments = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all environments."""
        if self._loop and self._thread and self._launch and self._log_file:
            self.run(self._end_all(only_free=False))
            self.run(_end_tasks())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_SECONDS)
            self._loop.close()
            self._loop = None
            self._launch.keeper.stop()
            self._log_file.close()

    @property
    def environments(self) -> list[EnvironmentState]:
        """All environments that there ever were, in the order of their cold starts."""

        async def states() -> list[EnvironmentState]:
            return [
                EnvironmentState(
                    one.number, one.pid, one.frozen, one.ended, one.init_ms, tuple(one.billed_ms)
                )
                for one in self._environments
            ]

        return self.run(states())

    def kill(self, number: int | None = None) -> None:
        """Kill an environment's processes, by default of all that live, as a crash would."""

        async def kill() -> None:
            for one in self._environments:
                # One without a process is only about to be started, and lives on.
                if one.ended is None and one.pid and number in (None, one.number):
                    one.kill("killed")
                    await one.gone()

        self.run(kill())

    def recycle(self) -> None:
        """End the environments that serve nothing, as the platform does after some idle minutes."""
        self.run(self._end_all(only_free=True))

    def run[Result](self, what: Coroutine[object, object, Result]) -> Result:
        """Run a coroutine on the function's event loop; return what it returns."""
        assert self._loop, "the function has not been started"
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(STOP_SECONDS)

    async def invoke(self, event: bytes) -> Invocation:
        """Hand an event to the function, on its loop. Raises Throttled.

        All other failures are the invocation's.
        """
        invocation = Invocation(event)
        environment = await self._placed()
        if environment is not None:
            environment.invoke(invocation, self.timeout)
        else:
            task = asyncio.create_task(self._start_for(self._new(), invocation))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return invocation

    async def _placed(self) -> Environment | None:
        """Return a free environment; None where a new one may be started."""
        until = time.monotonic() + RELEASE_SECONDS
        while True:
            living = [one for one in self._environments if one.ended is None]
            # The one used last is the first to be used again.
            for one in sorted(living, key=lambda one: one.used, reverse=True):
                if one.free:
                    return one
            left = until - time.monotonic()
            if left <= 0 or not any(one.soon_free for one in living):
                break
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()
        if len(living) >= self._max_environments:
            raise Throttled
        return None

    def _new(self) -> Environment:
        assert self._launch
        environment = Environment(self._launch, len(self._environments) + 1, self._changed.set)
        self._environments.append(environment)
        return environment

    async def _start_for(self, environment: Environment, invocation: Invocation) -> None:
        """Start an environment for an invocation, a second time if the first one fails.

        "Lambda retries the Init phase at the time of the first function invocation with the
        configured function timeout" (.../dg/lambda-runtime-environment.html, failures in Init).
        """
        try:
            with contextlib.suppress(InvocationFailed):
                await environment.init(self._init_seconds)
                environment.invoke(invocation, self.timeout)
                return
            begun = time.monotonic()
            environment = self._new()
            await environment.init(self.timeout)
            left = self.timeout - (time.monotonic() - begun)
            environment.invoke(invocation, max(left, 0.0))
        except InvocationFailed as failure:
            invocation.fail(failure)

    async def _end_all(self, *, only_free: bool) -> None:
        ends = [
            one.end("recycled")
            for one in self._environments
            if one.ended is None and (one.free or not only_free)
        ]
        await asyncio.gather(*ends)

    def _wrapper_path(self) -> Path | None:
        if self._wrapper is None:
            return None
        path = PurePosixPath(self._wrapper)
        if path.is_relative_to(TASK_ROOT):
            path = path.relative_to(TASK_ROOT)
        return self._directory / path

    def _variables(self, managed: ManagedRuntime, wrapper: Path | None) -> dict[str, str]:
        """Return what the platform sets, and the function's own."""
        version = "$LATEST"
        kind = "on-demand" if self._concurrency == 1 else "lambda-managed-instances"
        variables = {
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            **dict.fromkeys(ROLE, "local"),
            **self._environment,
            "_HANDLER": self._handler,
            "AWS_EXECUTION_ENV": managed.name,
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self._memory),
            "AWS_LAMBDA_INITIALIZATION_TYPE": kind,
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{self.name}",
            "LAMBDA_TASK_ROOT": str(self._directory),
            "LAMBDA_RUNTIME_DIR": str(managed.runtime),
        }
        given = {
            # In place of a /var/task that cannot be written: or only the first cold start here
            # would compile what the bundle has not compiled.
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PATH": os.pathsep.join([str(managed.interpreter.parent), "/usr/bin", "/bin"]),
            "PYTHONPATH": str(managed.runtime),
        }
        if wrapper:
            variables["AWS_LAMBDA_EXEC_WRAPPER"] = str(wrapper)
        if self._concurrency > 1:
            variables["AWS_LAMBDA_MAX_CONCURRENCY"] = str(self._concurrency)
        return given | variables


async def _end_tasks() -> None:
    """Cancel what is still under way on this loop, and wait for it."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
