"""A server process that tests kill and start again, and the commands that its previews run."""

import asyncio
import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.project.tree import ROOT

START_SECONDS = 20.0
STOP_SECONDS = 15.0
CHILD = ROOT / "tests" / "browser" / "child.py"
CHILDREN = ("ticks", "shapes", "burst", "quiet", "mixed", "colours")
PREVIEW_COMMANDS = "; ".join(
    f"{name}={shlex.join([sys.executable, str(CHILD), name])}" for name in CHILDREN
)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Server:
    """One server over one SQLite file; legs, heartbeats and leases are short unless told else.

    ``command`` is what serves, the port left out; ``headers`` go with each request of ours.
    """

    directory: Path
    environ: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ("lastevent.cli", "serve")
    headers: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        """What it wrote to its log."""
        return (self.directory / "server.log").read_text()

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = process = self._launch()
        async with httpx.AsyncClient() as client, asyncio.timeout(START_SECONDS):
            while True:
                assert process.poll() is None, self.said
                try:
                    if (await client.get(f"{self.url}/api/health")).is_success:
                        return
                except httpx.TransportError:
                    await asyncio.sleep(0.05)

    def _launch(self) -> "subprocess.Popen[bytes]":
        own = {
            "LASTEVENT_DATA_DIR": str(self.directory),
            "LASTEVENT_STORE_URL": f"sqlite:///{self.directory}/test.db",
            "LASTEVENT_MAX_LEG_SECONDS": "1.5",
            "LASTEVENT_HEARTBEAT_SECONDS": "0.5",
            "LASTEVENT_LEASE_SECONDS": "1",
            "LASTEVENT_PREVIEW_COMMANDS": PREVIEW_COMMANDS,
        }
        with (self.directory / "server.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *self.command, "--port", str(self.port)],
                cwd=ROOT,
                env=os.environ | own | self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def end(self, how: signal.Signals) -> None:
        """Send ``how``, and wait until it is gone."""
        process = self._process
        if process is None:
            return
        process.send_signal(how)
        try:
            await asyncio.to_thread(process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        self._process = None

    async def publish(self, stream: str, *numbers: int, close: bool = False) -> None:
        """Append events whose data is a number."""
        body = {"events": [{"type": "note", "data": n} for n in numbers], "close": close}
        await self._post(f"/api/streams/{stream}", body)

    async def preview(self, name: str) -> str:
        """Start a preview; return its id."""
        return str((await self._post("/api/previews", {"name": name}))["id"])

    async def publish_site(self, site: object) -> str:
        """Publish a site at Vercel; return the id of its deployment."""
        return str((await self._post("/api/deploy/vercel", site))["id"])

    async def _post(self, path: str, body: object) -> dict[str, object]:
        async with httpx.AsyncClient(headers=self.headers) as client:
            answer = await client.post(f"{self.url}{path}", json=body)
        assert answer.status_code == 201, answer.text
        created: dict[str, object] = answer.json()
        return created


@contextlib.asynccontextmanager
async def serving(directory: Path, environ: dict[str, str]) -> AsyncIterator[Server]:
    """A server that runs, for as long as a module's tests may share one."""
    server = Server(directory, environ)
    await server.start()
    try:
        yield server
    finally:
        await server.end(signal.SIGTERM)
