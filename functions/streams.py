"""Publish, subscribe, history, and sessions: the generic service."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lastevent import __version__
from lastevent.adapters.lambda_buffered import LambdaHandler
from lastevent.core.errors import LastEventError
from lastevent.serve.app import App, endpoint, leg_endpoint, router
from lastevent.serve.publish import delete, publish
from lastevent.serve.service import Service
from lastevent.serve.session import become, identities, sign_in, sign_out, who
from lastevent.serve.subscribe import Subscription, requested_streams, requested_types

HEALTH_SECONDS = 3.0
HEALTH_STREAM = "health"


def _streams(request: Request) -> tuple[str, ...]:
    """Return the streams that the path names, or the query does."""
    named = request.path_params.get("stream")
    return requested_streams([named] if named else request.query_params.getlist("stream"))


async def _subscription(service: Service, request: Request) -> Subscription:
    return Subscription(_streams(request), types=requested_types(request))


async def health(service: Service, request: Request) -> Response:
    """Say whether the store answers."""
    status, state = 200, "ok"
    try:
        async with asyncio.timeout(HEALTH_SECONDS):
            await service.store.log.describe(HEALTH_STREAM)
    except (TimeoutError, LastEventError):
        status, state = 503, "the store does not answer"
    body = {"status": state, "store": service.store.name, "version": __version__}
    return JSONResponse(body, status, headers={"Cache-Control": "no-store"})


routes = [
    # They are tried in turn: what is asked for most comes first.
    Route("/api/streams/{stream}", endpoint(publish), methods=["POST"]),
    Route("/api/streams/{stream}", leg_endpoint(_subscription), methods=["GET"]),
    Route("/api/streams/{stream}", endpoint(delete), methods=["DELETE"]),
    Route("/api/streams", leg_endpoint(_subscription), methods=["GET"]),
    Route("/api/health", endpoint(health), methods=["GET"]),
    Route("/api/session", endpoint(who), methods=["GET"]),
    Route("/api/session", endpoint(sign_in), methods=["POST"]),
    Route("/api/session", endpoint(sign_out), methods=["DELETE"]),
    Route("/api/login", endpoint(identities), methods=["GET"]),
    Route("/api/login", endpoint(become), methods=["POST"]),
]

app = App(router(routes))
handler = LambdaHandler(app)
