"""Starting the peers: each is one process that serves, as ours is."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

from benchmarks.processes import ROOT, Server, free_port, listening, serving

PYTHON = ROOT / ".venv-peers" / "bin" / "python"
HERE = Path(__file__).resolve().parent
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
WORKER_SECONDS = 10.0
MISSING = "run `make peers` first: {} is missing"

NGINX = """
daemon off;
worker_processes 1;
load_module {module};
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    nchan_shared_memory_size 512M;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location ~ ^/publish/(.+)$ {{
            nchan_publisher;
            nchan_channel_id $1;
            nchan_message_buffer_length 100000;
            nchan_message_timeout 1h;
        }}
        location ~ ^/follow/(.+)$ {{
            nchan_subscriber eventsource;
            nchan_channel_id $1;
            nchan_subscriber_first_message oldest;
        }}
    }}
}}
"""


@asynccontextmanager
async def nchan() -> AsyncIterator[Server]:
    """nginx with nchan, its messages in memory."""
    program = _nginx()
    port = free_port()
    with TemporaryDirectory(prefix="lastevent-nchan-") as directory:
        configuration = Path(directory) / "nginx.conf"
        configuration.write_text(NGINX.format(module=NCHAN, directory=directory, port=port))
        command = (program, "-c", str(configuration), "-p", directory, "-e", "stderr")
        async with listening(command, port) as master:
            yield Server(await asyncio.to_thread(_worker, master.pid), port)


def _nginx() -> str:
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None or not NCHAN.exists():
        raise RuntimeError(MISSING.format("nginx with nchan"))
    return program


def _worker(master: int) -> int:
    """Return the process that does the work; the master only looks after it."""
    children = Path(f"/proc/{master}/task/{master}/children")
    until = monotonic() + WORKER_SECONDS
    while not (pids := children.read_text().split()):
        if monotonic() > until:
            raise RuntimeError("nginx has not begun to work")
        sleep(0.01)
    return int(pids[0])


@asynccontextmanager
async def sse_starlette() -> AsyncIterator[Server]:
    """sse-starlette under the same uvicorn as ours."""
    async with _in_python("benchmarks.peers.with_sse_starlette:app") as server:
        yield server


@asynccontextmanager
async def fastapi() -> AsyncIterator[Server]:
    """FastAPI under the same uvicorn as ours."""
    async with _in_python("benchmarks.peers.with_fastapi:app") as server:
        yield server


@asynccontextmanager
async def _in_python(app: str) -> AsyncIterator[Server]:
    if not PYTHON.exists():
        raise RuntimeError(MISSING.format(PYTHON.relative_to(ROOT)))
    async with serving(app, python=str(PYTHON), lifespan="off") as server:
        yield server


@asynccontextmanager
async def durable_streams() -> AsyncIterator[Server]:
    """The Durable Streams reference server, its streams in memory."""
    port = free_port()
    async with listening((node(), str(HERE / "durable_streams.mjs"), str(port)), port) as server:
        yield server


def node() -> str:
    """Return the program that runs the peers in JavaScript, once they are installed."""
    found = shutil.which("node")
    if found is None or not (HERE / "node_modules").is_dir():
        raise RuntimeError(MISSING.format("what comes from npm"))
    return found


def versions() -> dict[str, str]:
    """Return the versions of the peers that are installed."""
    found = {}
    package = HERE / "node_modules" / "@durable-streams" / "server" / "package.json"
    if package.exists():
        found["Durable Streams server"] = json.loads(package.read_text())["version"]
    for metadata in sorted(PYTHON.parent.parent.glob("lib/*/site-packages/*.dist-info/METADATA")):
        name, version = metadata.parent.name.removesuffix(".dist-info").rsplit("-", 1)
        if name in ("fastapi", "sse_starlette"):
            found[name] = version
    return found
