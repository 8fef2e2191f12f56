"""The API on a loopback port.

    python -m infra.local.vercel_api [--host 127.0.0.1] [--port 0] [--build next] [--speed 1]

Prints the two variables that a client needs. SIGTERM and SIGINT end it.
"""

import argparse
import secrets
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount

from infra.local.child import HOST, free_port
from infra.local.connection import ClosableProtocol
from infra.local.vercel_api.account import Account, Play
from infra.local.vercel_api.api import Api
from infra.local.vercel_api.builds import BUILDS
from infra.local.vercel_api.calls import Calls
from infra.local.vercel_api.control import PREFIX, Control
from infra.local.vercel_api.faults import Faults
from infra.local.vercel_api.refusal import Refused


def main() -> int:
    """Serve until a signal comes; return the exit code."""
    arguments = _arguments()
    token = arguments.token or secrets.token_hex(12)
    stranger_token = arguments.stranger_token or secrets.token_hex(12)
    play = Play(arguments.build, arguments.speed)
    app = application(Account(token, stranger_token, play, arguments.seed))
    port = arguments.port or free_port()
    print(f"VERCEL_API_URL=http://{arguments.host}:{port}", flush=True)
    if not arguments.token:
        print(f"VERCEL_TOKEN={token}", flush=True)
    uvicorn.run(
        app,
        host=arguments.host,
        port=port,
        http=ClosableProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        # What is under way is a log that is followed, or a fault: neither is worth a wait.
        timeout_graceful_shutdown=1,
    )
    return 0


def application(account: Account) -> Starlette:
    """Return the API and its control as one application."""
    calls, faults = Calls(), Faults()
    return Starlette(
        routes=[
            Mount(PREFIX, routes=Control(account, calls, faults).routes()),
            *Api(account, calls, faults).routes(),
        ],
        exception_handlers={HTTPException: _unknown},
    )


async def _unknown(asked: Request, error: Exception) -> Response:
    """Answer for a path or a method that is not modelled, in the vendor's form."""
    assert isinstance(error, HTTPException)
    code = "method_unknown" if error.status_code == 405 else "not_found"
    refused = Refused(error.status_code, code, f"No endpoint is {asked.method} {asked.url.path}")
    return refused.response()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Vercel's REST API, as far as builds go.")
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--token")
    parser.add_argument("--stranger-token", help="of one who may see nothing")
    parser.add_argument("--build", choices=BUILDS, default="next", help="what is played")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0, help="the same ids again for the same seed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
