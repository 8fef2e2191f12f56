"""One operation of the API: a call is counted, allowed or refused, and meets its faults."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from infra.local.connection import Dropped, drop, hang
from infra.local.vercel_api import account as owned
from infra.local.vercel_api import refusal
from infra.local.vercel_api.account import Account
from infra.local.vercel_api.calls import Calls
from infra.local.vercel_api.faults import Faults, Rule
from infra.local.vercel_api.refusal import Refused

# So long that the half answer has left before its connection is closed.
CUT_SECONDS = 0.05

type Handler = Callable[[Request, owned.Scope], Awaitable[Response]]


class Operation:
    """One operation as an ASGI application: who asks, what goes wrong, what is answered."""

    def __init__(
        self, name: str, handler: Handler, account: Account, calls: Calls, faults: Faults
    ) -> None:
        self._name = name
        self._handler = handler
        self._account = account
        self._calls = calls
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        asked = Request(scope, receive)
        with self._calls.under_way(self._name, asked.path_params.get("id_or_url")):
            rules = self._faults.take(lambda rule: rule.concerns(self._name))
            try:
                response = await self._answer(asked, rules)
            except Refused as refused:
                response = refused.response()
            except (Dropped, ClientDisconnect):
                return
            if any(rule.kind == "cut" for rule in rules):
                send = _cutting(asked, send)
            try:
                await response(scope, receive, send)
            except (Dropped, ClientDisconnect):
                return

    async def _answer(self, asked: Request, rules: Sequence[Rule]) -> Response:
        query = asked.query_params
        scope = self._account.scope(
            asked.headers.get("authorization"), query.get("teamId"), query.get("slug")
        )
        for rule in rules:
            await _suffer(rule, asked)
        return await self._handler(asked, scope)


async def _suffer(rule: Rule, asked: Request) -> None:
    """Let happen what a rule says before the request is carried out."""
    match rule.kind:
        case "delay":
            await asyncio.sleep(rule.seconds)
        case "status":
            raise refusal.failed(rule.status, rule.retry_after)
        case "drop":
            await drop(asked)
        case "hang":
            await hang(asked)


def _cutting(asked: Request, send: Send) -> Send:
    """Return a `send` that passes on the first half of the first part, and closes."""

    async def cutting(message: Message) -> None:
        body: bytes = message.get("body", b"")
        if message["type"] != "http.response.body" or not body:
            await send(message)
            return
        await send({**message, "body": body[: len(body) // 2 + 1], "more_body": True})
        await asyncio.sleep(CUT_SECONDS)
        await drop(asked)

    return cutting
