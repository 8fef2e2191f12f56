"""What stands between clients and a function: a function URL, an HTTP API, a REST API.

A client's disconnect never reaches the function: its answer is read to the end, and thrown away
(https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html: when a
connection is closed, "the Lambda function might continue to execute"). Of the refusals, what is
documented and what is not stands where they are listed.
"""

import asyncio
import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from infra.local.aws.answers import INTEGRATION_TYPE, HttpHead, Malformed, Prelude, parse_whole
from infra.local.aws.events import Request, payload_1, payload_2
from infra.local.aws.exchange import Exchange, Listener, TooLarge
from infra.local.aws.function import ACCOUNT, LambdaFunction
from infra.local.aws.invocation import Invocation, InvocationFailed, Throttled
from infra.local.aws.runtime_api import MAX_PAYLOAD_BYTES
from infra.local.child import HOST, Startable

MB = 1024 * 1024
MAX_REQUEST_BYTES = 10 * MB
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: of an invocation's event.
MAX_EVENT_BYTES = 6 * MB
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
HTTP_API_SECONDS = 30.0
# https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html, of
# regional and private endpoints; edge-optimised ones have 30 s.
REST_API_IDLE_SECONDS = 300.0
PIECE_BYTES = 65_536

type Refusals = Mapping[str, tuple[int, str]]
"""Status and message, by what happened."""


class Front(Startable):
    """Serves a function over HTTP on a loopback port, a free one for 0.

    It runs on the function's event loop: start the function first, and stop it last.
    """

    REFUSALS: ClassVar[Refusals]
    REQUEST_ID: ClassVar[str] = "x-amzn-requestid"

    def __init__(self, function: LambdaFunction, port: int = 0) -> None:
        self.function = function
        self.port = port
        self._listener = Listener(self._serve)

    @property
    def url(self) -> str:
        """Where clients find it, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Listen."""
        self.port = self.function.run(self._listener.start(self.port))

    def stop(self) -> None:
        """Break all connections and listen no more."""
        self.function.run(self._listener.stop())

    async def _serve(self, exchange: Exchange) -> None:
        try:
            body = await exchange.read(MAX_REQUEST_BYTES)
            event = self._event(Request.of(exchange, body, self.port))
            if len(event) > MAX_EVENT_BYTES:
                raise TooLarge
            invocation = await self.function.invoke(event)
        except TooLarge:
            await self._refuse(exchange, "too_large")
        except Throttled:
            await self._refuse(exchange, "throttled")
        else:
            try:
                await self._answer(exchange, invocation)
            except InvocationFailed:
                await self._refuse(exchange, "failed")
            except Malformed:
                await self._refuse(exchange, "malformed")
            finally:
                # Whatever is left of the answer: there is nobody to take it.
                invocation.drop()

    @abstractmethod
    def _event(self, request: Request) -> bytes:
        """Return the event that the function gets."""

    @abstractmethod
    async def _answer(self, exchange: Exchange, invocation: Invocation) -> None:
        """Answer with what the function does.

        Raises, before the first byte, InvocationFailed and Malformed.
        """

    async def _answer_whole(self, exchange: Exchange, invocation: Invocation) -> None:
        head, body = parse_whole(await invocation.whole(MAX_PAYLOAD_BYTES))
        await exchange.answer(head.status, self._headers(head, invocation), body)

    async def _answer_streamed(
        self, exchange: Exchange, invocation: Invocation, pace: "Pace", idle: float | None = None
    ) -> None:
        """Pass on the answer as it comes; break off where the function did, or was ``idle``."""
        kind = await invocation.head()
        part: bytes | None
        if kind.streaming and kind.content_type == INTEGRATION_TYPE:
            head, part = await _prelude(invocation)
        else:
            # Not documented: without that type what comes is the body, whatever is in it.
            head, part = HttpHead(200, [("content-type", kind.content_type)]), b""
        await exchange.begin(head.status, self._headers(head, invocation))
        try:
            while part is not None:
                await pace.send(exchange, part)
                async with asyncio.timeout(idle):
                    part = await invocation.part()
            await exchange.end()
        except (InvocationFailed, TimeoutError):
            exchange.cut()

    async def _refuse(self, exchange: Exchange, why: str) -> None:
        status, message = self.REFUSALS[why]
        headers = [("content-type", "application/json")]
        await exchange.answer(status, headers, json.dumps({"message": message}).encode())

    def _headers(self, head: HttpHead, invocation: Invocation) -> list[tuple[str, str]]:
        return [*head.for_client, (self.REQUEST_ID, invocation.id)]


class FunctionUrl(Front):
    """A function URL, with RESPONSE_STREAM as its invoke mode, or else BUFFERED.

    A streamed answer's first ``burst_bytes`` go as fast as they can, the rest at
    ``bytes_per_second`` (https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html).
    """

    # 429: https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html, throttling. That
    # errors and time-outs are 5xx: .../urls-monitoring.html. That they are 502, and all messages,
    # is not documented.
    REFUSALS: ClassVar[Refusals] = {
        "throttled": (429, "Rate Exceeded."),
        "failed": (502, "Internal Server Error"),
        "malformed": (502, "Internal Server Error"),
        "too_large": (413, "Request Entity Too Large"),
    }

    def __init__(
        self,
        function: LambdaFunction,
        port: int = 0,
        *,
        streaming: bool = True,
        burst_bytes: int = 6 * MB,
        bytes_per_second: int = 2 * MB,
    ) -> None:
        super().__init__(function, port)
        self._streaming = streaming
        self._burst_bytes = burst_bytes
        self._bytes_per_second = bytes_per_second

    def _event(self, request: Request) -> bytes:
        return payload_2(request, account="anonymous")

    async def _answer(self, exchange: Exchange, invocation: Invocation) -> None:
        if self._streaming:
            pace = Pace(self._burst_bytes, self._bytes_per_second)
            await self._answer_streamed(exchange, invocation, pace)
        else:
            await self._answer_whole(exchange, invocation)


class HttpApi(Front):
    """An HTTP API with a `$default` route to the function, payload format 2.0.

    It does not stream, and gives up after ``seconds``; the function runs on.
    """

    # 500 for errors: https://docs.aws.amazon.com/apigateway/latest/developerguide/
    # http-api-troubleshooting-lambda.html; the function's own time-out is one, as users report.
    # 503 after the limit, and when throttled, is what users report too; not documented.
    REFUSALS: ClassVar[Refusals] = {
        "throttled": (503, "Service Unavailable"),
        "late": (503, "Service Unavailable"),
        "failed": (500, "Internal Server Error"),
        "malformed": (500, "Internal Server Error"),
        "too_large": (413, "Request Entity Too Large"),
    }
    REQUEST_ID = "apigw-requestid"

    def __init__(
        self, function: LambdaFunction, port: int = 0, *, seconds: float = HTTP_API_SECONDS
    ) -> None:
        super().__init__(function, port)
        self._seconds = seconds

    def _event(self, request: Request) -> bytes:
        return payload_2(request, account=ACCOUNT)

    async def _answer(self, exchange: Exchange, invocation: Invocation) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                payload = await invocation.whole(MAX_PAYLOAD_BYTES)
        except TimeoutError:
            await self._refuse(exchange, "late")
        else:
            head, body = parse_whole(payload)
            await exchange.answer(head.status, self._headers(head, invocation), body)


class RestApi(Front):
    """A REST API with a proxy resource and response transfer mode STREAM, payload format 1.0.

    Its URL has a stage. A stream that is silent for ``idle_seconds`` is broken off.
    """

    # 502 for errors and for what is malformed: https://docs.aws.amazon.com/apigateway/latest/
    # developerguide/handle-errors-in-lambda-integration.html. That a throttled function is a 500
    # is what the vendor's knowledge center says of 5xx errors.
    REFUSALS: ClassVar[Refusals] = {
        "throttled": (500, "Internal server error"),
        "failed": (502, "Internal server error"),
        "malformed": (502, "Internal server error"),
        "too_large": (413, "Request Too Long"),
        "no_stage": (403, "Missing Authentication Token"),
    }

    def __init__(
        self,
        function: LambdaFunction,
        port: int = 0,
        *,
        stage: str = "prod",
        idle_seconds: float = REST_API_IDLE_SECONDS,
    ) -> None:
        super().__init__(function, port)
        self._prefix = f"/{stage}"
        self._stage = stage
        self._idle_seconds = idle_seconds

    @property
    def url(self) -> str:
        """Where clients find it, with its stage."""
        return f"{super().url}{self._prefix}"

    async def _serve(self, exchange: Exchange) -> None:
        if exchange.target.startswith((f"{self._prefix}/", f"{self._prefix}?")):
            await super()._serve(exchange)
        else:
            await self._refuse(exchange, "no_stage")

    def _event(self, request: Request) -> bytes:
        path = request.path.removeprefix(self._prefix) or "/"
        return payload_1(request, stage=self._stage, path=path)

    async def _answer(self, exchange: Exchange, invocation: Invocation) -> None:
        pace = Pace(10 * MB, 2 * MB)
        await self._answer_streamed(exchange, invocation, pace, self._idle_seconds)


class Pace:
    """Sends a body: its first ``burst_bytes`` at once, the rest no faster than the rate."""

    def __init__(self, burst_bytes: int, bytes_per_second: int) -> None:
        self._burst_bytes = burst_bytes
        self._bytes_per_second = bytes_per_second

    async def send(self, exchange: Exchange, data: bytes) -> None:
        """Send a part of the body when its time has come."""
        for start in range(0, len(data), PIECE_BYTES):
            piece = data[start : start + PIECE_BYTES]
            if len(piece) <= self._burst_bytes:
                self._burst_bytes -= len(piece)
            else:
                await asyncio.sleep(len(piece) / self._bytes_per_second)
            await exchange.send(piece)


async def _prelude(invocation: Invocation) -> tuple[HttpHead, bytes]:
    """Return the answer's head, and what came behind it in the same part."""
    prelude = Prelude()
    while (part := await invocation.part()) is not None:
        if found := prelude.feed(part):
            return found
    raise Malformed("the answer ended before its delimiter")
