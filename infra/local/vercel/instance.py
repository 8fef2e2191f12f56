"""One process of the function, started and spoken to as Vercel's launcher does.

The launcher imports the handler's module, which starts Vercel's own runtime. That connects to the
socket in VERCEL_IPC_PATH and sends JSON messages, each ended by a NUL: ``server-started`` with the
port for requests, ``log``, ``end`` of a request by its number, ``unrecoverable-error`` (package
vercel-runtime, `vc_init.py`).
"""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from infra.local.child import GUARD, ServerFailed
from infra.local.vercel.output import Function

START_SECONDS = 30.0
KILLED_SECONDS = 10.0
ENDED_SECONDS = 2.0
MAX_MESSAGE_BYTES = 4 * 2**20


class InstanceFailed(Exception):
    """The function's process did not come up."""


class Instance:
    """A process of ``function``. Make one by `start`."""

    def __init__(self, function: Function, *, freeze: bool) -> None:
        self.port = 0
        self.pid = 0
        self.served = 0
        self.frozen = False
        self.retiring = False
        self._function = function
        self._freeze = freeze
        self._in_flight: dict[int, asyncio.Event] = {}
        self._started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._guard: asyncio.subprocess.Process
        self._exit: asyncio.Task[int]

    @classmethod
    async def start(
        cls, function: Function, environment: Mapping[str, str], *, freeze: bool
    ) -> "Instance":
        """Start a process; return once it says that it takes requests. Raises InstanceFailed.

        ``environment`` is all that it gets, beside what the build and the launcher set.
        """
        instance = cls(function, freeze=freeze)
        with tempfile.TemporaryDirectory(prefix="vercel-") as directory:
            path = Path(directory, "ipc.sock")
            server = await asyncio.start_unix_server(
                instance._listen, path, limit=MAX_MESSAGE_BYTES
            )
            try:
                await instance._run({**environment, "VERCEL_IPC_PATH": str(path)})
            except BaseException:
                if instance.pid:
                    await instance.kill()
                raise
            finally:
                server.close()  # the runtime connects once, at its start
        return instance

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._guard.returncode is None

    @property
    def in_flight(self) -> int:
        """How many requests it is serving."""
        return len(self._in_flight)

    @contextlib.asynccontextmanager
    async def request(self, ends_at: float) -> AsyncIterator[int]:
        """Hold the instance for one request; yields the request's number.

        It is awake until the last one is over: answered, and ended as the runtime says, which may
        be long after the answer (`waitUntil`), but not after ``ends_at`` on the loop's clock.
        """
        self.served += 1
        number, ended = self.served, asyncio.Event()
        self._in_flight[number] = ended
        if self.frozen:
            self.frozen = False
            self._signal(signal.SIGCONT)
        try:
            yield number
        finally:
            try:
                await self._ended(ended, ends_at)
            finally:
                del self._in_flight[number]
            if self._freeze and not self._in_flight and not self.retiring and self.running:
                self.frozen = True
                self._signal(signal.SIGSTOP)

    async def _ended(self, ended: asyncio.Event, ends_at: float) -> None:
        """Wait until the runtime has said that a request ended, or can say no more."""
        left = ends_at - asyncio.get_running_loop().time()
        waiting = asyncio.create_task(ended.wait())
        try:
            await asyncio.wait(
                [waiting, self._exit],
                timeout=max(left, ENDED_SECONDS),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            waiting.cancel()

    async def retire(self, grace_seconds: float) -> None:
        """Have the process end: SIGTERM, after ``grace_seconds`` SIGKILL."""
        self.retiring = True
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await asyncio.shield(self._exit)
        await self.kill()

    async def kill(self) -> None:
        """End the process as a crash would, and wait for it."""
        self._signal(signal.SIGKILL)
        async with asyncio.timeout(KILLED_SECONDS):
            await asyncio.shield(self._exit)
        if self._guard.stdin:
            self._guard.stdin.close()

    async def _run(self, environment: Mapping[str, str]) -> None:
        self._guard = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", str(GUARD)),
            *(_interpreter(self._function.runtime), "-S", "-c", f"import {self._function.module}"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=self._function.directory,
            env={**environment, **self._function.environment},
            start_new_session=True,
        )
        self._exit = asyncio.create_task(self._guard.wait())
        assert self._guard.stdout
        line = await self._guard.stdout.readline()
        if not line:
            raise InstanceFailed("the function's process cannot be run")
        self.pid = int(line)
        await asyncio.wait(
            [self._started, self._exit],
            timeout=START_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not self._started.done():
            raise InstanceFailed("the function's process did not come to take requests")
        self.port = self._started.result()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            while True:
                message = json.loads((await reader.readuntil(b"\0"))[:-1])
                self._heard(message["type"], message["payload"])
        writer.close()

    def _heard(self, kind: str, payload: Mapping[str, Any]) -> None:
        if kind == "server-started" and not self._started.done():
            self._started.set_result(payload["httpPort"])
        elif kind == "end":
            ended = self._in_flight.get(payload["context"]["requestId"])
            if ended is not None:
                ended.set()
        elif kind == "log":
            text = base64.b64decode(payload["message"]).decode(errors="replace").rstrip("\n")
            print(f"[{self.pid}] {text}", file=sys.stderr, flush=True)
        elif kind == "unrecoverable-error":
            print(f"[{self.pid}] {payload['message']}", file=sys.stderr, flush=True)

    def _signal(self, number: signal.Signals) -> None:
        # While the guard lives, the id is not reused: it has yet to collect the exit code.
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _interpreter(runtime: str) -> str:
    """Return the interpreter that ``runtime`` names, outside any virtual environment."""
    if runtime == f"python{sys.version_info.major}.{sys.version_info.minor}":
        return str(Path(sys.base_prefix, "bin", runtime))
    found = shutil.which(runtime)
    if found is None:
        raise ServerFailed(f"the function was built for {runtime}, which is not on PATH")
    return found
