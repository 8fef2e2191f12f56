"""The platforms that the same files run on, each on a loopback port: `make run AS=…`, and tests.

uvicorn           a server of one's own, from the checkout
vercel            what `vercel build` made, run by Vercel's runtime (infra/local/vercel)
lambda-stream     the Lambda bundle, on our runtime, behind a function URL (infra/local/aws)
lambda-buffered   the same on Lambda's own runtime, behind an HTTP API
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from infra.local.aws import (
    EventQueue,
    FunctionUrl,
    HttpApi,
    InvokeApi,
    LambdaFunction,
    Schedule,
)
from infra.local.child import HOST, Child, ServerFailed, Startable, answers, free_port
from infra.local.vercel import VercelServer
from infra.vercel.build import BuildFailed, build

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "infra" / "lambda" / "bundle"
BUNDLE_SECONDS = 300.0
WRAPPER = "/var/task/lambda-stream"
EVENT_AGE_SECONDS = 60.0
SWEEP = {"lastevent": {"task": "sweep"}}
"""As template.yaml has them: how long an asynchronous event waits, and what the schedule sends."""

SOURCES = ("functions", "infra/lambda", "infra/vercel", "lib", "public", "requirements")
"""What a built artefact is made from, beside the files of the checkout's root."""


class Platform(Startable):
    """The functions somewhere, at ``url``; what their processes say goes to ``log``."""

    url: str
    log: Path

    @abstractmethod
    def kill(self) -> None:
        """End the processes that serve, as a crash would. Later requests are served again."""


class Server(Platform):
    """A server of one process: ``arguments`` are the interpreter's, to which --host and --port are
    added; ``environment`` stands beside the user's own."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], log: Path, port: int = 0
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.log = log
        self._command = [sys.executable, *arguments, "--host", HOST, "--port", str(self.port)]
        self._environment = environment
        self._child: Child | None = None

    def start(self) -> None:
        """Start it; return when it serves."""
        self._child = Child(self._command, self.log, lambda: answers(self.port), self._environment)

    def stop(self) -> None:
        """End it."""
        if self._child:
            self._child.stop()

    def kill(self) -> None:
        """Kill it, and start it again."""
        if self._child:
            self._child.kill()
            self.start()


class Uvicorn(Server):
    """`lastevent serve`."""

    def __init__(self, environment: Mapping[str, str], directory: Path, port: int = 0) -> None:
        arguments = ["-m", "lastevent.cli", "serve"]
        super().__init__(arguments, environment, directory / "uvicorn.log", port)


class Vercel(Platform):
    """The ``built`` output on the emulator of Vercel's launcher and edge."""

    def __init__(
        self, environment: Mapping[str, str], directory: Path, built: Path, port: int = 0
    ) -> None:
        self._server = VercelServer(built, directory, environment, port=port or None)
        self.url = self._server.url
        self.log = self._server.log

    def start(self) -> None:
        """Start it; the function starts with its first request."""
        self._server.start()

    def stop(self) -> None:
        """Retire the instances, and end it."""
        self._server.stop()

    def kill(self) -> None:
        """Kill all instances."""
        asyncio.run(self._server.kill())


class Lambda(Platform):
    """The ``built`` bundle on the emulator of Lambda, with one way to its answers.

    It can invoke itself. ``sweep_seconds``: how often a schedule has it sweep, None for never;
    ``timeout``: how many seconds an invocation has.
    """

    streams: bool
    handler: str
    longest: float

    def __init__(
        self,
        environment: Mapping[str, str],
        directory: Path,
        built: Path,
        port: int = 0,
        sweep_seconds: float | None = None,
        timeout: float | None = None,
    ) -> None:
        invoke_port = free_port()
        self.function = LambdaFunction(
            built,
            self.handler,
            {**environment, "AWS_ENDPOINT_URL_LAMBDA": f"http://{HOST}:{invoke_port}"},
            data=directory,
            name="stream" if self.streams else "api",
            timeout=timeout or self.longest,
            wrapper=WRAPPER if self.streams else None,
            max_environments=50,
        )
        self.events = EventQueue(
            self.function, retry_seconds=(), event_age_seconds=EVENT_AGE_SECONDS
        )
        front = (FunctionUrl if self.streams else HttpApi)(self.function, port or free_port())
        self._parts: list[Startable] = [
            self.function,
            InvokeApi(self.function, self.events, invoke_port),
            front,
        ]
        if sweep_seconds is not None:
            self._parts.append(Schedule(self.function, self.events, SWEEP, sweep_seconds))
        self.url = front.url
        self.log = self.function.log

    def start(self) -> None:
        """Be ready; a function starts with each request that finds none free."""
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        """End all environments."""
        for part in reversed(self._parts):
            part.stop()

    def kill(self) -> None:
        """Kill all environments."""
        self.function.kill()


class LambdaStream(Lambda):
    """Streamed answers, through a function URL."""

    streams = True
    handler = "functions.app.app"
    longest = 60.0


class LambdaBuffered(Lambda):
    """Whole answers, through an HTTP API."""

    streams = False
    handler = "functions.streams.handler"
    longest = 29.0


def bundle_for_lambda(directory: Path) -> None:
    """Make the bundle that `sam build` makes; raise ServerFailed."""
    try:
        made = subprocess.run(
            [BUNDLE, directory],
            env={**os.environ, "PYTHON": sys.executable},
            capture_output=True,
            text=True,
            timeout=BUNDLE_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ServerFailed(f"the bundle was not made in {BUNDLE_SECONDS:.0f} s") from error
    if made.returncode:
        raise ServerFailed(f"the bundle cannot be made:\n{made.stderr.strip()}")


def build_for_vercel(directory: Path, packages: Sequence[str] = ("boto3",)) -> None:
    """Have Vercel's command line build, with the SDK for dynamodb:// too; raise ServerFailed."""
    try:
        build(directory, packages)
    except BuildFailed as error:
        raise ServerFailed(str(error)) from error


def fresh(directory: Path, make: Callable[[Path], None]) -> Path:
    """Return ``directory``, made by ``make`` if it is not of the checkout as it is now."""
    stamp, digest = directory.with_suffix(".sources"), _sources()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_suffix(".lock").open("w") as lock:  # others may be about to make it too
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.is_dir() or not stamp.is_file() or stamp.read_text() != digest:
            shutil.rmtree(directory, ignore_errors=True)
            make(directory)
            stamp.write_text(digest)
    return directory


def _sources() -> str:
    paths = [path for path in ROOT.iterdir() if path.suffix in (".toml", ".json", ".txt")]
    for name in SOURCES:
        paths += (ROOT / name).rglob("*")
    whole = hashlib.blake2b(digest_size=16)
    for path in sorted(paths):
        if path.is_file() and "__pycache__" not in path.parts:
            whole.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return whole.hexdigest()
