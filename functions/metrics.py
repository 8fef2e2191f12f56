"""What the servers count: for scrapers, for the page of the metrics, and from other pages."""

from typing import Annotated, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lastevent.core.errors import InvalidRequest
from lastevent.serve.app import App, endpoint, router
from lastevent.serve.metrics_views import MAX_MINUTES, Views
from lastevent.serve.service import Service
from lastevent.services.rates import Rate, Rates

NAME = "metrics"
"""Who may read a stream of this name may read the metrics."""

BEACON_BYTES = 8192
BEACON_RATE = Rate(60, 60.0)
"""Of one user, over all servers together: pages send one in 30 seconds at most."""

PREPAID = 10
MAX_PREPAID_USERS = 10_000
MAX_LATENCIES = 200
MAX_MS = 86_400_000.0
MAX_COUNT = 10_000
LEAST_MINUTES, USUAL_MINUTES = 5, 60
NO_STORE = {"Cache-Control": "no-store"}


async def exposition(service: Service, request: Request) -> Response:
    """Say everything that was counted, in the text format that the caller prefers."""
    from lastevent.services.metrics.prometheus import accepted

    (await service.auth.identify(request)).must_read(NAME)
    kind = accepted(request.headers.get("accept", ""))
    text = await service.part(Views).exposition(kind)
    return Response(text, headers={**NO_STORE, "Content-Type": kind, "Vary": "Accept"})


async def history(service: Service, request: Request) -> Response:
    """Say what was counted in the last minutes, as points in time."""
    (await service.auth.identify(request)).must_read(NAME)
    text = request.query_params.get("minutes", str(USUAL_MINUTES))
    minutes = int(text) if text.isdecimal() and len(text) <= len(str(MAX_MINUTES)) else 0
    if not LEAST_MINUTES <= minutes <= MAX_MINUTES:
        raise InvalidRequest(f"minutes is a whole number from {LEAST_MINUTES} to {MAX_MINUTES}")
    return JSONResponse(await service.part(Views).history(minutes), headers=NO_STORE)


async def beacon(service: Service, request: Request) -> Response:
    """Take in what a page of the caller's has measured."""
    from pydantic import Field

    from lastevent.serve.bodies import Body, parse_json, read_body, validate

    Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
    Ms = Annotated[float, Field(ge=0, le=MAX_MS, allow_inf_nan=False)]

    class Counts(Body):
        legs: Count = 0
        plannedEnds: Count = 0
        cuts: Count = 0
        polls: Count = 0

    class BeaconBody(Body):
        page: Annotated[str, Field(min_length=1, max_length=200)]
        transport: Literal["stream", "polling"]
        latencies: Annotated[list[Ms], Field(max_length=MAX_LATENCIES)]
        counts: Counts

    identity = await service.auth.identify(request)
    metrics = service.part(Views).metrics()
    body = validate(BeaconBody, parse_json(await read_body(request, BEACON_BYTES)))
    await service.part(_Allowance).take(identity.sub)
    metrics.told(identity.sub, body.transport, body.latencies, body.counts.model_dump())
    return Response(status_code=204, headers=NO_STORE)


class _Allowance:
    """Takes PREPAID uses of a user's rate from the store at once, and lets as many beacons pass:
    each by itself would cost the store more than the stream that it tells of."""

    def __init__(self, service: Service) -> None:
        self._rates = Rates(service.store.records)
        self._left: dict[str, int] = {}

    async def take(self, user: str) -> None:
        """Count a beacon; raise TooManyRequests if it is one too many."""
        if not self._left.get(user):
            if len(self._left) >= MAX_PREPAID_USERS:
                self._left.clear()
            await self._rates.take("beacons", user, BEACON_RATE, PREPAID)
            self._left[user] = self._left.get(user, 0) + PREPAID
        self._left[user] -= 1


routes = [
    Route("/api/metrics", endpoint(exposition), methods=["GET"]),
    Route("/api/metrics/history", endpoint(history), methods=["GET"]),
    Route("/api/metrics/beacon", endpoint(beacon), methods=["POST"]),
]

app = App(router(routes))
