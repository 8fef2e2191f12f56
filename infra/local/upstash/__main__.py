"""The emulator on a loopback port, with a Valkey of its own.

    python infra/local/upstash --data .lastevent/upstash [--port 0] [--faults] [--replica]

Prints the two variables that a client needs (a token only if it was made up here). SIGTERM and
SIGINT end it and its Valkey.
"""

import argparse
import asyncio
import secrets
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import get_args

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from infra.local.child import HOST, ServerFailed, free_port
from infra.local.connection import ClosableProtocol
from infra.local.proxy import Proxy
from infra.local.upstash.api import Api, Tokens
from infra.local.upstash.control import PREFIX, Control
from infra.local.upstash.database import Database, Node
from infra.local.upstash.faults import Faults
from infra.local.upstash.subscriptions import Channels, Subscriptions
from infra.local.valkey_server import ValkeyServer


def main() -> int:
    """Serve until a signal comes; return the exit code."""
    # uvicorn raises the signal that ended it once more: Valkey is to be stopped all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        asyncio.run(_serve(_arguments()), loop_factory=uvloop.new_event_loop)
    except KeyboardInterrupt:
        return 0
    except ServerFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The Upstash Redis REST API over a real Valkey.")
    parser.add_argument("--data", type=Path, required=True, help="a directory for Valkey's data")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--valkey-port", type=int, default=0, help="0: a free one")
    parser.add_argument("--token")
    parser.add_argument("--read-only-token")
    parser.add_argument("--memory", action="store_true", help="keep nothing on the disk")
    parser.add_argument("--faults", action="store_true", help="faults on demand")
    parser.add_argument("--replica", action="store_true", help="a replica serves what only reads")
    parser.add_argument("--channels", choices=get_args(Channels.__value__), default="many")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    async with AsyncExitStack() as stack:
        valkey = ValkeyServer(
            arguments.data, durable=not arguments.memory, port=arguments.valkey_port or None
        )
        await asyncio.to_thread(valkey.start)
        stack.callback(valkey.stop)
        replication, replica = None, None
        if arguments.replica:
            replication = stack.enter_context(Proxy(valkey.port))
            copy = ValkeyServer(
                arguments.data / "replica", durable=False, replica_of=replication.port
            )
            await asyncio.to_thread(copy.start)
            stack.callback(copy.stop)
            replica = Node(copy.port)
        database = await Database.open(Node(valkey.port), replica)
        subscriptions, faults = Subscriptions(database, arguments.channels), Faults()
        control = Control(database, subscriptions, faults, valkey, replication)
        tokens = Tokens(
            arguments.token or secrets.token_urlsafe(24),
            arguments.read_only_token or secrets.token_urlsafe(24),
        )
        api = Api(database, subscriptions, faults, tokens)
        app = Starlette(
            routes=[
                Mount(PREFIX, routes=control.routes(faults=arguments.faults)),
                Route("/{path:path}", api, methods=None),
            ]
        )
        port = arguments.port or free_port()
        config = uvicorn.Config(
            app,
            HOST,
            port,
            http=ClosableProtocol,
            ws="none",
            lifespan="off",
            log_level="warning",
            # What is under way is a subscription or a fault: neither is worth a wait.
            timeout_graceful_shutdown=1,
        )
        print(f"UPSTASH_REDIS_REST_URL=http://{HOST}:{port}", flush=True)
        if not arguments.token:
            print(f"UPSTASH_REDIS_REST_TOKEN={tokens.standard}", flush=True)
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    sys.exit(main())
