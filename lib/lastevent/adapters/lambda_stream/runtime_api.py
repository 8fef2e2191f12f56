"""The Runtime API's requests, as one slot makes them, one after the other.

GET  /runtime/invocation/next             waits for work; the process may be frozen meanwhile
POST /runtime/invocation/{id}/response    the answer: streamed, or a task's result
POST /runtime/invocation/{id}/error       in place of an answer
POST /runtime/init/error                  before the first `next`
"""

import asyncio
import logging
from dataclasses import dataclass
from urllib.parse import quote

from lastevent.adapters.lambda_stream.connection import Answer, Connection, Upload
from lastevent.adapters.lambda_stream.failure import ERROR_BODY, ERROR_TYPE, Failure

PREFIX = "/2018-06-01/runtime"
INVOCATION_ID = "Lambda-Runtime-Invocation-Id"
STREAMING = (
    ("Lambda-Runtime-Function-Response-Mode", "streaming"),
    ("Content-Type", "application/vnd.awslambda.http-integration-response"),
    ("Trailer", f"{ERROR_TYPE}, {ERROR_BODY}"),
)
JSON = ("Content-Type", "application/json")

ACCEPTED = 202
GONE = 410
BROKEN = 500
"""From `next`: the environment cannot recover, and the runtime is to exit (the API's OpenAPI
document)."""

ATTEMPTS = 5
PAUSE_SECONDS = 0.1
"""Before the second attempt at `next`; doubled before each further one."""

log = logging.getLogger("lastevent")


class RuntimeApiLost(OSError):
    """No work can be had any more: the process is to end, so that Lambda makes another."""


@dataclass(frozen=True, slots=True)
class Call:
    """An invocation as `next` delivers it. ``deadline_ms``: Unix time; None where it is not told.

    ``invocation_id`` tells this attempt from an earlier one under the same request id, which may
    have run out of its time and still be at work; it goes back with whatever answers.
    """

    request_id: str
    body: bytes
    invocation_id: str | None = None
    deadline_ms: int | None = None
    function_arn: str = ""
    trace_id: str | None = None
    tenant_id: str | None = None

    @property
    def echo(self) -> list[tuple[str, str]]:
        """The headers that go back with what answers this call."""
        return [(INVOCATION_ID, self.invocation_id)] if self.invocation_id else []


class RuntimeApi:
    """The Runtime API at ``address``, HOST:PORT, for one invocation at a time."""

    def __init__(self, address: str) -> None:
        self._connection = Connection(address)

    async def next(self) -> Call:
        """Wait for the next invocation, for ever; raise RuntimeApiLost if there will be none."""
        trouble = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                log.warning("the Runtime API gives no work: %s", trouble)
                await asyncio.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
            try:
                answer = await self._connection.exchange(
                    "GET", f"{PREFIX}/invocation/next", patient=True
                )
            except OSError as error:
                trouble = str(error) or type(error).__name__
                continue
            if answer.status == 200 and "lambda-runtime-aws-request-id" in answer.headers:
                return _call(answer)
            trouble = f"it answered {answer.status}"
            if answer.status == BROKEN:
                break
        raise RuntimeApiLost(f"the Runtime API gives no work: {trouble}")

    async def respond(self, call: Call) -> Upload:
        """Begin the streamed response to a call; raises OSError."""
        return await self._connection.upload(_path(call, "response"), [*STREAMING, *call.echo])

    async def answer(self, call: Call, result: bytes) -> None:
        """Answer a call with a whole result, JSON; raises OSError."""
        answer = await self._connection.exchange(
            "POST", _path(call, "response"), [JSON, *call.echo], result
        )
        note(call, answer)

    async def report(self, call: Call, failure: Failure) -> None:
        """Answer a call with an error, in place of a response; raises OSError."""
        answer = await self._connection.exchange(
            "POST",
            _path(call, "error"),
            [JSON, failure.header, *call.echo],
            failure.body(call.request_id),
        )
        note(call, answer)

    async def report_init(self, failure: Failure) -> None:
        """Say that the function cannot start; raises OSError."""
        await self._connection.exchange(
            "POST", f"{PREFIX}/init/error", [JSON, failure.header], failure.body()
        )

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def note(call: Call, answer: Answer) -> None:
    """Log an answer that did not take what was sent. It never ends the runtime.

    410: the call ran out of its time, and perhaps another attempt at it is under way.
    """
    if answer.status == GONE:
        log.warning("%s: Lambda no longer waits for the answer", call.request_id)
    elif answer.status != ACCEPTED:
        log.warning("%s: the Runtime API answered %d", call.request_id, answer.status)


def _path(call: Call, what: str) -> str:
    # Whoever invokes a function may choose the request id.
    return f"{PREFIX}/invocation/{quote(call.request_id, safe='')}/{what}"


def _call(answer: Answer) -> Call:
    told = answer.headers.get
    deadline = told("lambda-runtime-deadline-ms", "")
    return Call(
        request_id=answer.headers["lambda-runtime-aws-request-id"],
        body=answer.body,
        invocation_id=told("lambda-runtime-invocation-id"),
        deadline_ms=int(deadline) if deadline.isdecimal() else None,
        function_arn=told("lambda-runtime-invoked-function-arn", ""),
        trace_id=told("lambda-runtime-trace-id"),
        tenant_id=told("lambda-runtime-aws-tenant-id"),
    )
