"""The life of execution environments: cold starts, freezing, crashes, deadlines, throttling."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from infra.local.aws import FunctionUrl, HttpApi, LambdaFunction
from infra.local.aws.fronts import Front
from infra.local.child import ServerFailed
from tests.infra.lambda_case import FUNCTIONS, frozen, function, living, streaming, wait_for


def get(front: Front, path: str = "/", **query: object) -> httpx.Response:
    parameters = {name: str(value) for name, value in query.items()}
    return httpx.get(front.url + path, params=parameters, timeout=20, trust_env=False)


def test_an_environment_is_started_by_the_first_request_and_used_again(tmp_path: Path) -> None:
    with function(tmp_path, "plain.act") as one, HttpApi(one) as api:
        assert one.environments == []
        answers = [get(api).json() for _ in range(3)]
        assert [answer["served"] for answer in answers] == [1, 2, 3]
        (environment,) = one.environments
        assert {answer["pid"] for answer in answers} == {environment.pid}
        assert environment.init_ms > 0
        assert len(wait_for(lambda: one.environments[0].billed_ms[2:] and one.environments)) == 1


def test_one_invocation_at_a_time_in_each_environment(tmp_path: Path) -> None:
    with function(tmp_path, "plain.act") as one, HttpApi(one) as api, ThreadPoolExecutor() as pool:
        answers = [pool.submit(get, api, sleep=0.5) for _ in range(3)]
        assert len({answer.result().json()["pid"] for answer in answers}) == 3
        assert len(living(one)) == 3


def test_the_environment_used_last_is_used_first(tmp_path: Path) -> None:
    with function(tmp_path, "plain.act") as one, HttpApi(one) as api, ThreadPoolExecutor() as pool:
        late = pool.submit(get, api, sleep=0.8)
        wait_for(lambda: one.environments)
        get(api, sleep=0.1)
        last = late.result().json()["pid"]
        wait_for(lambda: all(environment.frozen for environment in one.environments))
        assert len(one.environments) == 2
        assert {get(api).json()["pid"] for _ in range(3)} == {last}


def test_nothing_runs_between_invocations(tmp_path: Path) -> None:
    with function(tmp_path, "plain.count") as one, HttpApi(one) as api:
        before = int(get(api).text)
        frozen(one)
        time.sleep(0.6)
        # 120 ticks in a process that runs; a few between the answer and the next event.
        assert int(get(api).text) - before < 60


def test_an_environment_that_is_not_frozen_would_have_run(tmp_path: Path) -> None:
    with function(tmp_path, "plain.count") as one, HttpApi(one) as api:
        before = int(get(api).text)
        os.killpg(frozen(one).pid, signal.SIGCONT)
        time.sleep(0.6)
        assert int(get(api).text) - before >= 60


def test_a_request_while_the_runtime_is_busy_does_not_freeze_it(tmp_path: Path) -> None:
    with function(tmp_path, "plain.act") as one, HttpApi(one) as api, ThreadPoolExecutor() as pool:
        slow = pool.submit(get, api, sleep=0.5)
        wait_for(lambda: one.environments)
        time.sleep(0.2)
        assert not one.environments[0].frozen
        assert slow.result().status_code == 200
        frozen(one)


def test_at_the_deadline_the_environment_is_killed(tmp_path: Path) -> None:
    with function(tmp_path, "plain.act", timeout=0.4) as one, HttpApi(one) as api:
        assert 0 < get(api).json()["left_ms"] <= 400
        assert get(api, sleep=5).status_code == 500
        killed = wait_for(lambda: [e for e in one.environments if e.ended])[0]
        assert killed.ended == "timed out"
        assert killed.billed_ms[1] >= 400
        assert get(api).json()["served"] == 1
        assert [e.number for e in living(one)] == [2]


def test_the_deadline_holds_until_the_next_event_is_asked_for(tmp_path: Path) -> None:
    """An answer that is complete does not end an invocation: the runtime's `next` does."""
    with (
        function(tmp_path, "lingers.handler", environment={"LINGERS": "30"}, timeout=0.5) as one,
        HttpApi(one) as api,
    ):
        assert get(api).text == "answered"
        assert living(one)
        wait_for(lambda: one.environments[0].ended == "timed out")
        assert one.environments[0].billed_ms[0] >= 500


def test_a_request_right_behind_an_answer_waits_for_its_environment(tmp_path: Path) -> None:
    with (
        function(tmp_path, "lingers.handler", environment={"LINGERS": "0.03"}) as one,
        HttpApi(one) as api,
    ):
        assert [get(api).text for _ in range(4)] == ["answered"] * 4
        assert len(one.environments) == 1


def test_a_process_that_exits_gives_way_to_a_new_environment(tmp_path: Path) -> None:
    with function(tmp_path, "plain.act") as one, HttpApi(one) as api:
        assert get(api, exit=3).status_code == 500
        wait_for(lambda: one.environments[0].ended == "exit status 3")
        assert get(api).json()["served"] == 1


def test_an_exception_in_the_handler_does_not_end_its_environment(tmp_path: Path) -> None:
    with function(tmp_path, "plain.act") as one, HttpApi(one) as api:
        answer = get(api, fail=1)
        assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})
        assert get(api).json()["served"] == 2
        assert "on purpose" in one.log.read_text()


def test_kill_ends_an_environment_at_any_instant(tmp_path: Path) -> None:
    with function(tmp_path, "plain.act") as one, HttpApi(one) as api, ThreadPoolExecutor() as pool:
        slow = pool.submit(get, api, sleep=20)
        wait_for(lambda: one.environments and one.environments[0].pid)
        time.sleep(0.2)
        one.kill()
        assert one.environments[0].ended == "killed"
        assert slow.result().status_code == 500
        assert get(api).status_code == 200
        frozen(one)
        one.kill(2)
        assert get(api).status_code == 200
        assert [environment.ended for environment in one.environments] == ["killed", "killed", None]


def test_recycle_ends_those_that_serve_nothing(tmp_path: Path) -> None:
    with function(tmp_path, "plain.act") as one, HttpApi(one) as api, ThreadPoolExecutor() as pool:
        get(api)
        frozen(one)
        one.recycle()
        assert one.environments[0].ended == "recycled"
        slow = pool.submit(get, api, sleep=0.5)
        wait_for(lambda: living(one))
        one.recycle()
        assert slow.result().status_code == 200


@pytest.mark.parametrize(("seconds", "told"), [(0.0, False), (2.0, True)])
def test_sigterm_comes_only_where_an_extension_is_registered(
    tmp_path: Path, seconds: float, told: bool
) -> None:
    with (
        streaming(tmp_path, shutdown_seconds=seconds) as one,
        FunctionUrl(one) as url,
    ):
        get(url)
        frozen(one)
        one.recycle()
        assert (tmp_path / "built" / "terminated").exists() == told


def test_more_than_there_may_be_is_throttled(tmp_path: Path) -> None:
    with (
        function(tmp_path, "plain.act", max_environments=1) as one,
        FunctionUrl(one, streaming=False) as url,
        HttpApi(one) as api,
        ThreadPoolExecutor() as pool,
    ):
        slow = pool.submit(get, api, sleep=0.6)
        wait_for(lambda: one.environments)
        assert get(url).status_code == 429
        refused = get(api)
        assert (refused.status_code, refused.json()) == (503, {"message": "Service Unavailable"})
        assert slow.result().status_code == 200
        assert get(api).status_code == 200
        assert len(one.environments) == 1


def test_a_failed_init_is_tried_again_and_then_fails_the_invocation(tmp_path: Path) -> None:
    with function(tmp_path, "init_raises.handler") as one, HttpApi(one) as api:
        assert get(api).status_code == 500
        assert (tmp_path / "built" / "starts").read_text().count("started") == 2
        assert [environment.ended for environment in one.environments] == ["RuntimeError"] * 2
        assert living(one) == []


def test_an_init_that_takes_too_long_is_tried_again_within_the_invocation(tmp_path: Path) -> None:
    with (
        function(tmp_path, "init_dawdles.handler", init_seconds=0.5) as one,
        HttpApi(one) as api,
    ):
        assert get(api).text == "ready"
        assert one.environments[0].ended == "Sandbox.Timedout"
        assert living(one)[0].number == 2


def test_a_wrapper_that_is_not_there_fails_the_invocation(tmp_path: Path) -> None:
    with function(tmp_path, "plain.act", wrapper="/var/task/absent") as one, HttpApi(one) as api:
        assert get(api).status_code == 500
        ended = one.environments[0].ended
        assert ended
        assert ended.startswith("cannot be run")


def test_several_invocations_share_a_managed_instance(tmp_path: Path) -> None:
    with (
        streaming(tmp_path, concurrency=4, timeout=1.0) as one,
        FunctionUrl(one) as url,
        ThreadPoolExecutor() as pool,
    ):
        get(url)
        answers = [pool.submit(get, url, "/ticks", n=4, gap=0.1) for _ in range(4)]
        assert all(answer.result().text.count("data:") == 4 for answer in answers)
        (environment,) = one.environments
        assert not environment.frozen
        # A time-out ends the invocation, and nothing else.
        with pytest.raises(httpx.RemoteProtocolError):
            get(url, "/ticks", n=15, gap=0.1)
        assert get(url).status_code == 200
        assert len(one.environments) == 1


def test_the_function_gets_what_the_platform_sets_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LASTEVENT_OF_THE_DEVELOPER", "1")
    with (
        function(tmp_path, "plain.echo", environment={"GREETING": "hello"}, memory=512) as one,
        HttpApi(one) as api,
    ):
        found = get(api).json()["environment"]
    assert "LASTEVENT_OF_THE_DEVELOPER" not in found
    built = str((tmp_path / "built").resolve())
    expected = {
        "GREETING": "hello",
        "_HANDLER": "plain.echo",
        "LAMBDA_TASK_ROOT": built,
        "AWS_LAMBDA_FUNCTION_NAME": "function",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/function",
        "AWS_REGION": "eu-west-1",
        "TZ": ":UTC",
    }
    assert expected.items() <= found.items()
    assert found["AWS_EXECUTION_ENV"] == "AWS_Lambda_python{}.{}".format(*sys.version_info)
    assert {"AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_LOG_STREAM_NAME"} <= found.keys()
    assert "AWS_LAMBDA_MAX_CONCURRENCY" not in found


def test_reserved_variables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="_HANDLER"):
        function(tmp_path, "plain.echo", environment={"_HANDLER": "other"})


def test_only_what_is_built_or_brought_is_found(tmp_path: Path) -> None:
    body = '["plain", "boto3", "awslambdaric", "starlette", "lastevent", "httpx", "exchange"]'
    with function(tmp_path, "plain.dependencies") as one, HttpApi(one) as api:
        headers = {"Content-Type": "application/json"}
        found = httpx.post(api.url, content=body, headers=headers, trust_env=False).json()
    assert [name for name, there in found.items() if there] == ["plain", "boto3", "awslambdaric"]


def test_a_directory_that_is_not_there_fails_the_start(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed):
        LambdaFunction(tmp_path / "absent", "plain.act", data=tmp_path / "data").start()


def test_nothing_outlives_the_emulator_even_if_it_is_killed(tmp_path: Path) -> None:
    """A frozen process obeys no SIGTERM, and notices no closed connection."""
    command = [
        *(sys.executable, "-m", "infra.local.aws", "--directory", str(FUNCTIONS)),
        *("--handler", "plain.act", "--mode", "buffered", "--data", str(tmp_path)),
    ]
    emulator = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert emulator.stdout
    try:
        url = emulator.stdout.readline().strip()
        pid = httpx.get(url, trust_env=False).json()["pid"]
        wait_for(lambda: _state(pid) == "T")
    finally:
        emulator.kill()
        emulator.wait(10)
        emulator.stdout.close()
    wait_for(lambda: _state(pid) in (None, "Z"))


def test_the_command_serves_and_ends_with_a_signal(tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "infra.local.aws", "--directory", str(FUNCTIONS)),
        *("--handler", "plain.echo", "--mode", "buffered", "--data", str(tmp_path)),
        *("--variable", "GREETING"),
    ]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (refused.returncode, refused.stderr) == (2, "not set: GREETING\n")
    emulator = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "GREETING": "hello"}
    )
    assert emulator.stdout
    try:
        url = emulator.stdout.readline().strip()
        found = httpx.get(url, trust_env=False).json()["environment"]
        assert found["GREETING"] == "hello"
        emulator.send_signal(signal.SIGTERM)
        assert emulator.wait(10) == 0
    finally:
        emulator.kill()
        emulator.wait(10)
        emulator.stdout.close()


def test_stopping_leaves_no_thread_and_no_process(tmp_path: Path) -> None:
    threads = threading.active_count()
    with function(tmp_path, "plain.act") as one, HttpApi(one) as api:
        pid = get(api).json()["pid"]
    wait_for(lambda: _state(pid) in (None, "Z"))
    assert threading.active_count() == threads


def _state(pid: int) -> str | None:
    """Return the letter of a process's state, None where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None
