"""`VercelServer`: the emulator as a process of its own, and what a test can do to it."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.child import Child
from infra.local.controlled import Controlled
from infra.local.vercel.control import CRON_SECONDS, PREFIX
from infra.local.vercel.pool import Options


@dataclass(frozen=True, slots=True)
class Running:
    """An instance that runs: its process, its own port behind the edge, and what it has served."""

    pid: int
    port: int
    in_flight: int
    served: int
    frozen: bool
    retiring: bool


class VercelServer(Controlled):
    """The built ``output`` as Vercel would serve it, in another process and on a free port.

    ``environment``: the project's variables. What the emulator
    and the function say goes to ``directory``/vercel.log. ``options``: pool.py.
    """

    prefix = PREFIX

    def __init__(
        self,
        output: Path,
        directory: Path,
        environment: Mapping[str, str],
        options: Options = Options(),
        *,
        port: int | None = None,
    ) -> None:
        super().__init__(port or 0)
        self.log = directory / "vercel.log"
        self._environment = environment
        self._command = [
            *(sys.executable, "-m", "infra.local.vercel"),
            *("--output", str(output), "--port", str(self.port)),
            *(f"--pass={name}" for name in environment),
            *_arguments(options),
        ]

    def start(self) -> None:
        """Start it; return when it serves. The function starts with its first request."""
        self._child = Child(self._command, self.log, self._serves, self._environment)

    def crash(self) -> None:
        """End it as a crash would; its instances notice and end."""
        if self._child:
            self._child.kill()

    async def started(self) -> int:
        """Return how many instances have been started: cold starts."""
        count: int = (await self._instances())["started"]
        return count

    async def running(self) -> list[Running]:
        """Return the instances that run."""
        return [Running(**instance) for instance in (await self._instances())["running"]]

    async def retire(self) -> None:
        """Have all instances end as when Vercel scales down; return when they are gone."""
        await self._request("POST", "/instances/retire")

    async def kill(self) -> None:
        """End all instances as a crash would."""
        await self._request("POST", "/instances/kill")

    async def call_crons(self) -> list[dict[str, Any]]:
        """Have what is on a schedule called now; return path, status and body of each answer."""
        found: list[dict[str, Any]] = await self._request("POST", "/crons", seconds=CRON_SECONDS)
        return found

    async def _instances(self) -> dict[str, Any]:
        found: dict[str, Any] = await self._request("GET", "/instances")
        return found


def _arguments(options: Options) -> list[str]:
    """Return the options as the command line of __main__.py takes them."""
    return [
        *([f"--max-duration={options.max_duration}"] if options.max_duration else []),
        f"--instances={options.instances}",
        f"--concurrency={options.concurrency}",
        f"--grace={options.grace_seconds}",
        *(["--freeze"] if options.freeze else []),
        *(["--disconnects"] if options.disconnects else []),
    ]
