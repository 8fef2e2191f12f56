"""Debian's nginx, as a plain reverse proxy with the defaults that it ships with."""

import asyncio
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from lastevent.serve.auth import mint
from tests.browser.server import Server, free_port
from tests.project.tree import ROOT

START_SECONDS = 15.0
STOP_SECONDS = 15.0
SEARCHED = "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/sbin"

# What is not named here is nginx's own default, as `proxy_buffering on` and HTTP/1.0 upstream.
CONFIGURATION = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {options}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
        }}
    }}
}}
"""

StartNginx = Callable[..., Awaitable[str]]


def spawn(*command: str) -> "subprocess.Popen[bytes]":
    """Start a process in the checkout."""
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)


@asynccontextmanager
async def listening(process: "subprocess.Popen[bytes]", port: int) -> AsyncIterator[None]:
    """Wait until ``process`` listens on ``port``; end it in the end."""
    try:
        async with asyncio.timeout(START_SECONDS):
            while True:
                assert process.poll() is None, "it did not start"
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                except OSError:
                    await asyncio.sleep(0.02)
            writer.close()
        yield
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, STOP_SECONDS)
        finally:
            process.kill()


@pytest.fixture
async def nginx(tmp_path: Path) -> AsyncIterator[StartNginx]:
    """Return a function that starts an nginx before a port, and gives its address."""
    path = shutil.which("nginx") or shutil.which("nginx", path=SEARCHED)
    assert path, "there is no nginx: make prerequisites"
    async with AsyncExitStack() as stack:

        async def start(upstream: int, options: str = "") -> str:
            port = free_port()
            directory = tmp_path / f"nginx-{port}"
            directory.mkdir()
            configuration = directory / "nginx.conf"
            configuration.write_text(
                CONFIGURATION.format(
                    directory=directory, port=port, upstream=upstream, options=options
                )
            )
            process = spawn(path, "-e", str(directory / "error.log"), "-c", str(configuration))
            await stack.enter_async_context(listening(process, port))
            return f"http://127.0.0.1:{port}"

        yield start


@pytest.fixture(params=["httptools", "h11"])
async def server(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """A server of ours, under each of uvicorn's HTTP implementations.

    httptools sends chunks to an HTTP/1.0 client too, which nginx passes on as they come; h11 keeps
    to the protocol and sends plain bytes, which nginx collects unless it is asked not to.
    """
    secret = "s" * 40
    token = mint(secret, {"sub": "test", "read": ["*"], "append": ["*"]}, 600)
    server = Server(
        tmp_path,
        {"LASTEVENT_MAX_LEG_SECONDS": "60", "LASTEVENT_AUTH_SECRET": secret},
        ("uvicorn", "functions.app:app", "--http", request.param),
        {"Authorization": f"Bearer {token}"},
    )
    await server.start()
    yield server
    await server.end(signal.SIGTERM)


@pytest.fixture
async def bare_port() -> AsyncIterator[int]:
    """The port of the control."""
    port = free_port()
    command = (sys.executable, "-m", "uvicorn", "tests.nginx.bare_app:app", "--http", "h11")
    process = spawn(*command, "--port", str(port), "--log-level", "warning")
    async with listening(process, port):
        yield port
