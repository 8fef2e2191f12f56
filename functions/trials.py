"""Trials of a connection: numbers to follow, and faults to come back from."""

from typing import Annotated

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from lastevent.core.errors import InvalidRequest
from lastevent.serve.app import App, endpoint, leg_endpoint, router
from lastevent.serve.faults import FaultySend
from lastevent.serve.response import LegResponse
from lastevent.serve.service import Service
from lastevent.serve.subscribe import Subscription, requested_types
from lastevent.services.messaging.people import user_id, user_key
from lastevent.services.trial import MAX_FAULTS, MAX_NUMBERS, Fault, base_of
from lastevent.services.trials import Trials

BODY_BYTES = 200
READERS = ("page", "native", "replay")
OBEDIENT = ("page", "native")
"""Those whose responses do what is asked for. A replay reads what there is, and leaves."""

RETRY_SECONDS = 2
NO_STORE = {"Cache-Control": "no-store"}


async def _owner(service: Service, request: Request) -> str:
    """Return who calls, if that may try connections: in development everybody."""
    identity = await service.auth.identify(request)
    owner = user_key(user_id(identity.sub))
    if not service.settings.development:
        identity.must_append(base_of(owner))
    return owner


def _trials(service: Service) -> Trials:
    return Trials(service.store)


async def begin(service: Service, request: Request) -> Response:
    """Begin a trial; tell how much of it there is."""
    trial = await service.part(_trials).begin(await _owner(service, request))
    limits = {"numbers": MAX_NUMBERS, "faults": MAX_FAULTS}
    answer = {"id": trial.id, "stream": trial.stream, "expires": trial.expires, **limits}
    return JSONResponse(answer, status_code=201, headers=NO_STORE)


async def publish(service: Service, request: Request) -> Response:
    """Append a number to a trial, once however often it is sent."""
    from pydantic import Field

    from lastevent.serve.bodies import Body, parse_json, read_body, validate

    class NumberBody(Body):
        number: Annotated[int, Field(ge=1, le=MAX_NUMBERS)]

    owner = await _owner(service, request)
    body = validate(NumberBody, parse_json(await read_body(request, BODY_BYTES)))
    trials = service.part(_trials)
    trial = await trials.get(owner, request.path_params["trial"])
    id = await trials.publish(trial, body.number)
    return JSONResponse({"id": id}, status_code=201, headers=NO_STORE)


async def ask(service: Service, request: Request) -> Response:
    """Ask for a fault."""
    from lastevent.serve.bodies import Body, parse_json, read_body, validate

    class FaultBody(Body):
        fault: str

    owner = await _owner(service, request)
    body = validate(FaultBody, parse_json(await read_body(request, BODY_BYTES)))
    if body.fault not in tuple(Fault):
        raise InvalidRequest(f"fault is one of {', '.join(Fault)}")
    id = await service.part(_trials).ask(owner, request.path_params["trial"], Fault(body.fault))
    return JSONResponse({"id": id}, status_code=201, headers=NO_STORE)


class _Over(Exception):
    """The request is to be answered as if the stream were closed."""


async def _subscription(service: Service, request: Request) -> Subscription:
    """Follow a trial, unless a refusal was asked for."""
    owner = await _owner(service, request)
    reader = request.query_params.get("reader", READERS[0])
    if reader not in READERS:
        raise InvalidRequest(f"reader is one of {', '.join(READERS)}")
    obeys = reader in OBEDIENT
    trials = service.part(_trials)
    id = request.path_params["trial"]
    trial, refusal = (
        await trials.met(owner, id, reader) if obeys else (await trials.get(owner, id), None)
    )
    match refusal:
        case Fault.BUSY:
            # Not as trouble of ours, which an event stream is told of with 200 (RULES 18).
            detail = f"this refusal was asked for: come back after {RETRY_SECONDS} seconds"
            raise HTTPException(503, detail, {"Retry-After": str(RETRY_SECONDS)})
        case Fault.GONE:
            raise _Over

    def through(response: LegResponse, send: Send) -> Send:
        return FaultySend(response, send, service.settings.heartbeat_seconds)

    return Subscription(
        (trial.stream,),
        types=requested_types(request),
        held=True,
        granted=True,
        through=through if obeys else None,
    )


class _Following:
    """The legs of a trial."""

    def __init__(self) -> None:
        self._legs = leg_endpoint(_subscription)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._legs(scope, receive, send)
        except _Over:
            await Response(status_code=204, headers=NO_STORE)(scope, receive, send)


routes = [
    Route("/api/trial", endpoint(begin), methods=["POST"]),
    Route("/api/trial/{trial}", _Following(), methods=["GET"]),
    Route("/api/trial/{trial}/numbers", endpoint(publish), methods=["POST"]),
    Route("/api/trial/{trial}/faults", endpoint(ask), methods=["POST"]),
]

app = App(router(routes))
