"""The instances of a function: one serves many requests at once; when it is full, another comes."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from infra.local.vercel.instance import Instance, InstanceFailed
from infra.local.vercel.output import Function

REGION = "dev1"


@dataclass(frozen=True, slots=True)
class Options:
    """How the emulated platform is set. Times in seconds.

    ``max_duration``: in place of the build's. ``instances``: the most at a time. ``concurrency``:
    the most requests at once in each. ``grace_seconds``: from SIGTERM to SIGKILL; Vercel documents
    500 ms. ``freeze``: stop a process while it serves nothing. ``disconnects``: tell the function
    that its client left; whether the real edge does is not documented for Python.
    """

    max_duration: float | None = None
    instances: int = 10
    concurrency: int = 1000
    grace_seconds: float = 0.5
    freeze: bool = False
    disconnects: bool = False


class Throttled(Exception):
    """All instances that may be are full."""


class Pool:
    """The instances of one function. ``environment``: the project's variables."""

    def __init__(
        self, function: Function, environment: Mapping[str, str], options: Options
    ) -> None:
        self.instances: list[Instance] = []
        self.started = 0
        self._function = function
        self._environment = {**_platform(function), **environment}
        self._options = options
        self._starting = asyncio.Lock()
        self._closed = False

    async def take(self) -> Instance:
        """Return an instance with room, a new one if need be. Raises Throttled, InstanceFailed."""
        async with self._starting:  # whoever comes during a cold start waits for that one
            self._sweep()
            for instance in self.instances:
                if instance.in_flight < self._options.concurrency and not instance.retiring:
                    return instance
            if len(self.instances) >= self._options.instances:
                raise Throttled
            if self._closed:
                raise InstanceFailed("the platform is shutting down")
            self.started += 1
            instance = await Instance.start(
                self._function, self._environment, freeze=self._options.freeze
            )
            self.instances.append(instance)
            return instance

    async def retire(self) -> None:
        """Have all instances end; the next request gets a new one."""
        await asyncio.gather(
            *(instance.retire(self._options.grace_seconds) for instance in self.instances)
        )
        self._sweep()

    async def kill(self) -> None:
        """End all instances as a crash would."""
        await asyncio.gather(*(instance.kill() for instance in self.instances))
        self._sweep()

    async def close(self) -> None:
        """Retire what runs, and start no more."""
        self._closed = True
        async with self._starting:
            await self.retire()

    def _sweep(self) -> None:
        self.instances = [instance for instance in self.instances if instance.running]


def _platform(function: Function) -> dict[str, str]:
    """Return what the platform sets; the project's own variables count before it.

    Vercel's system variables, and those that it reserves because Lambda sets them:
    https://vercel.com/docs/environment-variables/reserved-environment-variables
    """
    return {
        "VERCEL": "1",
        "VERCEL_ENV": "preview",
        "VERCEL_TARGET_ENV": "preview",
        "VERCEL_REGION": REGION,
        "VERCEL_DEPLOYMENT_ID": "dpl_local",
        "AWS_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": "local",
        "LAMBDA_TASK_ROOT": str(function.directory),
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TZ": ":UTC",
    }
