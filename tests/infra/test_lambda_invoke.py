"""The Invoke API, by the vendor's own client; the queue of asynchronous events; schedules."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from infra.local.aws import EventQueue, InvokeApi, LambdaFunction, Schedule
from infra.local.aws.asynchronous import Outcome
from lastevent.adapters.lambda_invoke import AsynchronousInvoke, own_function
from lastevent.core.errors import UpstreamLost, UpstreamRefused
from lastevent.serve.tasks import Task
from tests.infra.lambda_case import function, living, wait_for

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:function"


@pytest.fixture(scope="module")
def acting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LambdaFunction]:
    """A function that does what its event says, one at a time."""
    directory = tmp_path_factory.mktemp("acting")
    with function(directory, "plain.act", max_environments=1) as one:
        yield one


@pytest.fixture
def queue(acting: LambdaFunction) -> EventQueue:
    return EventQueue(acting, retry_seconds=())


@pytest.fixture
def api(acting: LambdaFunction, queue: EventQueue) -> Iterator[InvokeApi]:
    with InvokeApi(acting, queue) as api:
        yield api


@pytest.fixture
def sdk(api: InvokeApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The vendor's client, which finds the API where the environment says."""
    settings = {
        "AWS_ENDPOINT_URL_LAMBDA": api.url,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    config = Config(retries={"total_max_attempts": 1}, proxies={})
    client = boto3.session.Session().client("lambda", config=config)
    yield client
    client.close()


def query(**parameters: object) -> bytes:
    """An event for plain.act."""
    return json.dumps({"queryStringParameters": parameters}).encode()


def outcomes(queue: EventQueue, count: int) -> list[Outcome]:
    """Wait until it is known what became of so many events."""
    wait_for(lambda: len(queue.outcomes) >= count)
    return list(queue.outcomes)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("function", {}),
        ("function:$LATEST", {}),
        ("function", {"Qualifier": "$LATEST"}),
        (ARN, {}),
        (f"{ARN}:$LATEST", {}),
        ("123456789012:function:function", {}),
    ],
)
def test_a_call_is_answered_with_what_the_function_returns(
    sdk: Any, name: str, options: dict[str, str]
) -> None:
    answer = sdk.invoke(FunctionName=name, Payload=query(), **options)
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    assert json.load(answer["Payload"])["statusCode"] == 200


def test_an_error_of_the_function_is_no_error_of_the_call(sdk: Any) -> None:
    answer = sdk.invoke(FunctionName="function", Payload=query(fail=1))
    assert answer["StatusCode"] == 200
    assert answer["FunctionError"] == "Unhandled"
    assert json.load(answer["Payload"])["errorMessage"] == "on purpose"


def test_a_dry_run_runs_nothing(sdk: Any, queue: EventQueue) -> None:
    answer = sdk.invoke(FunctionName="function", InvocationType="DryRun", Payload=query())
    assert answer["StatusCode"] == 204
    assert answer["Payload"].read() == b""
    assert not queue.outcomes


@pytest.mark.parametrize(
    ("request_", "code", "status"),
    [
        ({"FunctionName": "other"}, "ResourceNotFoundException", 404),
        ({"FunctionName": "function:7"}, "ResourceNotFoundException", 404),
        ({"FunctionName": "function", "Qualifier": "live"}, "ResourceNotFoundException", 404),
        (
            {"FunctionName": "function", "Payload": b"no json"},
            "InvalidRequestContentException",
            400,
        ),
        (
            {
                "FunctionName": "function",
                "InvocationType": "Event",
                "Payload": json.dumps("x" * 2**20).encode(),
            },
            "RequestTooLargeException",
            413,
        ),
    ],
    ids=["name", "version", "alias", "no JSON", "too large"],
)
def test_a_call_that_cannot_be_is_refused(
    sdk: Any, request_: dict[str, Any], code: str, status: int
) -> None:
    with pytest.raises(ClientError) as refused:
        sdk.invoke(**request_)
    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_an_asynchronous_call_returns_before_the_function(sdk: Any, queue: EventQueue) -> None:
    slow, quick = query(sleep=0.5), query()
    for event in (slow, quick):
        answer = sdk.invoke(FunctionName="function", InvocationType="Event", Payload=event)
        assert answer["StatusCode"] == 202
        assert answer["Payload"].read() == b""
    assert not queue.outcomes, "the function is still at the first"
    with pytest.raises(ClientError) as throttled:  # one environment, and it is taken
        sdk.invoke(FunctionName="function", Payload=query())
    assert throttled.value.response["Error"]["Code"] == "TooManyRequestsException"
    # The second was throttled, and tried again.
    assert outcomes(queue, 2) == [Outcome(slow, 1, None), Outcome(quick, 1, None)]


def test_what_fails_is_tried_as_often_as_is_configured(acting: LambdaFunction) -> None:
    once, thrice = EventQueue(acting, retry_seconds=()), EventQueue(acting, retry_seconds=(0, 0))
    for queue, attempts in ((once, 1), (thrice, 3)):
        put(acting, queue, query(fail=1))
        (outcome,) = outcomes(queue, 1)
        assert outcome.attempts == attempts
        assert "on purpose" in str(outcome.failure)


def test_what_waited_too_long_is_dropped(acting: LambdaFunction) -> None:
    queue = EventQueue(acting, retry_seconds=(), event_age_seconds=0.1)
    put(acting, queue, query(sleep=0.5))
    put(acting, queue, query())
    assert outcomes(queue, 1)[0] == Outcome(query(), 0, "throttled")
    assert outcomes(queue, 2)[1] == Outcome(query(sleep=0.5), 1, None)


def put(function: LambdaFunction, queue: EventQueue, event: bytes) -> None:
    """Put an event, as the API would."""

    async def now() -> None:
        queue.put(event)

    function.run(now())


def test_a_schedule_calls_until_it_is_stopped(acting: LambdaFunction, queue: EventQueue) -> None:
    with Schedule(acting, queue, {"queryStringParameters": {}}, 0.05):
        outcomes(queue, 3)
    wait_for(lambda: all(one.frozen for one in living(acting)))
    count = len(queue.outcomes)
    assert {outcome.failure for outcome in queue.outcomes} == {None}

    async def later() -> None:
        await asyncio.sleep(0.2)

    acting.run(later())
    assert len(queue.outcomes) == count


async def test_a_task_is_handed_over_asynchronously(
    sdk: Any, queue: EventQueue, tmp_path: Path
) -> None:
    spawn = own_function({"AWS_LAMBDA_FUNCTION_NAME": "function"})
    assert spawn is not None
    task = Task("preview", {"id": "x"})
    with closing(spawn):
        await spawn(task)
    (outcome,) = await asyncio.to_thread(outcomes, queue, 1)
    assert json.loads(outcome.event) == task.event


async def test_a_published_version_calls_itself(sdk: Any) -> None:
    environ = {"AWS_LAMBDA_FUNCTION_NAME": "function", "AWS_LAMBDA_FUNCTION_VERSION": "7"}
    spawn = own_function(environ)
    assert spawn is not None
    with closing(spawn), pytest.raises(UpstreamRefused, match="ResourceNotFoundException"):
        await spawn(Task("sweep"))  # the emulator has the latest alone


def test_elsewhere_there_is_no_function_to_call() -> None:
    assert own_function({}) is None


class Played:
    """An API that answers with these statuses in turn, and counts; None: it hangs up."""

    def __init__(self, *statuses: int | None) -> None:
        self.asked = 0
        self._statuses = iter(statuses)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(line for line in head.lower().split(b"\r\n") if b"content-length" in line)
        await reader.readexactly(int(size.partition(b":")[2]))
        self.asked += 1
        status = next(self._statuses)
        if status is not None:
            writer.write(
                f"HTTP/1.1 {status} Played\r\nx-amzn-errortype: PlayedException\r\n"
                "Content-Length: 2\r\nConnection: close\r\n\r\n{}".encode()
            )
            await writer.drain()
        writer.close()


@pytest.mark.parametrize(
    ("statuses", "error", "asked"),
    [
        ((202,), None, 1),
        ((429, 202), None, 2),
        ((429, 429, 429), UpstreamLost, 3),
        ((500,), UpstreamLost, 1),
        ((None,), UpstreamLost, 1),
        ((403,), UpstreamRefused, 1),
        ((200,), UpstreamLost, 1),
    ],
    ids=str,
)
async def test_what_may_have_been_taken_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch,
    statuses: tuple[int | None, ...],
    error: type[Exception] | None,
    asked: int,
) -> None:
    played = Played(*statuses)
    async with await asyncio.start_server(played.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "local")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{port}")
        with closing(AsynchronousInvoke("function")) as spawn:
            if error is None:
                await spawn(Task("sweep"))
            else:
                with pytest.raises(error):
                    await spawn(Task("sweep"))
    assert played.asked == asked


async def test_who_is_not_there_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "local")
    with (
        closing(AsynchronousInvoke("function")) as spawn,
        pytest.raises(UpstreamLost, match="takes no task now"),
    ):
        await spawn(Task("sweep"))
