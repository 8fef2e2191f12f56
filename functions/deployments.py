"""Deployments at Vercel: publish a site, ask for its state, follow its build, hand it over."""

import re
from collections.abc import Sequence
from functools import partial
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lastevent.core.errors import Forbidden, InvalidRequest, NotFound
from lastevent.core.topic import matches
from lastevent.serve.app import App, endpoint, leg_endpoint, router
from lastevent.serve.auth import Identity
from lastevent.serve.live import live_subscription, pumps
from lastevent.serve.service import Service
from lastevent.serve.settings import is_loopback
from lastevent.serve.subscribe import Subscription, requested_types
from lastevent.services.deployment import Deployment, deployment_id, stream_of
from lastevent.services.deployment_records import KIND
from lastevent.services.deployments import Deployments
from lastevent.sources.keeper import Live
from lastevent.sources.vercel.api import VercelApi

ALL = stream_of("*")
"""Who may append to all of these may publish."""

CLAIM_BYTES = 8192
LONGEST_ADDRESS = 2000
NO_STORE = {"Cache-Control": "no-store"}


def _deployments(service: Service) -> Deployments:
    settings = service.settings
    if settings.vercel_token is None:
        raise NotFound("no account of Vercel is set here: VERCEL_TOKEN is its token")
    api = VercelApi(
        settings.vercel_token, team=settings.vercel_team_id, url=settings.vercel_api_url
    )
    return Deployments(
        service.store,
        api,
        pumps(service).forget,
        log_seconds=settings.deployment_log_seconds,
    )


async def _named(service: Service, request: Request) -> tuple[Identity, Deployments, str]:
    """Return who calls, and the id of the deployment that the path names, which that identity may
    read."""
    identity = await service.auth.identify(request)
    deployments = service.part(_deployments)
    if not any(_covers_deployments(pattern) for pattern in identity.read):
        raise Forbidden("this identity may not read deployments: its token names none")
    id = await deployments.resolve(request.path_params["deploymentId"])
    identity.must_read(stream_of(id))
    return identity, deployments, id


def _covers_deployments(pattern: str) -> bool:
    """Whether a pattern covers any deployment's stream: for who may read none, nobody is asked."""
    return pattern.startswith(ALL[:-1]) or matches(pattern, ALL)


def _state(deployment: Deployment) -> dict[str, object]:
    told: dict[str, object] = {
        "id": deployment.id,
        "state": deployment.state,
        "readyState": deployment.ready_state,
        "url": deployment.url,
    }
    return told if deployment.error is None else told | {"error": deployment.error}


async def publish(service: Service, request: Request) -> Response:
    """Publish a site; answer as soon as its deployment exists."""
    from lastevent.serve.bodies import parse_json, read_body
    from lastevent.serve.site_body import parse_site

    identity = await service.auth.identify(request)
    identity.must_append(ALL)
    deployments = service.part(_deployments)
    body = parse_json(await read_body(request, service.settings.max_body_bytes))
    deployment = await deployments.publish(parse_site(body), identity.sub)
    path = f"/api/deploy/vercel/{deployment.id}"
    told = _state(deployment) | {
        "name": deployment.name,
        "inspectorUrl": deployment.inspector_url,
        "links": {name: f"{path}/{name}" for name in ("status", "stream", "claim")},
    }
    return JSONResponse(told, 201, headers=NO_STORE)


async def status(service: Service, request: Request) -> Response:
    """Answer with the state of a deployment, and where it is served."""
    _, deployments, id = await _named(service, request)
    return JSONResponse(_state(await deployments.get(id)), headers=NO_STORE)


async def _log(service: Service, request: Request) -> Subscription:
    """Serve a deployment's log; 404 for one that does not exist, 403 for one of others."""
    _, deployments, id = await _named(service, request)
    await deployments.open(id)
    live = _live(deployments, id)
    return await live_subscription(service, request, live, types=requested_types(request))


async def claim(service: Service, request: Request) -> Response:
    """Hand a deployment that was published here over, by a code and the page that takes it."""
    from lastevent.serve.bodies import Body, parse_json, read_body, validate

    class ClaimBody(Body):
        returnUrl: str | None = None

    identity, deployments, id = await _named(service, request)
    identity.must_append(stream_of(id))
    raw = await read_body(request, CLAIM_BYTES)
    body = validate(ClaimBody, parse_json(raw) if raw else {})
    deployment = await deployments.claim(id, _return_url(body.returnUrl))
    told = {
        "id": id,
        "code": deployment.transfer_code,
        "expiresAt": deployment.transfer_expires,
        "claimUrl": deployment.claim_url,
    }
    return JSONResponse(told, headers=NO_STORE)


def _return_url(text: str | None) -> str | None:
    """Return where the vendor sends people back to; raise InvalidRequest unless it is a page."""
    if text is None:
        return None
    parts = urlsplit(text) if re.fullmatch(r"[!-~]+", text) else None
    local = parts is not None and parts.scheme == "http" and is_loopback(parts.hostname or "")
    if parts is None or len(text) > LONGEST_ADDRESS or not parts.hostname:
        raise InvalidRequest("returnUrl: write the https:// address of a page")
    if parts.scheme != "https" and not local:
        raise InvalidRequest("returnUrl: write the https:// address of a page")
    return text


def _live(deployments: Deployments, id: str) -> Live:
    return Live(stream_of(id), KIND, partial(deployments.source, id))


async def resume(service: Service, stream: str) -> Live:
    """Return what pumps on a deployment's stream that was begun; raise NotFound if nothing can."""
    id = stream.removeprefix(stream_of(""))
    if stream_of(id) != stream or deployment_id(id) is None:
        raise NotFound(f"{stream} is not the stream of a deployment")
    return _live(service.part(_deployments), id)


async def sweep(service: Service) -> Sequence[dict[str, object]]:
    """Bring states up to date that nobody asks for, and forget old logs."""
    if service.settings.vercel_token is None:
        return ()
    return await service.part(_deployments).sweep()


routes = [
    Route("/api/deploy/vercel", endpoint(publish), methods=["POST"]),
    Route("/api/deploy/vercel/{deploymentId}/status", endpoint(status), methods=["GET"]),
    Route("/api/deploy/vercel/{deploymentId}/stream", leg_endpoint(_log), methods=["GET"]),
    Route("/api/deploy/vercel/{deploymentId}/claim", endpoint(claim), methods=["POST"]),
]

app = App(router(routes))
