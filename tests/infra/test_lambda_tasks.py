"""Tasks and schedules on the emulator of Lambda, from the bundle that would be deployed."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from infra.local.aws import EventQueue, FunctionUrl, InvokeApi, LambdaFunction, Schedule
from infra.local.child import HOST, free_port
from infra.local.upstash import UpstashServer
from lastevent.serve.app import SWEEP
from tests.infra.lambda_case import living, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

APP = Path(__file__).with_name("task_app.py")


@dataclass
class Deployed:
    """A function that can invoke itself, and a client of its URL."""

    function: LambdaFunction
    queue: EventQueue
    client: httpx.Client

    def notes(self, stream: str) -> list[str]:
        found: list[str] = self.client.get(f"/api/notes/{stream}").json()
        return found


def with_app(bundle: Path, directory: Path) -> Path:
    """Return a bundle like this one whose function is APP."""
    copy = directory / "bundle"
    (copy / "functions").mkdir(parents=True)
    for part in bundle.iterdir():
        if part.name != "functions":
            (copy / part.name).symlink_to(part)
    (copy / "functions" / "app.py").write_text(APP.read_text())
    return copy


@contextmanager
def deployed(
    bundle: Path, directory: Path, store: UpstashServer, timeout: float
) -> Iterator[Deployed]:
    port = free_port()
    environment = {
        **store.environment,
        "LASTEVENT_AUTH_SECRET": "s" * 32,
        "AWS_ENDPOINT_URL_LAMBDA": f"http://{HOST}:{port}",
    }
    function = LambdaFunction(
        bundle,
        "functions.app.app",
        environment,
        data=directory / "data",
        timeout=timeout,
        wrapper="/var/task/lambda-stream",
    )
    queue = EventQueue(function, retry_seconds=())
    with ExitStack() as stack:
        stack.enter_context(function)
        stack.enter_context(InvokeApi(function, queue, port))
        url = stack.enter_context(FunctionUrl(function)).url
        client = httpx.Client(base_url=url, timeout=20, trust_env=False)
        yield Deployed(function, queue, stack.enter_context(client))


def test_the_answer_comes_at_once_and_the_task_has_an_invocation_of_its_own(
    bundle: Path, tmp_path: Path, server: UpstashServer
) -> None:
    with deployed(with_app(bundle, tmp_path), tmp_path, server, 30.0) as lambda_:
        assert lambda_.notes("s") == []  # the cold start is over
        begun = lambda_.client.post("/api/begin", params={"stream": "s", "seconds": 2})
        assert begun.status_code == 202
        assert not lambda_.queue.outcomes, "the answer did not wait for the task"
        wait_for(lambda: lambda_.queue.outcomes)
        (outcome,) = lambda_.queue.outcomes
        assert (outcome.attempts, outcome.failure) == (1, None)
        assert lambda_.notes("s") == ["begun", "ended"]
        wait_for(lambda: all(one.frozen for one in living(lambda_.function)))
        # The task's took its two seconds, no request did.
        longest = sorted(ms for one in lambda_.function.environments for ms in one.billed_ms)
        assert longest[-1] >= 2000 > longest[-2]


def test_a_task_ends_before_lambda_would_end_it(
    bundle: Path, tmp_path: Path, server: UpstashServer
) -> None:
    with deployed(with_app(bundle, tmp_path), tmp_path, server, 5.0) as lambda_:
        begun = lambda_.client.post("/api/begin", params={"stream": "s", "seconds": 60})
        assert begun.status_code == 202
        wait_for(lambda: lambda_.queue.outcomes)
        (outcome,) = lambda_.queue.outcomes
        assert outcome.attempts == 1
        assert "the task write did not end in its time" in str(outcome.failure)
        assert lambda_.notes("s") == ["begun", "cancelled"]
        assert all(one.ended is None for one in lambda_.function.environments), "none was killed"


def test_the_schedule_sweeps(bundle: Path, tmp_path: Path, server: UpstashServer) -> None:
    with deployed(bundle, tmp_path, server, 30.0) as lambda_:
        until = time.monotonic() + 60
        with Schedule(lambda_.function, lambda_.queue, SWEEP.event, 2.0):
            while len(lambda_.queue.outcomes) < 2:
                assert time.monotonic() < until
                time.sleep(0.05)
        assert {outcome.failure for outcome in lambda_.queue.outcomes} == {None}
