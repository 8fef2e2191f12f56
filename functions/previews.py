"""Previews: start and stop the commands that the settings name, and follow their logs."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lastevent.core.errors import Transient
from lastevent.core.topic import matches_any, stream_name
from lastevent.serve.app import App, endpoint, leg_endpoint, router
from lastevent.serve.auth import Identity
from lastevent.serve.invocation import Invocation, invocation_of
from lastevent.serve.service import Service
from lastevent.serve.subscribe import Subscription, requested_types
from lastevent.serve.tasks import Task, spawn
from lastevent.services.preview import Preview, stream_of
from lastevent.services.previews import Previews

TASKS = {"preview": "functions.previews:run"}

ALL = stream_of("*")
"""Who may append to all of these may start and stop previews."""

BODY_BYTES = 4096
NO_STORE = {"Cache-Control": "no-store"}


def _previews(service: Service) -> Previews:
    settings = service.settings
    commands = settings.preview_commands or {}
    return Previews(service.store, commands, lease_seconds=settings.lease_seconds)


def _described(preview: Preview) -> dict[str, object]:
    return {
        "id": preview.id,
        "name": preview.name,
        "state": preview.state,
        "started_at": preview.started_at,
        "ends_at": preview.ends_at,
        "ended_at": preview.ended_at,
        "code": preview.code,
        "signal": preview.signal,
        "url": f"/previews?preview={preview.id}",
    }


async def _reader(service: Service, request: Request) -> tuple[Identity, str]:
    """Return who calls and the id that the path names, which that identity may read."""
    identity = await service.auth.identify(request)
    id = request.path_params["id"]
    identity.must_read(stream_name(stream_of(id)))
    return identity, id


async def index(service: Service, request: Request) -> Response:
    """List the previews that the caller may read, and the names that the caller may start."""
    identity = await service.auth.identify(request)
    previews = service.part(_previews)
    found = await previews.list()
    readable = [it for it in found if matches_any(identity.read, it.stream)]
    names = previews.names if matches_any(identity.append, ALL) else ()
    body = {"previews": [_described(preview) for preview in readable], "names": names}
    return JSONResponse(body, headers=NO_STORE)


async def start(service: Service, request: Request) -> Response:
    """Start a preview by the name of its command."""
    from lastevent.serve.bodies import Body, parse_json, read_body, validate

    class StartBody(Body):
        name: str

    identity = await service.auth.identify(request)
    identity.must_append(ALL)
    body = validate(StartBody, parse_json(await read_body(request, BODY_BYTES)))
    previews = service.part(_previews)
    invocation = invocation_of(request.scope)
    if invocation.may_freeze:  # nothing here lives on after the answer
        preview = await _spawned(service, invocation, await previews.announce(body.name))
    else:
        preview = await previews.start(body.name)
    return JSONResponse(_described(preview), 201, headers=NO_STORE)


async def _spawned(service: Service, invocation: Invocation, preview: Preview) -> Preview:
    try:
        await spawn(service, invocation, Task("preview", {"id": preview.id}))
    except Exception:
        # Whoever asked hears that it failed: so it must not run, should the task have been taken.
        with suppress(Transient):  # else nobody claims it, as a rule, and it ends as lost
            await service.part(_previews).stop(preview.id)
        raise
    return preview


async def run(service: Service, invocation: Invocation, argument: Mapping[str, Any]) -> None:
    """Run the preview whose ``id`` the argument names, until its end or that of the invocation."""
    previews = service.part(_previews)
    await previews.run(str(argument.get("id")), invocation.deadline, service.stopping)


async def sweep(service: Service) -> Sequence[Mapping[str, object]]:
    """End the logs of previews whose server is gone."""
    lost = await service.part(_previews).sweep()
    return [{"stream": it.stream, "kind": "previews", "state": it.state} for it in lost]


async def show(service: Service, request: Request) -> Response:
    """Answer with one preview."""
    _, id = await _reader(service, request)
    return JSONResponse(_described(await service.part(_previews).get(id)), headers=NO_STORE)


async def stop(service: Service, request: Request) -> Response:
    """Have a preview end; its log stays."""
    identity, id = await _reader(service, request)
    identity.must_append(ALL)
    return JSONResponse(_described(await service.part(_previews).stop(id)), headers=NO_STORE)


async def _log(service: Service, request: Request) -> Subscription:
    """Serve a preview's log; 404 for one that does not exist."""
    _, id = await _reader(service, request)
    previews = service.part(_previews)
    with suppress(Transient):  # the leg says so itself, and keeps its client (RULES 18)
        await previews.get(id)
    return Subscription(
        (stream_of(id),), types=requested_types(request), during=lambda _: previews.watch(id)
    )


routes = [
    Route("/api/previews", endpoint(index), methods=["GET"]),
    Route("/api/previews", endpoint(start), methods=["POST"]),
    Route("/api/previews/{id}", endpoint(show), methods=["GET"]),
    Route("/api/previews/{id}", endpoint(stop), methods=["DELETE"]),
    Route("/api/previews/{id}/logs/stream", leg_endpoint(_log), methods=["GET"]),
]

app = App(router(routes), tasks=TASKS)
