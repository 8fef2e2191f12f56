"""The emulator on a loopback port.

    python -m infra.local.vercel --output dist/vercel --port 3000 --pass LASTEVENT_AUTH_SECRET …

The function gets the variables that are named by --pass, with the values that they have here, and
the platform's. SIGTERM and SIGINT retire its instances and end it.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from infra.local.child import HOST, ServerFailed, free_port
from infra.local.connection import ClosableProtocol
from infra.local.vercel.control import PREFIX, Control
from infra.local.vercel.edge import Edge
from infra.local.vercel.output import load
from infra.local.vercel.pool import Options, Pool
from infra.local.vercel.routes import Routes

DEFAULTS = Options()


class _Server(uvicorn.Server):
    """Leaves the signals to us: the instances end first, their last words go out through here."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main() -> int:
    """Serve until a signal comes; return the exit code."""
    try:
        asyncio.run(_serve(_arguments()), loop_factory=uvloop.new_event_loop)
    except ServerFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A built output as Vercel would serve it.")
    parser.add_argument("--output", type=Path, required=True, help="what infra.vercel.build made")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--pass", action="append", default=[], dest="names", metavar="VARIABLE")
    parser.add_argument("--max-duration", type=float, help="seconds, in place of the build's")
    parser.add_argument("--instances", type=int, default=DEFAULTS.instances)
    parser.add_argument("--concurrency", type=int, default=DEFAULTS.concurrency)
    parser.add_argument("--grace", type=float, default=DEFAULTS.grace_seconds, help="seconds")
    parser.add_argument("--freeze", action="store_true", help="stop what serves nothing")
    parser.add_argument("--disconnects", action="store_true", help="pass them on to the function")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    output = load(arguments.output)
    if len(output.functions) != 1:
        raise ServerFailed(f"one function is emulated, and there are {len(output.functions)}")
    (function,) = output.functions.values()
    options = Options(
        arguments.max_duration,
        arguments.instances,
        arguments.concurrency,
        arguments.grace,
        arguments.freeze,
        arguments.disconnects,
    )
    environment = {name: os.environ[name] for name in arguments.names if name in os.environ}
    pool = Pool(function, environment, options)
    edge = Edge(
        Routes(output),
        pool,
        max_duration=options.max_duration or function.max_duration,
        disconnects=options.disconnects,
    )
    port = arguments.port or free_port()
    url = f"http://{HOST}:{port}"
    control = Control(pool, output.crons, url, environment.get("CRON_SECRET"))
    app = Starlette(
        routes=[
            Mount(PREFIX, routes=control.routes()),
            Route("/{path:path}", edge, methods=None),
        ]
    )
    config = uvicorn.Config(
        app,
        HOST,
        port,
        http=ClosableProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        server_header=False,
        date_header=False,
        proxy_headers=False,  # what a client says of itself is what the edge overwrites
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    serving = asyncio.create_task(server.serve())
    print(url, flush=True)
    waiting = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        await pool.close()
        server.should_exit = True
        await serving


if __name__ == "__main__":
    sys.exit(main())
