"""A merchant's purchase orders: upload one, follow the work on it, cancel it, have it done again.

Each request is about the merchant that the caller's token names, and about nobody else's orders.
"""

import asyncio
import logging
from base64 import b64decode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lastevent.core.errors import (
    Forbidden,
    InvalidName,
    InvalidRequest,
    LastEventError,
    NotFound,
    Transient,
)
from lastevent.serve.app import App, endpoint, leg_endpoint, router
from lastevent.serve.invocation import Invocation, invocation_of
from lastevent.serve.service import Service
from lastevent.serve.subscribe import Subscription, requested_types
from lastevent.serve.tasks import Task, spawn
from lastevent.serve.window import Types
from lastevent.services.merchant_events import CHANNELS, stream_of
from lastevent.services.workflow.described import described
from lastevent.services.workflow.records import KIND, MAX_INPUT_BYTES, UNFINISHED
from lastevent.services.workflow.values import Input, Run
from lastevent.services.workflow.workflows import Workflows

TASKS = {"workflow": "functions.realtime:run"}

CONTENT_TYPES = ("text/csv", "application/json", "text/plain")
LONGEST_NAME = 200
LONGEST_KEY = 255
MAX_PAGE = 100
MAX_LINES = 9999
SIDES = ("96", "480")
DIGEST_LENGTH = 32
NO_STORE = {"Cache-Control": "no-store"}
# Made by us, from what anybody may have sent: nothing in it is to be run.
OF_A_PICTURE = {
    "Cache-Control": "private, max-age=86400",
    "Content-Security-Policy": "default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}

log = logging.getLogger("lastevent")


def workflows(service: Service) -> Workflows:
    """Return the workflows of purchase orders: a part of the service."""
    # Who only follows needs none of this.
    from lastevent.serve.alerts import raise_alert
    from lastevent.serve.orders import purchase_orders

    async def tell_of_failure(run: Run) -> None:
        if run.state == "failed":
            stage = run.current.name if run.current else None
            details: dict[str, str | int | None] = {
                "workflow": run.workflow,
                "run": run.id,
                "subject": run.subject,
                "stage": stage,
                "round": run.round,
            }
            await raise_alert(
                service, "workflow-failed", f"{run.key}/{run.round}", "A workflow failed", details
            )

    known = service.part(purchase_orders).workflow()
    return Workflows(
        service.store,
        {known.name: known},
        lease_seconds=service.settings.lease_seconds,
        on_over=tell_of_failure,
    )


async def _merchant(service: Service, request: Request) -> str:
    """Return whose orders the caller may see; raise Forbidden for who has none."""
    merchant = (await service.auth.identify(request)).merchant
    if merchant is None:
        raise Forbidden("this identity is no merchant's: its token has no claim `merchant`")
    try:
        stream_of(merchant)
    except InvalidName as error:
        raise Forbidden(f"the token's claim `merchant` names no stream: {error}") from error
    return merchant


async def _cursor(service: Service, merchant: str) -> str:
    """Return where the merchant's stream ends: to be asked before what is to be shown (RULES 7)."""
    return str((await service.store.log.describe(stream_of(merchant))).head)


def _channels(request: Request) -> Types:
    """Return the types of the channels that the query names, None if it names none."""
    named = ",".join(request.query_params.getlist("channels"))
    channels = [channel for channel in named.split(",") if channel]
    for channel in channels:
        if channel not in CHANNELS:
            raise InvalidRequest(f"channels are {', '.join(CHANNELS)}; not {channel[:40]!r}")
    return frozenset(CHANNELS[channel] for channel in channels) or requested_types(request)


async def _events(service: Service, request: Request) -> Subscription:
    """Follow all orders of the caller's merchant, from now on unless a cursor says otherwise."""
    merchant = await _merchant(service, request)
    types = _channels(request)
    if request.method == "GET":
        await _nudge(service, invocation_of(request.scope), merchant)
    return Subscription((stream_of(merchant),), start="now", types=types, granted=True)


async def _nudge(service: Service, invocation: Invocation, merchant: str) -> None:
    """Have somebody go on with a merchant's orders that nobody seems to have: who follows them, or
    polls, keeps them going."""
    with suppress(Transient):  # the leg says so itself, and the sweep will do it
        if await service.store.records.query(UNFINISHED, prefix=f"{merchant}/", limit=1):
            for key in await service.part(workflows).abandoned(merchant):
                await _go_on(service, invocation, key)


async def _go_on(service: Service, invocation: Invocation, key: str) -> None:
    """Have a run gone on with, beyond this request."""
    if not invocation.may_freeze and invocation.spawn is None:
        invocation = Invocation()  # the process lives on, whatever bounds this request
    try:
        await spawn(service, invocation, Task("workflow", {"run": key}))
    except LastEventError as error:  # the run is written down, whatever a platform says
        log.warning("%s is left to the sweep: %s", key, error)


async def run(service: Service, invocation: Invocation, argument: Mapping[str, Any]) -> str:
    """Go on with the run that the argument names, as far as this invocation gets; say how far."""
    key = str(argument.get("run"))
    done = service.part(workflows).runner
    outcome = await done.run(key, invocation.deadline, service.stopping)
    if outcome == "left" and not service.stopping.is_set():
        await _go_on(service, invocation, key)
    return outcome


async def index(service: Service, request: Request) -> Response:
    """List the merchant's orders, the newest first."""
    merchant = await _merchant(service, request)
    after, limit = request.query_params.get("after", ""), _number(request, "limit", 50, MAX_PAGE)
    cursor = await _cursor(service, merchant)
    runs = await service.part(workflows).of_merchant(merchant, after[:255], limit)
    if not all(run.is_over for run in runs):
        await _nudge(service, invocation_of(request.scope), merchant)
    told = {
        "purchaseOrders": [described(run) for run in runs],
        "next": runs[-1].subject if len(runs) == limit else None,
        "cursor": cursor,
    }
    return JSONResponse(told, headers=NO_STORE)


def _number(request: Request, name: str, default: int, most: int) -> int:
    """Return a whole number of the query; raise InvalidRequest."""
    text = request.query_params.get(name, str(default))
    least = min(default, 1)
    if not text.isascii() or not text.isdecimal() or not least <= int(text[:9]) <= most:
        raise InvalidRequest(f"{name} is a whole number from {least} to {most}")
    return int(text)


async def upload(service: Service, request: Request) -> Response:
    """Take an order in, and have the work on it begin."""
    from lastevent.serve.bodies import read_body

    merchant = await _merchant(service, request)
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() not in CONTENT_TYPES:
        raise InvalidRequest(f"send the file itself, as one of {', '.join(CONTENT_TYPES)}")
    name, key = request.query_params.get("name", ""), request.headers.get("idempotency-key")
    for what, text, longest in (
        ("Content-Type", content_type, LONGEST_NAME),
        ("name", name, LONGEST_NAME),
        ("Idempotency-Key", key or "", LONGEST_KEY),
    ):
        if len(text) > longest or not text.isprintable():
            raise InvalidRequest(f"{what} has at most {longest} visible characters")
    if key == "":
        raise InvalidRequest("an Idempotency-Key has at least one character")
    content = await read_body(request, min(service.settings.max_body_bytes, MAX_INPUT_BYTES))
    if not content:
        raise InvalidRequest("the file is empty")
    cursor = await _cursor(service, merchant)
    orders = service.part(workflows)
    begun = await orders.begin("purchase-order", merchant, Input(content, content_type, name), key)
    if not begun.is_over:
        await _go_on(service, invocation_of(request.scope), begun.key)
    return _answer(begun, cursor, 201)


async def show(service: Service, request: Request) -> Response:
    """Answer with one order: where the work on it is, stage by stage."""
    merchant, id = await _named(service, request)
    cursor = await _cursor(service, merchant)
    found = await service.part(workflows).get(merchant, id)
    if not found.is_over:
        await _nudge(service, invocation_of(request.scope), merchant)
    return _answer(found, cursor)


async def lines(service: Service, request: Request) -> Response:
    """Answer with a page of an order's lines, each with its product and its pictures."""
    from lastevent.services.purchase_orders.records import OrderRecords
    from lastevent.services.purchase_orders.results import lines_of

    merchant, id = await _named(service, request)
    limit, after = _number(request, "limit", 50, MAX_PAGE), _number(request, "after", 0, MAX_LINES)
    await service.part(workflows).get(merchant, id)
    order, found = await lines_of(OrderRecords(service.store, merchant), id, after, limit)
    following = found[-1]["number"] if len(found) == limit else None
    return JSONResponse({"order": order, "lines": found, "next": following}, headers=NO_STORE)


async def picture(service: Service, request: Request) -> Response:
    """Answer with a thumbnail of one of the merchant's pictures."""
    from lastevent.services.purchase_orders.records import OrderRecords

    merchant, image = await _merchant(service, request), request.path_params["image"]
    side = request.query_params.get("side", "96")
    found = None
    if len(image) == DIGEST_LENGTH and side in SIDES:
        found = await OrderRecords(service.store, merchant).thumbnail_of(image, int(side))
    if found is None:
        raise NotFound("there is no such picture here")
    media_type = f"image/{found.format.lower()}"
    return Response(b64decode(found.data), media_type=media_type, headers=OF_A_PICTURE)


async def cancel(service: Service, request: Request) -> Response:
    """Have the work on an order end."""
    merchant, id = await _named(service, request)
    cursor = await _cursor(service, merchant)
    found = await service.part(workflows).cancel(merchant, id)
    if not found.is_over:  # who has it may be gone
        await _go_on(service, invocation_of(request.scope), found.key)
    return _answer(found, cursor)


async def rerun(service: Service, request: Request) -> Response:
    """Have the work on an order go on from the stage at which it failed or was cancelled."""
    merchant, id = await _named(service, request)
    cursor = await _cursor(service, merchant)
    begun = await service.part(workflows).again(merchant, id)
    await _go_on(service, invocation_of(request.scope), begun.key)
    return _answer(begun, cursor)


async def _named(service: Service, request: Request) -> tuple[str, str]:
    """Return the caller's merchant and the id that the path names."""
    merchant, id = await _merchant(service, request), request.path_params["id"]
    if len(id) > 255:
        raise NotFound("there is no such order here")
    return merchant, id


def _answer(run: Run, cursor: str, status: int = 200) -> Response:
    return JSONResponse(described(run) | {"cursor": cursor}, status, headers=NO_STORE)


async def carry_on(service: Service, invocation: Invocation) -> Sequence[Mapping[str, object]]:
    """Have all runs gone on with that nobody seems to have; return them."""
    if not await service.store.records.query(UNFINISHED, limit=1):
        return ()
    keys = await service.part(workflows).abandoned()
    await asyncio.gather(*(_go_on(service, invocation, key) for key in keys))
    return [
        {"stream": stream_of(key.partition("/")[0]), "kind": KIND, "id": key, "state": "resumed"}
        for key in keys
    ]


routes = [
    Route("/api/realtime/events", leg_endpoint(_events), methods=["GET"]),
    Route("/api/purchase-orders", endpoint(index), methods=["GET"]),
    Route("/api/purchase-orders", endpoint(upload), methods=["POST"]),
    Route("/api/purchase-orders/images/{image}", endpoint(picture), methods=["GET"]),
    Route("/api/purchase-orders/{id}", endpoint(show), methods=["GET"]),
    Route("/api/purchase-orders/{id}/lines", endpoint(lines), methods=["GET"]),
    Route("/api/purchase-orders/{id}/cancel", endpoint(cancel), methods=["POST"]),
    Route("/api/purchase-orders/{id}/rerun", endpoint(rerun), methods=["POST"]),
]

app = App(router(routes), tasks=TASKS)
