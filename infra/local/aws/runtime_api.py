"""The Runtime API of one execution environment, on a loopback port of its own.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html says what a runtime asks for and
sends. What it leaves open follows the sources of Lambda's own Runtime Interface Emulator: an answer
that is refused for its state, its id, its size or its mode; `next` asked again while an event is
under way, which brings the same event. With more than one slot (Lambda Managed Instances) several
`next` wait at once, and an answer that comes after its deadline gets 410.

Not documented, and decided here: `Lambda-Runtime-Invocation-Id` names one attempt; an answer that
names another one gets 410.
"""

import asyncio
import base64
import binascii
import json
from collections import deque
from collections.abc import Callable
from typing import Any

from infra.local.aws.exchange import Exchange, Listener, TooLarge
from infra.local.aws.invocation import AnswerHead, Invocation, InvocationFailed
from infra.local.child import HOST

PREFIX = "/2018-06-01/runtime/"
# Of the emulator's sources: 6 MiB and 100 bytes.
MAX_PAYLOAD_BYTES = 6 * 1024 * 1024 + 100
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, streamed responses.
MAX_STREAMED_BYTES = 200 * 1024 * 1024
MAX_LATE = 1000

MODE = "lambda-runtime-function-response-mode"
ERROR_TYPE = "lambda-runtime-function-error-type"
ERROR_BODY = "lambda-runtime-function-error-body"
ATTEMPT = "lambda-runtime-invocation-id"


class RuntimeApi:
    """What one environment's runtime talks to.

    ``slots``: how many invocations it may have at once. ``on_next`` is called when the runtime has
    asked for the next event and waits. A streamed answer ends at ``max_streamed_bytes``.
    """

    def __init__(
        self, arn: str, slots: int, on_next: Callable[[], None], max_streamed_bytes: int
    ) -> None:
        self.running: dict[str, Invocation] = {}
        """What the runtime was handed and has not done with, by request id."""
        self.ready = asyncio.Event()
        """Set when the runtime has asked for its first event: it is initialised."""
        self.init_failed: asyncio.Future[InvocationFailed] = (
            asyncio.get_running_loop().create_future()
        )
        """Holds what the runtime reported when it could not be initialised."""
        self._arn = arn
        self._slots = slots
        self._on_next = on_next
        self._max_streamed_bytes = max_streamed_bytes
        self._waiting: deque[asyncio.Future[Invocation]] = deque()
        self._late: deque[str] = deque(maxlen=MAX_LATE)
        self._listener = Listener(self._handle)

    async def start(self) -> str:
        """Listen; return the value of AWS_LAMBDA_RUNTIME_API."""
        return f"{HOST}:{await self._listener.start()}"

    async def stop(self) -> None:
        """Listen no more."""
        await self._listener.stop()

    async def drained(self, seconds: float) -> None:
        """Wait until all connections have ended, but no longer than this."""
        await self._listener.drained(seconds)

    @property
    def free(self) -> int:
        """How many `next` wait."""
        return len(self._waiting)

    def offer(self, invocation: Invocation) -> None:
        """Hand an invocation to a `next` that waits; there must be one."""
        self.running[invocation.id] = invocation
        self._waiting.popleft().set_result(invocation)

    def give_up(self, invocation: Invocation) -> None:
        """Its time is over, but the runtime goes on: an answer will be late."""
        if self.running.pop(invocation.id, None):
            self._late.append(invocation.id)

    async def _handle(self, exchange: Exchange) -> None:
        path = exchange.target.removeprefix(PREFIX)
        match exchange.method, path.split("/"):
            case "GET", ["invocation", "next"]:
                await self._next(exchange)
            case "POST", ["invocation", request_id, "response" | "error" as what]:
                await self._answer(exchange, request_id, what)
            case "POST", ["init", "error"]:
                await self._init_error(exchange)
            case _:
                await _refuse(exchange, 404, "NotFound", "There is no such path")

    async def _next(self, exchange: Exchange) -> None:
        self.ready.set()
        if self._slots == 1:
            for invocation in list(self.running.values()):
                if not invocation.answered:
                    await self._deliver(exchange, invocation)
                    return
                self._release(invocation)
        turn: asyncio.Future[Invocation] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._on_next()
        gone = asyncio.create_task(exchange.gone())
        try:
            either: set[asyncio.Future[Any]] = {turn, gone}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Waited for, since a connection has one reader at a time.
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            if turn in self._waiting:
                self._waiting.remove(turn)
        if turn.done():
            await self._deliver(exchange, turn.result())

    async def _deliver(self, exchange: Exchange, invocation: Invocation) -> None:
        headers = [
            ("Content-Type", "application/json"),
            ("Lambda-Runtime-Aws-Request-Id", invocation.id),
            ("Lambda-Runtime-Deadline-Ms", str(invocation.deadline_ms)),
            ("Lambda-Runtime-Invoked-Function-Arn", self._arn),
            ("Lambda-Runtime-Trace-Id", invocation.trace),
            ("Lambda-Runtime-Invocation-Id", invocation.attempt),
        ]
        await exchange.answer(200, headers, invocation.event)

    async def _answer(self, exchange: Exchange, request_id: str, what: str) -> None:
        invocation = self.running.get(request_id)
        if request_id in self._late:
            await _refuse(exchange, 410, "InvokeTimeout", "Invoke timeout")
        elif invocation is None:
            await _refuse(exchange, 400, "InvalidRequestID", "Invalid request ID")
        elif exchange.header(ATTEMPT) not in (None, invocation.attempt):
            await _refuse(exchange, 410, "InvokeTimeout", "This attempt is over")
        elif invocation.claimed and self._slots > 1:
            await _refuse(exchange, 400, "InvalidRequestID", "Invalid request ID")
        elif invocation.claimed:
            await _refuse(
                exchange,
                403,
                "InvalidStateTransition",
                "State transition from RuntimeResponseSent failed for runtime",
            )
        else:
            invocation.claimed = True
            await self._take(exchange, invocation, what)
            # Otherwise it keeps its only slot until the runtime asks for the next event.
            if self._slots > 1:
                self._release(invocation)

    async def _take(self, exchange: Exchange, invocation: Invocation, what: str) -> None:
        mode = exchange.header(MODE)
        if what == "error":
            kind = exchange.header(ERROR_TYPE) or "Function.Unknown"
            invocation.fail(InvocationFailed(kind, await _capped(exchange)))
            await _accept(exchange)
        elif mode == "streaming":
            await self._take_stream(exchange, invocation)
        elif mode is None:
            await self._take_whole(exchange, invocation)
        else:
            invocation.fail(InvocationFailed.of("Runtime.InvalidResponseModeHeader", ""))
            await _refuse(
                exchange, 400, "InvalidFunctionResponseMode", "Invalid function response mode"
            )

    async def _take_whole(self, exchange: Exchange, invocation: Invocation) -> None:
        try:
            payload = await exchange.read(MAX_PAYLOAD_BYTES)
        except TooLarge:
            await _too_large(exchange, invocation, MAX_PAYLOAD_BYTES)
        except ConnectionError:
            _truncated(invocation)
            raise
        else:
            invocation.begin(AnswerHead(False, _content_type(exchange)))
            await invocation.put(payload)
            invocation.finish()
            await _accept(exchange)

    async def _take_stream(self, exchange: Exchange, invocation: Invocation) -> None:
        invocation.begin(AnswerHead(True, _content_type(exchange)))
        size = 0
        try:
            async for part in exchange.body():
                size += len(part)
                if size > self._max_streamed_bytes:
                    await _too_large(exchange, invocation, self._max_streamed_bytes)
                    return
                await invocation.put(part)
        except ConnectionError:
            _truncated(invocation)
            raise
        if kind := exchange.trailers.get(ERROR_TYPE):
            invocation.fail(InvocationFailed(kind, _decoded(exchange.trailers.get(ERROR_BODY, ""))))
        invocation.finish()
        await _accept(exchange)

    async def _init_error(self, exchange: Exchange) -> None:
        if self.ready.is_set() or self.init_failed.done():
            await _refuse(
                exchange,
                403,
                "InvalidStateTransition",
                "State transition to RuntimeInitError failed for runtime",
            )
            return
        kind = exchange.header(ERROR_TYPE) or "Runtime.Unknown"
        self.init_failed.set_result(InvocationFailed(kind, await _capped(exchange)))
        await _accept(exchange)

    def _release(self, invocation: Invocation) -> None:
        self.running.pop(invocation.id, None)
        invocation.over.set()


def _content_type(exchange: Exchange) -> str:
    return exchange.header("content-type") or "application/octet-stream"


def _decoded(body: str) -> bytes:
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error:
        return b""


def _truncated(invocation: Invocation) -> None:
    invocation.fail(InvocationFailed.of("Runtime.TruncatedResponse", ""))


async def _capped(exchange: Exchange) -> bytes:
    try:
        return await exchange.read(MAX_PAYLOAD_BYTES)
    except TooLarge:
        return b""


async def _too_large(exchange: Exchange, invocation: Invocation, limit: int) -> None:
    message = f"Exceeded maximum allowed payload size ({limit} bytes)."
    invocation.fail(InvocationFailed.of("Function.ResponseSizeTooLarge", message))
    await _refuse(exchange, 413, "RequestEntityTooLarge", message)


async def _accept(exchange: Exchange) -> None:
    await _render(exchange, 202, {"status": "OK"})


async def _refuse(exchange: Exchange, status: int, kind: str, message: str) -> None:
    await _render(exchange, status, {"errorType": kind, "errorMessage": message})


async def _render(exchange: Exchange, status: int, body: dict[str, str]) -> None:
    headers = [("Content-Type", "application/json")]
    await exchange.answer(status, headers, json.dumps(body).encode())
