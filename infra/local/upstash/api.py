"""The REST API: requests in, answers out."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from hmac import compare_digest

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from infra.local.connection import Dropped, close_connection, drop, hang
from infra.local.upstash import replies, request
from infra.local.upstash.catalogue import name_of
from infra.local.upstash.database import Database
from infra.local.upstash.faults import Faults, Rule, When
from infra.local.upstash.refusal import MAX_REQUEST_BYTES, Refused, no_permission, unauthorized
from infra.local.upstash.resp import Command, Failure, Reply
from infra.local.upstash.subscriptions import Subscription, Subscriptions

METHODS = frozenset({"HEAD", "GET", "POST", "PUT"})
SYNC_TOKEN = "upstash-sync-token"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The two tokens of a database."""

    standard: str
    read_only: str

    def is_read_only(self, token: str) -> bool:
        """Return which of the two a request has. Raises Refused (401)."""
        if compare_digest(token.encode(), self.standard.encode()):
            return False
        if compare_digest(token.encode(), self.read_only.encode()):
            return True
        raise unauthorized()


@dataclass(frozen=True, slots=True)
class Api:
    """An ASGI application for every path but the emulator's own."""

    database: Database
    subscriptions: Subscriptions
    faults: Faults
    tokens: Tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            response = await self._response(Request(scope, receive))
        except Refused as refused:
            response = _refusal(refused)
        except (Dropped, ClientDisconnect):
            return
        await response(scope, receive, send)

    async def _response(self, asked: Request) -> Response:
        if asked.method not in METHODS:
            raise Refused("ERR unsupported HTTP method", 405)
        query = asked.scope["query_string"]
        read_only = self.tokens.is_read_only(request.token_of(asked.headers, query))
        path = request.segments(asked.scope["raw_path"])
        if path[0].lower() in (b"subscribe", b"psubscribe"):
            return await self._subscribed(asked, path[0].decode().upper(), path[1:], read_only)
        body = await _body(asked)
        match path:
            case [b"pipeline"] | [b"multi-exec"]:
                commands = request.from_bodies(body)
            case [b""]:
                commands = [request.from_body(body)]
            case _:
                commands = [request.from_path(path, query, body)]
        return await self._answered(asked, path[0], commands, read_only)

    async def _answered(
        self, asked: Request, endpoint: bytes, commands: Sequence[Command], read_only: bool
    ) -> Response:
        """Run commands, with the faults that are due."""
        form = replies.Form.of(asked.headers, json_only=endpoint == b"multi-exec")
        names = [name_of(command) for command in commands]
        rules = self.faults.take(lambda rule: rule.concerns(names))
        await _suffer(rules, "before", asked)
        if endpoint == b"multi-exec":
            for command in commands:
                self.database.catalogue.check(command, read_only=read_only)
            results = await self.database.run_atomically(commands)
        elif endpoint == b"pipeline":
            results = await self._run_each(commands, asked, read_only)
        else:
            self.database.catalogue.check(commands[0], read_only=read_only)
            results = await self.database.run(commands, asked.headers.get(SYNC_TOKEN))
        headers = {SYNC_TOKEN: await self.database.sync_token()}
        await _suffer(rules, "after", asked)
        several = endpoint in (b"pipeline", b"multi-exec")
        content = form.encode_all(results) if several else form.encode(results[0])
        request.check_size(len(content))
        failed = not several and isinstance(results[0], Failure)
        return Response(content, 400 if failed else 200, headers, form.media_type)

    async def _run_each(
        self, commands: Sequence[Command], asked: Request, read_only: bool
    ) -> list[Reply]:
        """Run a pipeline: what is refused fails alone."""
        results: list[Reply] = []
        allowed: list[Command] = []
        for command in commands:
            try:
                self.database.catalogue.check(command, read_only=read_only)
            except Refused as refused:
                results.append(Failure(refused.text))
            else:
                results.append(None)
                allowed.append(command)
        answers = iter(await self.database.run(allowed, asked.headers.get(SYNC_TOKEN)))
        return [result if isinstance(result, Failure) else next(answers) for result in results]

    async def _subscribed(
        self, asked: Request, name: str, channels: list[bytes], read_only: bool
    ) -> Response:
        if read_only:
            # Not documented; the store's own read-only rights do not include it.
            raise no_permission(name)
        rules = self.faults.take(lambda rule: rule.concerns([name]))
        await _suffer(rules, "before", asked)
        subscription = await self.subscriptions.open(name, channels)
        try:
            await _suffer(rules, "after", asked)
        except (Refused, Dropped):
            subscription.close()
            raise
        return StreamingResponse(_events(subscription, asked), media_type="text/event-stream")


async def _events(subscription: Subscription, asked: Request) -> AsyncIterator[bytes]:
    async for frame in subscription.frames(asked.receive):
        yield frame
    if subscription.was_cut:
        close_connection(asked.scope)


async def _body(asked: Request) -> bytes:
    """Return the body; one that is too large is read to its end, so that the answer is seen."""
    size, parts = 0, []
    async for part in asked.stream():
        size += len(part)
        if size <= MAX_REQUEST_BYTES:
            parts.append(part)
    request.check_size(size)
    return b"".join(parts)


async def _suffer(rules: Sequence[Rule], moment: When, asked: Request) -> None:
    """Let happen what the rules say for this moment. Raises Refused and Dropped."""
    for rule in rules:
        if rule.moment != moment:
            continue
        match rule.kind:
            case "delay":
                await asyncio.sleep(rule.seconds)
            case "status":
                raise Refused("ERR fault on demand", rule.status, rule.retry_after)
            case "drop":
                await drop(asked)
            case "hang":
                await hang(asked)


def _refusal(refused: Refused) -> Response:
    headers = {} if refused.retry_after is None else {"Retry-After": f"{refused.retry_after:g}"}
    return Response(replies.error(refused.text), refused.status, headers, JSON)
