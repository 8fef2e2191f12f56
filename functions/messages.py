"""Messages between clients and professionals, and who of them is online."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lastevent.core.errors import InvalidRequest
from lastevent.serve.app import App, endpoint, leg_endpoint, router
from lastevent.serve.service import Service
from lastevent.serve.subscribe import Subscription, requested_types
from lastevent.services.messaging.conversation import Mark
from lastevent.services.messaging.message import MAX_ATTACHMENTS, Draft, Limits
from lastevent.services.messaging.people import User, stream_of, typing_stream, user_id
from lastevent.services.messaging.presence import Presence
from lastevent.services.messaging.service import Messaging

SHORT_BYTES = 4096
LONG_BYTES = 136 * 1024
"""A message of the most characters that a setting allows, each in JSON's longest writing (twice six
bytes), with its attachments."""

PAGE = 50
MAX_PAGE = 100
MAX_ASKED = 50
NO_STORE = {"Cache-Control": "no-store"}
_NUMBER = re.compile(r"[1-9][0-9]{0,10}")


def _messaging(service: Service) -> Messaging:
    settings = service.settings
    return Messaging(
        service.store,
        Limits(
            length=settings.message_length,
            rate=settings.message_rate,
            attachment_hosts=settings.message_attachment_hosts,
        ),
    )


def _presence(service: Service) -> Presence:
    return Presence(service.store, service.part(_messaging).others)


async def _user(service: Service, request: Request) -> User:
    """Return who calls; raise Forbidden unless that is a client or a professional."""
    identity = await service.auth.identify(request)
    return User.of(identity.sub, identity.role, identity.name)


async def send(service: Service, request: Request) -> Response:
    """Send a message: to a professional, by a client; or within a conversation."""
    from pydantic import Field

    from lastevent.serve.bodies import Body, parse_json, read_body, validate

    class SendBody(Body):
        to: str | None = None
        conversation: str | None = None
        text: str = ""
        attachments: list[str] = Field(default_factory=list, max_length=MAX_ATTACHMENTS)
        clientMessageId: str

    user = await _user(service, request)
    messaging = service.part(_messaging)
    body = validate(SendBody, parse_json(await read_body(request, LONG_BYTES)))
    draft = Draft.of(body.text, body.clientMessageId, body.attachments, messaging.limits)
    if body.to is not None and body.conversation is None:
        answer = await messaging.begin(user, body.to, draft)
    elif body.conversation is not None and body.to is None:
        answer = await messaging.send(user, body.conversation, draft)
    else:
        raise InvalidRequest("name either the conversation, or to whom you begin one")
    return JSONResponse(answer, 201, headers=NO_STORE)


async def index(service: Service, request: Request) -> Response:
    """List the caller's conversations, or the messages of one; a page at a time."""
    user = await _user(service, request)
    messaging = service.part(_messaging)
    query = request.query_params
    limit = _whole(request, "limit", PAGE, MAX_PAGE)
    id = query.get("conversation")
    body: dict[str, object] = {}
    if id is None:
        page = await messaging.conversations(user, query.get("before"), limit)
        body["conversations"] = page.items
    else:
        before = _whole(request, "before", None, 10**10)
        page = await messaging.history(user, id, before, limit)
        body["conversation"] = page.about
        body["messages"] = page.items
    return JSONResponse(body | {"next": page.before, "cursor": page.cursor}, headers=NO_STORE)


async def edit(service: Service, request: Request) -> Response:
    """Change what a message says."""
    from lastevent.serve.bodies import Body, parse_json, read_body, validate

    class EditBody(Body):
        text: str

    user = await _user(service, request)
    body = validate(EditBody, parse_json(await read_body(request, LONG_BYTES)))
    told = await service.part(_messaging).edit(user, request.path_params["id"], body.text)
    return JSONResponse(told, headers=NO_STORE)


async def delete(service: Service, request: Request) -> Response:
    """Have a message say nothing any more."""
    user = await _user(service, request)
    await service.part(_messaging).delete(user, request.path_params["id"])
    return Response(status_code=204)


async def mark(service: Service, request: Request, *, how: Mark) -> Response:
    """Say that messages have come to a device of the caller's, or were read, up to a number."""
    from lastevent.serve.bodies import Body, parse_json, read_body, validate

    class MarkBody(Body):
        conversation: str
        number: int

    user = await _user(service, request)
    body = validate(MarkBody, parse_json(await read_body(request, SHORT_BYTES)))
    told = await service.part(_messaging).mark(user, body.conversation, how, body.number)
    return JSONResponse(told, headers=NO_STORE)


async def typing(service: Service, request: Request) -> Response:
    """Tell the other side that the caller is typing."""
    from lastevent.serve.bodies import Body, parse_json, read_body, validate

    class TypingBody(Body):
        conversation: str

    user = await _user(service, request)
    body = validate(TypingBody, parse_json(await read_body(request, SHORT_BYTES)))
    await service.part(_messaging).typing(user, body.conversation)
    return Response(status_code=204)


async def presence(service: Service, request: Request) -> Response:
    """Say who is online, of those with whom the caller has conversations; others are left out."""
    user = await _user(service, request)
    named = [part for text in request.query_params.getlist("users") for part in text.split(",")]
    ids = list(dict.fromkeys(user_id(part) for part in named if part))
    if not 1 <= len(ids) <= MAX_ASKED:
        raise InvalidRequest(f"users: name 1 to {MAX_ASKED}, joined by commas")
    messaging = service.part(_messaging)
    cursor = await messaging.cursor(user)
    look = service.part(_presence).look
    seen = await asyncio.gather(*(look(id) for id in await messaging.known(user, ids)))
    body = {"users": [it.told for it in seen], "cursor": cursor}
    return JSONResponse(body, headers=NO_STORE)


async def _events(service: Service, request: Request) -> Subscription:
    """Serve everything that the caller is told; the caller is online meanwhile."""
    user = await _user(service, request)
    typing = typing_stream(user.id)
    return Subscription(
        (stream_of(user.id), typing),
        start="now",
        types=requested_types(request),
        during=partial(service.part(_presence).watch, user.id),
        granted=True,
        passing=frozenset({typing}),
    )


async def sweep(service: Service) -> Sequence[Mapping[str, object]]:
    """Tell what was left untold, and of those who are gone."""
    results = await asyncio.gather(
        service.part(_messaging).sweep(), service.part(_presence).sweep(), return_exceptions=True
    )
    for result in results:
        if isinstance(result, BaseException):
            raise result
    untold, gone = cast(list[list[str]], results)
    return [
        *({"stream": id, "kind": "messages", "state": "told"} for id in untold),
        *({"stream": stream_of(id), "kind": "messages", "state": "offline"} for id in gone),
    ]


def _whole[T](request: Request, name: str, default: T, most: int) -> int | T:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not _NUMBER.fullmatch(text) or int(text) > most:
        raise InvalidRequest(f"{name}: write a whole number from 1 to {most}")
    return int(text)


routes = [
    Route("/api/messages", endpoint(index), methods=["GET"]),
    Route("/api/messages/send", endpoint(send), methods=["POST"]),
    Route("/api/messages/delivered", endpoint(partial(mark, how="delivered")), methods=["POST"]),
    Route("/api/messages/read", endpoint(partial(mark, how="read")), methods=["POST"]),
    Route("/api/messages/typing", endpoint(typing), methods=["POST"]),
    Route("/api/messages/{id}", endpoint(edit), methods=["PATCH"]),
    Route("/api/messages/{id}", endpoint(delete), methods=["DELETE"]),
    Route("/api/presence", endpoint(presence), methods=["GET"]),
    Route("/api/sse", leg_endpoint(_events), methods=["GET"]),
]

app = App(router(routes))
