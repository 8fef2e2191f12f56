"""`JobServer`: the service as a process of its own, and what a test can do to it."""

import sys
from pathlib import Path
from typing import Any

import httpx

from infra.local.child import HOST, Child, Startable, free_port
from infra.local.job_service.control import PREFIX

CONTROL_SECONDS = 20.0


class JobServer(Startable):
    """The service in another process, on a free port. A context manager, of both kinds.

    ``directory`` is where its log goes. ``key``, ``acknowledges`` and ``tells_state`` as JobService
    has them.
    """

    def __init__(
        self,
        directory: Path,
        *,
        key: str | None = None,
        acknowledges: bool = False,
        tells_state: bool = False,
    ) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._key = key
        self._acknowledges = acknowledges
        self._tells_state = tells_state
        self._directory = directory
        self._options = [
            *([f"--key={key}"] if key else []),
            *(["--acknowledges"] if acknowledges else []),
            *(["--tells-state"] if tells_state else []),
        ]
        self._child: Child | None = None

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

    def stop(self) -> None:
        """End it; its jobs are gone."""
        if self._child:
            self._child.stop()

    async def begin(self, job: str) -> None:
        """Let a job exist."""
        await self._post(f"/jobs/{job}", {})

    async def run(self, job: str, updates: int, seconds: float) -> None:
        """Have a job say so many updates, ``seconds`` apart, and then that it is done."""
        await self._post(f"/jobs/{job}", {"updates": updates, "seconds": seconds})

    async def say(self, job: str, **message: Any) -> None:
        """Have a job say something now."""
        await self._post(f"/jobs/{job}", {"say": message})

    async def cut(self, job: str) -> None:
        """Break all connections of a job."""
        await self._post(f"/jobs/{job}", {"cut": True})

    async def fault(self, **faults: Any) -> None:
        """Put faults in force, as jobs.Faults has them; those before are lifted."""
        await self._post("/faults", faults)

    async def look(self, job: str) -> dict[str, Any]:
        """Return what a job said, who heard it, and its connections."""
        found: dict[str, Any] = (await self._request("GET", f"/jobs/{job}")).json()
        return found

    def _serves(self) -> bool:
        try:
            return httpx.get(f"{self.url}{PREFIX}/health", trust_env=False).status_code == 204
        except httpx.TransportError:
            return False

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        await self._request("POST", path, body)

    async def _request(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> httpx.Response:
        async with httpx.AsyncClient(
            verify=False, trust_env=False, timeout=CONTROL_SECONDS
        ) as client:
            answer = await client.request(method, f"{self.url}{PREFIX}{path}", json=body)
        answer.raise_for_status()
        return answer
