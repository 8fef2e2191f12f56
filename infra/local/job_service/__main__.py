"""The service on a loopback port.

    python -m infra.local.job_service [--port 0] [--key KEY] [--acknowledges] [--tells-state]

Prints the settings by which Lastevent finds it. Its jobs are begun by its own endpoints
(control.py): curl URL/__service/jobs/7 -d '{"updates": 20, "seconds": 0.5}'. SIGTERM and SIGINT end
it.
"""

import argparse
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from infra.local.child import HOST, free_port
from infra.local.job_service.control import PREFIX, routes
from infra.local.job_service.service import JobService, ReachableProtocol


def main() -> int:
    """Serve until a signal comes."""
    arguments = _arguments()
    service = JobService(
        arguments.key,
        acknowledges=arguments.acknowledges,
        tells_state=arguments.tells_state,
        forbidden=frozenset(arguments.forbid),
    )
    port = arguments.port or free_port()
    app = Starlette(routes=[Mount(PREFIX, routes=routes(service)), *service.routes])
    print(f"JOBS_UPSTREAM_URL=http://{HOST}:{port}/ws", flush=True)
    print(f"JOBS_CHECK_URL=http://{HOST}:{port}/jobs/{{job}}/access?user={{user}}", flush=True)
    uvicorn.run(
        app,
        host=HOST,
        port=port,
        ws=ReachableProtocol,
        ws_ping_interval=None,
        lifespan="off",
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="An external job service, for trying and testing.")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--key", help="what clients must show")
    parser.add_argument("--acknowledges", action="store_true", help="answer who joins")
    parser.add_argument("--tells-state", action="store_true", help="tell who joins the last update")
    parser.add_argument("--forbid", action="append", default=[], help="a user who may see nothing")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
