"""Appending to a stream over HTTP, and deleting it."""

import json

from starlette.requests import Request
from starlette.responses import Response

from lastevent.core.errors import InvalidRequest
from lastevent.core.topic import stream_name
from lastevent.serve.service import Service

LONGEST_KEY = 255

_JSON = json.JSONEncoder(separators=(",", ":"))  # JSONResponse would make one each time
_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}


async def publish(service: Service, request: Request) -> Response:
    """Append the body's events, all or none; a repeated key gets the first answer again."""
    # The subscribe path does without pydantic, so it is not imported with this module.
    from lastevent.serve.bodies import parse_publication, read_body

    identity = await service.auth.identify(request)
    stream = stream_name(request.path_params["stream"])
    identity.must_append(stream)
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= LONGEST_KEY and key.isprintable()):
        raise InvalidRequest(f"an Idempotency-Key has 1 to {LONGEST_KEY} visible characters")
    settings = service.settings
    body = await read_body(request, settings.max_body_bytes)
    publication = parse_publication(body, settings.max_event_bytes)
    if not publication.events and not publication.close:
        raise InvalidRequest("there is nothing to append: send at least one event, or close")
    appended = await service.store.log.append(
        stream,
        publication.events,
        key=key,
        expect=publication.expect,
        close=publication.close,
    )
    answer = {"ids": appended.ids, "cursor": str(appended.cursor), "closed": appended.closed}
    return Response(_JSON.encode(answer), 201, _HEADERS)


async def delete(service: Service, request: Request) -> Response:
    """Delete the stream; 204, whether or not it existed."""
    identity = await service.auth.identify(request)
    stream = stream_name(request.path_params["stream"])
    identity.must_append(stream)
    await service.store.log.delete(stream)
    return Response(status_code=204)
