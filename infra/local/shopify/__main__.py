"""The API on a loopback port.

    python -m infra.local.shopify [--host 127.0.0.1] [--port 0] [--token TOKEN] [--search-lag 1]

Prints the variables that a server of ours needs. SIGTERM and SIGINT end it.
"""

import argparse
import secrets
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from infra.local.child import HOST, free_port
from infra.local.connection import ClosableProtocol
from infra.local.shopify import cdn
from infra.local.shopify.api import Api
from infra.local.shopify.control import PREFIX, Control
from infra.local.shopify.cost import Bucket
from infra.local.shopify.faults import Faults
from infra.local.shopify.keys import Keys
from infra.local.shopify.schema import VERSION
from infra.local.shopify.server import SHOP
from infra.local.shopify.shop import Shop


def main() -> int:
    """Serve until a signal comes; return the exit code."""
    arguments = _arguments()
    token = arguments.token or f"shpat_{secrets.token_hex(16)}"
    port = arguments.port or free_port()
    print(f"SHOPIFY_SHOP={SHOP}")
    print(f"SHOPIFY_API_URL=http://{arguments.host}:{port}/admin/api/{VERSION}")
    if not arguments.token:
        print(f"SHOPIFY_ACCESS_TOKEN={token}")
    print(f"LASTEVENT_IMAGE_HOSTS={arguments.host}:{port}", flush=True)
    uvicorn.run(
        application(token, arguments.search_lag, arguments.maximum, arguments.rate),
        host=arguments.host,
        port=port,
        http=ClosableProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    return 0


def application(token: str, search_lag: float, maximum: float, rate: float) -> Starlette:
    """Return the API, the pictures and the control as one application."""
    shop, keys, faults = Shop(search_lag), Keys(), Faults()
    api = Api(token, shop, keys, Bucket(maximum, rate), faults)
    return Starlette(
        routes=[
            Mount(PREFIX, routes=Control(api, shop, keys, faults).routes()),
            Route(f"/admin/api/{VERSION}/graphql.json", api, methods=["POST"]),
            *cdn.routes,
        ]
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A shop's Admin API, as far as stock goes.")
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--token")
    parser.add_argument("--search-lag", type=float, default=1.0, help="seconds")
    parser.add_argument("--maximum", type=float, default=20_000.0, help="points in the bucket")
    parser.add_argument("--rate", type=float, default=1000.0, help="points a second")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
