"""The Invoke API: one function, called by name.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html. The SDKs speak to it where
AWS_ENDPOINT_URL_LAMBDA says. Signatures are not looked at. Not documented, and decided here: the
sentences of the errors.
"""

import json
import re
from urllib.parse import parse_qs, unquote

from infra.local.aws.asynchronous import EventQueue
from infra.local.aws.exchange import Exchange, Listener, TooLarge
from infra.local.aws.function import LambdaFunction
from infra.local.aws.invocation import InvocationFailed, Throttled
from infra.local.aws.runtime_api import MAX_PAYLOAD_BYTES
from infra.local.child import HOST, Startable

PATH = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
# NAME, ACCOUNT:function:NAME or the ARN, each perhaps with :QUALIFIER.
NAME = re.compile(r"(?:(?:arn:[^:]+:lambda:[^:]+:)?\d{12}:function:)?([\w-]+)(?::([$\w-]+))?")
LATEST = "$LATEST"
MAX_SYNCHRONOUS_BYTES = 6 * 1024 * 1024
MAX_ASYNCHRONOUS_BYTES = 1024 * 1024


class Refused(Exception):
    """The call never gets to the function. ``kind``: the exception's name in the API."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


class InvokeApi(Startable):
    """Serves the calls of ``queue``'s function on a loopback port, a free one for 0.

    It runs on the function's event loop: start the function first, and stop it last.
    """

    def __init__(self, function: LambdaFunction, queue: EventQueue, port: int = 0) -> None:
        self.port = port
        self._function = function
        self._queue = queue
        self._listener = Listener(self._serve)

    @property
    def url(self) -> str:
        """The value of AWS_ENDPOINT_URL_LAMBDA."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Listen."""
        self.port = self._function.run(self._listener.start(self.port))

    def stop(self) -> None:
        """Break all connections and listen no more."""
        self._function.run(self._listener.stop())

    async def _serve(self, exchange: Exchange) -> None:
        try:
            await self._invoke(exchange)
        except TooLarge:
            await _refuse(exchange, Refused(413, "RequestTooLargeException", "it is too large"))
        except Throttled:
            await _refuse(exchange, Refused(429, "TooManyRequestsException", "Rate Exceeded."))
        except Refused as refused:
            await _refuse(exchange, refused)

    async def _invoke(self, exchange: Exchange) -> None:
        kind = exchange.header("x-amz-invocation-type") or "RequestResponse"
        asynchronous = kind == "Event"
        event = await exchange.read(
            MAX_ASYNCHRONOUS_BYTES if asynchronous else MAX_SYNCHRONOUS_BYTES
        )
        self._must_be_called(exchange)
        _must_be_json(event)
        if asynchronous:
            self._queue.put(event or b"{}")
            await exchange.answer(202)
        elif kind == "DryRun":
            await exchange.answer(204)
        elif kind == "RequestResponse":
            await self._answer(exchange, event or b"{}")
        else:
            raise Refused(400, "InvalidParameterValueException", f"no invocation type: {kind}")

    async def _answer(self, exchange: Exchange, event: bytes) -> None:
        invocation = await self._function.invoke(event)
        headers = [("content-type", "application/json"), ("x-amz-executed-version", LATEST)]
        try:
            payload = await invocation.whole(MAX_PAYLOAD_BYTES)
        except InvocationFailed as failure:
            # The status says nothing of the function's own errors.
            headers.append(("x-amz-function-error", "Unhandled"))
            payload = failure.payload
        await exchange.answer(200, headers, payload)

    def _must_be_called(self, exchange: Exchange) -> None:
        path, _, query = exchange.target.partition("?")
        found = PATH.fullmatch(path)
        if exchange.method != "POST" or found is None:
            raise Refused(404, "UnknownOperationException", "there is no such operation here")
        named = NAME.fullmatch(unquote(found[1]))
        qualifiers = {*parse_qs(query).get("Qualifier", ()), (named and named[2]) or LATEST}
        if named is None or named[1] != self._function.name or qualifiers != {LATEST}:
            raise Refused(404, "ResourceNotFoundException", f"Function not found: {found[1]}")


def _must_be_json(event: bytes) -> None:
    try:
        json.loads(event or b"{}")
    except ValueError as error:
        raise Refused(400, "InvalidRequestContentException", "the payload is not JSON") from error


async def _refuse(exchange: Exchange, refused: Refused) -> None:
    body = json.dumps({"Type": "User", "Message": str(refused)}).encode()
    headers = [("content-type", "application/json"), ("x-amzn-errortype", refused.kind)]
    await exchange.answer(refused.status, headers, body)
