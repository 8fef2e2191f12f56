"""Bodies of requests: read with a limit, checked by pydantic, and nothing of it further in."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from lastevent.core.cursor import Cursor
from lastevent.core.errors import InvalidRequest, TooLarge
from lastevent.core.event import MESSAGE, NewEvent
from lastevent.stores.base import MAX_BATCH_EVENTS


class Body(BaseModel):
    """A JSON object whose fields are all known."""

    model_config = ConfigDict(extra="forbid", strict=True)


class EventBody(Body):
    """One event to publish."""

    type: str = MESSAGE
    data: Any
    headers: dict[str, str] = Field(default_factory=dict)


class PublishBody(Body):
    """Events to append, and whether to close the stream after them."""

    events: Annotated[list[EventBody], Field(max_length=MAX_BATCH_EVENTS)] = Field(
        default_factory=list
    )
    close: bool = False
    expect: str | None = None


def validate[B: Body](model: type[B], value: object) -> B:
    """Return ``value`` as a ``model``; raise InvalidRequest that names the first fault."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise InvalidRequest(f"{place or 'body'}: {fault['msg']}") from error


class Publication:
    """A publish request's body as values of the core."""

    __slots__ = ("close", "events", "expect")

    def __init__(self, body: PublishBody, max_event_bytes: int) -> None:
        self.events = [_event(body, max_event_bytes) for body in body.events]
        self.close = body.close
        self.expect = None if body.expect is None else Cursor.parse(body.expect)


async def read_body(request: Request, limit: int) -> bytes:
    """Return the whole body; raise TooLarge as soon as it is over ``limit`` bytes."""
    size = 0
    pieces: list[bytes] = []
    announced = request.headers.get("content-length", "0")
    if announced.isdigit():
        size = int(announced[:15])
    if size <= limit:
        size = 0
        more = True
        while more and size <= limit:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise InvalidRequest("the body ended early")
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            more = message.get("more_body", False)
    if size > limit:
        raise TooLarge(f"a body has at most {limit} bytes")
    return b"".join(pieces)


def parse_json(body: bytes) -> Any:
    """Return the JSON value of ``body``; raise InvalidRequest for anything else (RFC 8259)."""
    try:
        return _JSON.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the body is not JSON: {error}") from error


def parse_publication(body: bytes, max_event_bytes: int) -> Publication:
    """Read the three forms of a publish body: one event, a list of them, or an object with both."""
    value = parse_json(body)
    if isinstance(value, list):
        value = {"events": value}
    elif not isinstance(value, dict):
        raise InvalidRequest('send an event {"type":…,"data":…}, a list of them, or {"events":[…]}')
    elif not value.keys() & {"events", "close", "expect"}:
        value = {"events": [value]}
    events = value.get("events")
    if isinstance(events, list) and len(events) > MAX_BATCH_EVENTS:
        raise TooLarge(f"a batch has at most {MAX_BATCH_EVENTS} events")
    return Publication(validate(PublishBody, value), max_event_bytes)


def _event(body: EventBody, max_bytes: int) -> NewEvent:
    data = body.data
    if not isinstance(data, str):
        data = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    event = NewEvent(body.type, data, body.headers)
    if event.size > max_bytes:
        raise TooLarge(f"an event's data has at most {max_bytes} bytes; this has {event.size}")
    return event


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


_JSON = json.JSONDecoder(parse_constant=_refuse_constant)  # json.loads would make one each time
