"""`JobServer`: the service as a process of its own, and what a test can do to it."""

import sys
from pathlib import Path
from typing import Any

from infra.local.child import Child
from infra.local.controlled import Controlled
from infra.local.job_service.control import PREFIX


class JobServer(Controlled):
    """The service in another process, on a free port. A context manager, of both kinds.

    ``directory`` is where its log goes. ``key``, ``acknowledges`` and ``tells_state`` as JobService
    has them.
    """

    prefix = PREFIX

    def __init__(
        self,
        directory: Path,
        *,
        key: str | None = None,
        acknowledges: bool = False,
        tells_state: bool = False,
    ) -> None:
        super().__init__()
        self._key = key
        self._acknowledges = acknowledges
        self._tells_state = tells_state
        self._directory = directory
        self._options = [
            *([f"--key={key}"] if key else []),
            *(["--acknowledges"] if acknowledges else []),
            *(["--tells-state"] if tells_state else []),
        ]

    @property
    def environment(self) -> dict[str, str]:
        """The settings by which Lastevent follows its jobs."""
        settings = {
            "JOBS_UPSTREAM_URL": f"{self.url}/ws",
            "JOBS_UPSTREAM_KEY": self._key or "",
            "JOBS_TYPES": "joined=joined" if self._acknowledges else "",
            "JOBS_UPSTREAM_REPLAYS": "snapshot" if self._tells_state else "",
        }
        return {name: value for name, value in settings.items() if value}

    def start(self) -> None:
        """Start it, without jobs; return when it serves. Raises ServerFailed."""
        self._child = Child(
            [
                *(sys.executable, "-m", "infra.local.job_service", "--port", str(self.port)),
                *self._options,
            ],
            self._directory / "job-service.log",
            self._serves,
        )

    async def begin(self, job: str) -> None:
        """Let a job exist."""
        await self._request("POST", f"/jobs/{job}", {})

    async def run(self, job: str, updates: int, seconds: float) -> None:
        """Have a job say so many updates, ``seconds`` apart, and then that it is done."""
        await self._request("POST", f"/jobs/{job}", {"updates": updates, "seconds": seconds})

    async def say(self, job: str, **message: Any) -> None:
        """Have a job say something now."""
        await self._request("POST", f"/jobs/{job}", {"say": message})

    async def cut(self, job: str) -> None:
        """Break all connections of a job."""
        await self._request("POST", f"/jobs/{job}", {"cut": True})

    async def fault(self, **faults: Any) -> None:
        """Put faults in force, as jobs.Faults has them; those before are lifted."""
        await self._request("POST", "/faults", faults)

    async def look(self, job: str) -> dict[str, Any]:
        """Return what a job said, who heard it, and its connections."""
        found: dict[str, Any] = await self._request("GET", f"/jobs/{job}")
        return found
