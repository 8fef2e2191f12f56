"""What `make run AS=vercel|lambda-stream|lambda-buffered` runs: the built functions, and a log.

The functions are built as for the platform (again only when something has changed) and served by
its emulator. A token is needed there as on the platform. The log is that of a command which runs
here (examples/preview.py), outside the platform as publishers are.
"""

import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from infra.local.child import ServerFailed
from infra.local.platforms import (
    ROOT,
    LambdaBuffered,
    LambdaStream,
    Platform,
    Vercel,
    build_for_vercel,
    bundle_for_lambda,
    fresh,
)
from lastevent.serve.auth import development_secret, mint

BUILT = ROOT / "dist"
TOKEN_SECONDS = 12 * 3600.0
START_SECONDS = 30.0
STOP_SECONDS = 10.0
SWEEP_SECONDS = 60.0
"""As template.yaml has it."""

Make = Callable[[Mapping[str, str], Path, int], Platform]


def _vercel(environment: Mapping[str, str], data: Path, port: int) -> Platform:
    return Vercel(environment, data, fresh(BUILT / "vercel", build_for_vercel), port)


def _lambda_stream(environment: Mapping[str, str], data: Path, port: int) -> Platform:
    bundle = fresh(BUILT / "lambda", bundle_for_lambda)
    return LambdaStream(environment, data, bundle, port, SWEEP_SECONDS)


def _lambda_buffered(environment: Mapping[str, str], data: Path, port: int) -> Platform:
    return LambdaBuffered(environment, data, fresh(BUILT / "lambda", bundle_for_lambda), port)


BUILT_PLATFORMS: Mapping[str, Make] = {
    "vercel": _vercel,
    "lambda-stream": _lambda_stream,
    "lambda-buffered": _lambda_buffered,
}


def serve(name: str, environment: Mapping[str, str], data: Path, port: int) -> int:
    """Build, serve and publish until interrupted; return the exit code. Raises ServerFailed.

    ``environment``: where the store is, and what the user has set for the functions.
    """
    secret = development_secret(data)
    token = mint(secret, {"sub": "developer", "read": ["*"], "append": ["*"]}, TOKEN_SECONDS)
    print(f"Building for {name}, unless nothing has changed", flush=True)
    settings = {"LASTEVENT_AUTH_SECRET": secret, **environment}
    stream = f"log:{int(time.time())}"
    with BUILT_PLATFORMS[name](settings, data / name, port) as platform:
        _wait_until_up(platform)
        publisher = _publish(platform.url, stream, token)
        try:
            print(_welcome(name, platform, stream, token), flush=True)
            threading.Event().wait()
        finally:
            publisher.terminate()
            try:
                publisher.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                publisher.kill()
    return 0


def _wait_until_up(platform: Platform) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{platform.url}/api/health", timeout=START_SECONDS):
                return
        except (OSError, urllib.error.HTTPError) as error:
            if time.monotonic() > until:
                said = platform.log.read_text(errors="replace")[-2000:].strip()
                raise ServerFailed(f"the functions do not answer ({error}): {said}") from error
            time.sleep(0.2)


def _publish(url: str, stream: str, token: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "lastevent.cli", "run", "--stream", stream, "--"]
    return subprocess.Popen(
        [*command, sys.executable, "examples/preview.py"],
        cwd=ROOT,
        env={**os.environ, "LASTEVENT_URL": url, "LASTEVENT_TOKEN": token},
        start_new_session=True,  # Ctrl-C is for this process, which ends things in their order
    )


def _welcome(name: str, platform: Platform, stream: str, token: str) -> str:
    url = platform.url
    header = 'curl -N -H "Authorization: Bearer $TOKEN"'
    lines = [
        "",
        f"  Lastevent runs as on {name}. Stop it with Ctrl-C.",
        "",
        f"    export TOKEN={token}",
        "",
        f"    a live log           {header} {url}/api/streams/{stream}",
        "      to its end         LASTEVENT_TOKEN=$TOKEN .venv/bin/lastevent tail "
        f"{stream} --url {url}",
        f"    publish              {header} {url}/api/streams/hello "
        """-d '{"type":"note","data":{"n":1}}'""",
        f"    what functions say   {os.path.relpath(platform.log)}",
        "",
        "  A response ends as planned, before the platform would cut it; a client comes back for",
        "  the rest. What is emulated, and what is not: infra/local/aws, infra/local/vercel.",
        "",
    ]
    return "\n".join(lines)
