"""Streamed answers: a function URL with RESPONSE_STREAM, a REST API that streams."""

import json
import socket
import time
from pathlib import Path

import httpx
import pytest

from infra.local.aws import FunctionUrl, HttpApi, RestApi
from infra.local.aws.fronts import Front
from tests.infra.lambda_case import frozen, function, living, streaming, wait_for


def get(front: Front, path: str, **query: object) -> httpx.Response:
    parameters = {name: str(value) for name, value in query.items()}
    return httpx.get(front.url + path, params=parameters, timeout=20, trust_env=False)


def test_status_headers_and_cookies_come_from_the_prelude(tmp_path: Path) -> None:
    with streaming(tmp_path) as one, FunctionUrl(one) as url:
        answer = get(url, "/", status=418)
        assert (answer.status_code, answer.text) == (418, "")
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["transfer-encoding"] == "chunked"
        assert answer.headers["x-method"] == "GET"
        assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
        head = httpx.head(url.url, trust_env=False)
        assert (head.status_code, head.headers["x-method"]) == (200, "HEAD")


def test_chunks_arrive_as_they_are_sent(tmp_path: Path) -> None:
    with streaming(tmp_path) as one, FunctionUrl(one) as url:
        get(url, "/")
        begun = time.monotonic()
        arrived = []
        path = f"{url.url}/ticks?n=5&gap=0.2"
        with httpx.stream("GET", path, trust_env=False, timeout=20) as answer:
            for chunk in answer.iter_raw():
                arrived.append((chunk, time.monotonic() - begun))
        assert [chunk for chunk, _ in arrived] == [b"data: %d\n\n" % n for n in range(5)]
        # The last one is sent after 0.8 s, and the answer ends after 1 s.
        assert arrived[0][1] < 0.5
        assert arrived[-1][1] >= 0.75


def test_a_disconnect_is_invisible_to_the_function(tmp_path: Path) -> None:
    sent = tmp_path / "built" / "sent"
    with streaming(tmp_path) as one, FunctionUrl(one) as url:
        with socket.create_connection(("127.0.0.1", url.port)) as client:
            client.sendall(b"GET /ticks?n=20&gap=0.05 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(100)
        wait_for(lambda: sent.exists() and len(sent.read_text().split()) == 20)
        environment = frozen(one)
        assert environment.billed_ms[0] >= 1000
        assert get(url, "/").status_code == 200
        assert [one.number for one in living(one)] == [1]


def test_at_the_deadline_the_stream_breaks_off(tmp_path: Path) -> None:
    with streaming(tmp_path, timeout=0.6) as one, FunctionUrl(one) as url:
        got = b""
        begun = time.monotonic()
        path = f"{url.url}/ticks?n=100&gap=0.1"
        with (
            pytest.raises(httpx.RemoteProtocolError, match="incomplete"),
            httpx.stream("GET", path, trust_env=False, timeout=20) as answer,
        ):
            assert answer.status_code == 200
            for chunk in answer.iter_raw():
                got += chunk
        assert got.startswith(b"data: 0\n\ndata: 1\n\n")
        assert 0.5 < time.monotonic() - begun < 10
        wait_for(lambda: one.environments[0].ended == "timed out")
        assert get(url, "/").status_code == 200
        assert living(one)[0].number == 2


@pytest.mark.parametrize(
    ("path", "sent", "environments"),
    [("/trailer", len(b"data: 0\n\n"), 1), ("/exit?n=40", 40 * 65_536, 2)],
)
def test_an_error_after_the_first_byte_breaks_the_stream_off(
    tmp_path: Path, path: str, sent: int, environments: int
) -> None:
    """After what was sent before; only an exit needs another environment."""
    with streaming(tmp_path) as one, FunctionUrl(one) as url:
        got = 0
        with (
            pytest.raises(httpx.RemoteProtocolError, match="incomplete"),
            httpx.stream("GET", url.url + path, trust_env=False, timeout=20) as answer,
        ):
            for chunk in answer.iter_raw():
                got += len(chunk)
        assert got == sent
        get(url, "/")
        assert len(one.environments) == environments


def test_kill_breaks_the_stream_off(tmp_path: Path) -> None:
    with streaming(tmp_path) as one, FunctionUrl(one) as url:
        path = f"{url.url}/ticks?n=100&gap=0.1"
        with (
            pytest.raises(httpx.RemoteProtocolError, match="incomplete"),
            httpx.stream("GET", path, trust_env=False, timeout=20) as answer,
        ):
            for chunk in answer.iter_raw():
                assert chunk
                one.kill()
        assert one.environments[0].ended == "killed"


def test_an_answer_without_a_prelude(tmp_path: Path) -> None:
    with streaming(tmp_path) as one, FunctionUrl(one) as url, RestApi(one) as rest:
        plain = get(url, "/plain")
        assert (plain.status_code, plain.text) == (200, "no prelude")
        assert plain.headers["content-type"] == "text/plain"
        assert get(url, "/no-delimiter").status_code == 502
        assert get(rest, "/no-delimiter").status_code == 502


def test_a_runtime_that_does_not_stream_is_passed_on_as_it_is(tmp_path: Path) -> None:
    with function(tmp_path, "plain.act") as one, FunctionUrl(one) as url:
        answer = get(url, "/")
        assert answer.status_code == 200
        assert answer.json()["statusCode"] == 200
        assert get(url, "/", fail=1).status_code == 502


def test_an_http_api_understands_no_stream(tmp_path: Path) -> None:
    with streaming(tmp_path) as one, HttpApi(one) as api:
        assert get(api, "/").status_code == 500


def test_a_stream_beyond_the_burst_is_slowed_down(tmp_path: Path) -> None:
    with (
        streaming(tmp_path) as one,
        FunctionUrl(one, burst_bytes=131_072, bytes_per_second=262_144) as slow,
        FunctionUrl(one) as fast,
    ):
        get(fast, "/")
        begun = time.monotonic()
        assert len(get(slow, "/bytes", n=4).content) == 4 * 65_536
        assert time.monotonic() - begun >= 0.5
        begun = time.monotonic()
        assert len(get(fast, "/bytes", n=40).content) == 40 * 65_536
        assert time.monotonic() - begun < 5


def test_a_stream_beyond_the_limit_breaks_off(tmp_path: Path) -> None:
    with (
        streaming(tmp_path, max_streamed_bytes=100_000) as one,
        FunctionUrl(one) as url,
        pytest.raises(httpx.RemoteProtocolError, match="incomplete"),
    ):
        get(url, "/bytes", n=4)


def test_a_rest_api_streams_under_its_stage(tmp_path: Path) -> None:
    with streaming(tmp_path) as one, RestApi(one, stage="live") as rest:
        assert rest.url.endswith("/live")
        answer = get(rest, "/")
        assert (answer.status_code, answer.headers["x-method"]) == (200, "GET")
        assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
        outside = httpx.get(rest.url.removesuffix("/live") + "/other", trust_env=False)
        assert outside.status_code == 403


def test_payload_1(tmp_path: Path) -> None:
    with function(tmp_path, "plain.echo") as one, RestApi(one) as rest:
        # This runtime does not stream: what it answers is passed on as it is.
        answer = httpx.post(
            f"{rest.url}/a/b?x=1&x=2",
            content=b'{"a":1}',
            headers=[("Content-Type", "application/json"), ("X-Many", "1"), ("X-Many", "2")],
            trust_env=False,
        )
        event = json.loads(answer.json()["body"])["event"]
        assert (event["resource"], event["path"]) == ("/{proxy+}", "/a/b")
        assert event["httpMethod"] == "POST"
        assert event["multiValueHeaders"]["x-many"] == ["1", "2"]
        assert event["headers"]["x-many"] == "2"
        assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"]}
        assert event["queryStringParameters"] == {"x": "2"}
        assert event["pathParameters"] == {"proxy": "a/b"}
        assert (event["body"], event["isBase64Encoded"]) == ('{"a":1}', False)
        assert event["requestContext"]["stage"] == "prod"
        assert event["requestContext"]["path"] == "/prod/a/b"


def test_a_silent_stream_of_a_rest_api_breaks_off(tmp_path: Path) -> None:
    with (
        streaming(tmp_path) as one,
        RestApi(one, idle_seconds=0.3) as rest,
        pytest.raises(httpx.RemoteProtocolError, match="incomplete"),
    ):
        get(rest, "/ticks", n=2, gap=1)
