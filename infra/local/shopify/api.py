"""The endpoint: who asks, what it costs, what goes wrong, what is answered."""

import asyncio
import json
from collections import Counter
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    execute_sync,
    parse,
    validate,
)
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from infra.local.connection import Dropped, drop, hang
from infra.local.shopify.cost import Bucket, cost, fields
from infra.local.shopify.faults import Faults, Rule
from infra.local.shopify.keys import Keys
from infra.local.shopify.resolve import Root
from infra.local.shopify.schema import SCHEMA
from infra.local.shopify.shop import Shop


class Api:
    """The Admin API of one shop, as an ASGI application."""

    def __init__(self, token: str, shop: Shop, keys: Keys, bucket: Bucket, faults: Faults) -> None:
        self.bucket = self._own_bucket = bucket
        self.calls: Counter[str] = Counter()
        self.throttled = 0
        self._token = token
        self._root = Root(shop, keys)
        self._keys = keys
        self._faults = faults
        self._later: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call."""
        asked = Request(scope, receive)
        try:
            await (await self._answer(asked))(scope, receive, send)
        except (Dropped, ClientDisconnect):
            return

    def empty(self) -> None:
        """Count from here, out of the bucket that it began with."""
        self.calls.clear()
        self.throttled = 0
        self.bucket = self._own_bucket

    async def _answer(self, asked: Request) -> Response:
        if asked.headers.get("x-shopify-access-token") != self._token:
            told = "[API] Invalid API key or access token (unrecognized login or wrong password)"
            return JSONResponse({"errors": told}, 401)
        body = json.loads(await asked.body())
        variables = body.get("variables") or {}
        try:
            document = parse(body["query"])
        except GraphQLError as error:
            return _errors([error])
        names = fields(document)
        self.calls.update(names)
        for rule in self._faults.take(lambda rule: rule.concerns(names)):
            early = await self._suffer(rule, asked, document, variables)
            if early is not None:
                return early
        return self._execute(document, variables)

    def _execute(self, document: DocumentNode, variables: dict[str, Any]) -> Response:
        faults = validate(SCHEMA, document)
        if faults:
            return _errors(faults)
        price = cost(document, variables)
        if not self.bucket.pay(price):
            return self._throttle(price)
        result = self._carry_out(document, variables)
        if result.errors and result.data is None:
            return _errors(result.errors)
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = [error.formatted for error in result.errors]
        return JSONResponse(answer | {"extensions": {"cost": self.bucket.told(price, True)}})

    def _carry_out(self, document: DocumentNode, variables: dict[str, Any]) -> ExecutionResult:
        return execute_sync(SCHEMA, document, self._root, variable_values=variables)

    def _throttle(self, price: float) -> Response:
        self.throttled += 1
        error = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
        told = {"cost": self.bucket.told(price, False)}
        return JSONResponse({"errors": [error], "extensions": told})

    async def _suffer(
        self, rule: Rule, asked: Request, document: DocumentNode, variables: dict[str, Any]
    ) -> Response | None:
        """Let happen what a rule says; return what is answered then, None to go on."""
        match rule.kind:
            case "delay":
                await asyncio.sleep(rule.seconds)
            case "status":
                headers = {}
                if rule.retry_after is not None:
                    headers["Retry-After"] = f"{rule.retry_after:g}"
                return Response("<html>An error has occurred</html>", rule.status, headers)
            case "throttled":
                return self._throttle(cost(document, variables))
            case "internal":
                told = "Internal error. Looks like something went wrong on our end."
                code = {"code": "INTERNAL_SERVER_ERROR"}
                return JSONResponse({"errors": [{"message": told, "extensions": code}]})
            case "lost":
                self._carry_out(document, variables)
                await drop(asked)
            case "late":
                self._begin_late(rule.seconds, document, variables)
                await drop(asked)
            case "drop":
                await drop(asked)
            case "hang":
                await hang(asked)
        return None

    def _begin_late(
        self, seconds: float, document: DocumentNode, variables: dict[str, Any]
    ) -> None:
        key = variables.get("key")

        async def late() -> None:
            await asyncio.sleep(seconds)
            self._keys.under_way.discard(key)
            self._carry_out(document, variables)

        if key is not None:
            self._keys.under_way.add(key)
        task = asyncio.create_task(late())
        self._later.add(task)
        task.add_done_callback(self._later.discard)


def _errors(errors: list[GraphQLError]) -> Response:
    return JSONResponse({"errors": [error.formatted for error in errors]})
