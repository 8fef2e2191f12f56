"""The Runtime API, as a runtime sees it."""

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from infra.local.aws.invocation import AnswerHead, Invocation, InvocationFailed
from infra.local.aws.runtime_api import MAX_PAYLOAD_BYTES, RuntimeApi

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:function"
STREAMING = {
    "Lambda-Runtime-Function-Response-Mode": "streaming",
    "Content-Type": "application/vnd.awslambda.http-integration-response",
}
SECONDS = 10.0


class Runtime:
    """A runtime, and the platform's side of the API that it talks to."""

    def __init__(self, api: RuntimeApi, client: httpx.AsyncClient) -> None:
        self.api = api
        self.client = client

    async def invocation(self, event: bytes = b"{}") -> Invocation:
        """Ask for the next event, and be handed one."""
        asked = asyncio.create_task(self.client.get("/invocation/next"))
        async with asyncio.timeout(SECONDS):
            while not self.api.free:
                await asyncio.sleep(0.001)
        invocation = Invocation(event)
        invocation.deadline_ms = int((time.time() + 5) * 1000)
        self.api.offer(invocation)
        answer = await asked
        assert answer.headers["Lambda-Runtime-Aws-Request-Id"] == invocation.id
        return invocation

    async def post(
        self, path: str, content: bytes | AsyncIterator[bytes] = b"{}", **headers: str
    ) -> tuple[int, str]:
        """Return the status of a POST, and the type of the error if it was refused."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.client.post(path, content=content, headers=named)
        return answer.status_code, answer.json().get("errorType", "")


@contextlib.asynccontextmanager
async def running(slots: int = 1, max_streamed_bytes: int = 1000) -> AsyncIterator[Runtime]:
    api = RuntimeApi(ARN, slots, lambda: None, max_streamed_bytes)
    url = f"http://{await api.start()}/2018-06-01/runtime"
    try:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=SECONDS) as client:
            yield Runtime(api, client)
    finally:
        await api.stop()


async def whole(invocation: Invocation) -> bytes:
    async with asyncio.timeout(SECONDS):
        return await invocation.whole(MAX_PAYLOAD_BYTES)


async def failure(invocation: Invocation) -> InvocationFailed:
    with pytest.raises(InvocationFailed) as raised:
        await whole(invocation)
    return raised.value


async def test_next_brings_an_event_and_its_headers() -> None:
    async with running() as runtime:
        asked = asyncio.create_task(runtime.client.get("/invocation/next"))
        async with asyncio.timeout(SECONDS):
            while not runtime.api.free:
                await asyncio.sleep(0.001)
        assert runtime.api.ready.is_set()
        invocation = Invocation(b'{"a":1}')
        invocation.deadline_ms = 1_700_000_000_000
        runtime.api.offer(invocation)
        answer = await asked
        assert answer.content == b'{"a":1}'
        expected = {
            "content-type": "application/json",
            "lambda-runtime-aws-request-id": invocation.id,
            "lambda-runtime-deadline-ms": "1700000000000",
            "lambda-runtime-invoked-function-arn": ARN,
            "lambda-runtime-trace-id": invocation.trace,
            "lambda-runtime-invocation-id": invocation.attempt,
        }
        assert expected.items() <= dict(answer.headers).items()
        assert invocation.trace.startswith("Root=1-")


async def test_an_answer_is_accepted_once() -> None:
    async with running() as runtime:
        invocation = await runtime.invocation()
        path = f"/invocation/{invocation.id}/response"
        assert await runtime.post(path, b'"yes"') == (202, "")
        assert await whole(invocation) == b'"yes"'
        assert await runtime.post(path) == (403, "InvalidStateTransition")
        assert await runtime.post(f"/invocation/{invocation.id}/error") == (
            403,
            "InvalidStateTransition",
        )
        # It is over when the runtime asks for the next event, and not before.
        assert not invocation.over.is_set()
        await runtime.invocation()
        assert invocation.over.is_set()
        assert await runtime.post(path) == (400, "InvalidRequestID")


async def test_unknown_requests_are_refused() -> None:
    async with running() as runtime:
        assert await runtime.post("/invocation/unknown/response") == (400, "InvalidRequestID")
        assert await runtime.post("/invocation/unknown/error") == (400, "InvalidRequestID")
        assert await runtime.post("/elsewhere") == (404, "NotFound")


async def test_the_answer_of_another_attempt_is_refused() -> None:
    async with running() as runtime:
        invocation = await runtime.invocation()
        path = f"/invocation/{invocation.id}/response"
        stale = await runtime.post(path, Lambda_Runtime_Invocation_Id="another")
        assert stale == (410, "InvokeTimeout")
        mine = await runtime.post(path, Lambda_Runtime_Invocation_Id=invocation.attempt)
        assert mine == (202, "")


async def test_next_asked_again_brings_the_same_event() -> None:
    async with running() as runtime:
        invocation = await runtime.invocation(b'{"a":1}')
        again = await runtime.client.get("/invocation/next")
        assert again.headers["Lambda-Runtime-Aws-Request-Id"] == invocation.id
        assert again.content == b'{"a":1}'


async def test_a_next_that_was_given_up_gets_no_event() -> None:
    async with running() as runtime:
        with pytest.raises(httpx.ReadTimeout):
            await runtime.client.get("/invocation/next", timeout=0.1)
        async with asyncio.timeout(SECONDS):
            while runtime.api.free:
                await asyncio.sleep(0.001)
        invocation = await runtime.invocation()
        assert await runtime.post(f"/invocation/{invocation.id}/response") == (202, "")


async def test_an_error_fails_the_invocation_with_what_it_says() -> None:
    async with running() as runtime:
        invocation = await runtime.invocation()
        said = await runtime.post(
            f"/invocation/{invocation.id}/error",
            b'{"errorMessage":"no"}',
            Lambda_Runtime_Function_Error_Type="Function.Mine",
        )
        assert said == (202, "")
        failed = await failure(invocation)
        assert (failed.kind, failed.payload) == ("Function.Mine", b'{"errorMessage":"no"}')


async def test_an_answer_of_more_than_six_megabytes_is_refused() -> None:
    async with running() as runtime:
        first = await runtime.invocation()
        fits = b"x" * MAX_PAYLOAD_BYTES
        assert await runtime.post(f"/invocation/{first.id}/response", fits) == (202, "")
        assert len(await whole(first)) == MAX_PAYLOAD_BYTES
        second = await runtime.invocation()
        refused = await runtime.post(f"/invocation/{second.id}/response", fits + b"x")
        assert refused == (413, "RequestEntityTooLarge")
        assert (await failure(second)).kind == "Function.ResponseSizeTooLarge"


async def test_another_response_mode_is_refused() -> None:
    async with running() as runtime:
        invocation = await runtime.invocation()
        refused = await runtime.post(
            f"/invocation/{invocation.id}/response",
            Lambda_Runtime_Function_Response_Mode="trickling",
        )
        assert refused == (400, "InvalidFunctionResponseMode")
        assert (await failure(invocation)).kind == "Runtime.InvalidResponseModeHeader"


async def test_a_streamed_answer_arrives_part_by_part() -> None:
    async with running() as runtime:
        invocation = await runtime.invocation()
        more = asyncio.Event()

        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            await more.wait()
            yield b"two"

        path = f"/invocation/{invocation.id}/response"
        posted = asyncio.create_task(runtime.client.post(path, content=parts(), headers=STREAMING))
        async with asyncio.timeout(SECONDS):
            assert await invocation.head() == AnswerHead(True, STREAMING["Content-Type"])
            assert await invocation.part() == b"one"
            assert not posted.done()
            more.set()
            assert await invocation.part() == b"two"
            assert await invocation.part() is None
            assert (await posted).status_code == 202


async def test_trailers_say_that_a_streamed_answer_failed() -> None:
    async with running() as runtime:
        invocation = await runtime.invocation()
        body = json.dumps({"errorMessage": "late"}).encode()
        said = await _raw(
            runtime,
            invocation,
            b"3\r\none\r\n0\r\n"
            b"Lambda-Runtime-Function-Error-Type: Late\r\n"
            b"Lambda-Runtime-Function-Error-Body: " + base64.b64encode(body) + b"\r\n\r\n",
        )
        assert b" 202 " in said
        async with asyncio.timeout(SECONDS):
            assert await invocation.part() == b"one"
        failed = await failure(invocation)
        assert (failed.kind, failed.payload) == ("Late", body)


async def test_a_streamed_answer_that_breaks_off_fails() -> None:
    async with running() as runtime:
        invocation = await runtime.invocation()
        assert await _raw(runtime, invocation, b"3\r\none\r\n") == b""
        async with asyncio.timeout(SECONDS):
            assert await invocation.part() == b"one"
        assert (await failure(invocation)).kind == "Runtime.TruncatedResponse"


async def test_a_streamed_answer_has_its_limit() -> None:
    async with running(max_streamed_bytes=1000) as runtime:
        invocation = await runtime.invocation()
        said = await _raw(
            runtime, invocation, b"3E8\r\n" + b"x" * 1000 + b"\r\n1\r\nx\r\n0\r\n\r\n"
        )
        assert b" 413 " in said
        async with asyncio.timeout(SECONDS):
            assert await invocation.part() == b"x" * 1000
        assert (await failure(invocation)).kind == "Function.ResponseSizeTooLarge"


async def test_a_caller_that_does_not_read_makes_the_function_wait_and_one_that_left_does_not() -> (
    None
):
    async with running(max_streamed_bytes=100_000_000) as runtime:
        invocation = await runtime.invocation()
        sent = 0

        async def parts() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(600):
                yield b"x" * 65_536
                sent += 1

        path = f"/invocation/{invocation.id}/response"
        posted = asyncio.create_task(runtime.client.post(path, content=parts(), headers=STREAMING))
        await asyncio.sleep(0.5)
        assert 0 < sent < 600
        invocation.drop()
        async with asyncio.timeout(SECONDS):
            assert (await posted).status_code == 202
        assert sent == 600


async def test_an_init_error_is_accepted_before_the_first_event_only() -> None:
    async with running() as runtime:
        said = await runtime.post(
            "/init/error", b'{"errorMessage":"no"}', Lambda_Runtime_Function_Error_Type="Init.Mine"
        )
        assert said == (202, "")
        failed = runtime.api.init_failed.result()
        assert (failed.kind, failed.payload) == ("Init.Mine", b'{"errorMessage":"no"}')
    async with running() as runtime:
        await runtime.invocation()
        assert await runtime.post("/init/error") == (403, "InvalidStateTransition")


async def test_several_slots_have_several_events_and_late_answers_are_told_so() -> None:
    async with running(slots=2) as runtime:
        first = await runtime.invocation()
        second = await runtime.invocation()
        assert set(runtime.api.running) == {first.id, second.id}
        path = f"/invocation/{first.id}/response"
        assert await runtime.post(path, b"1") == (202, "")
        assert first.over.is_set()
        assert not second.over.is_set()
        runtime.api.give_up(second)
        late = await runtime.post(f"/invocation/{second.id}/response")
        assert late == (410, "InvokeTimeout")


async def _raw(runtime: Runtime, invocation: Invocation, body: bytes) -> bytes:
    """Send a streamed answer's body as it stands, and no more; return what is said to it."""
    url = runtime.client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = [
        f"POST /2018-06-01/runtime/invocation/{invocation.id}/response HTTP/1.1",
        "Host: runtime",
        *(f"{name}: {value}" for name, value in STREAMING.items()),
        "Transfer-Encoding: chunked",
        "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
    ]
    writer.write("\r\n".join([*head, "", ""]).encode() + body)
    writer.write_eof()
    async with asyncio.timeout(SECONDS):
        said = await reader.read()
    writer.close()
    return said
