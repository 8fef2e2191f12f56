"""Function URLs and HTTP APIs that buffer: the events that they make, the answers they accept."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.aws import FunctionUrl, HttpApi
from infra.local.aws.answers import MAX_PRELUDE_BYTES, Malformed, Prelude, parse_whole
from infra.local.aws.fronts import Front
from tests.infra.lambda_case import function, wait_for

FAILED: dict[type[Front], int] = {HttpApi: 500, FunctionUrl: 502}
Fronts = tuple[Front, Front]


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronts]:
    with (
        function(tmp_path_factory.mktemp("echo"), "plain.echo") as one,
        HttpApi(one) as api,
        FunctionUrl(one, streaming=False) as url,
    ):
        yield api, url


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronts]:
    with (
        function(tmp_path_factory.mktemp("answer"), "plain.answer") as one,
        HttpApi(one) as api,
        FunctionUrl(one, streaming=False) as url,
    ):
        yield api, url


def request(front: Front, method: str, path: str, **options: Any) -> httpx.Response:
    return httpx.request(method, front.url + path, timeout=20, trust_env=False, **options)


def answered(front: Front, what: object, method: str = "POST") -> httpx.Response:
    """Let the function answer this."""
    headers = {"Content-Type": "application/json"}
    return request(front, method, "/", content=json.dumps(what), headers=headers)


def test_payload_2(echo: Fronts) -> None:
    for front, account in zip(echo, ("123456789012", "anonymous"), strict=True):
        found = request(
            front,
            "PUT",
            "/api/streams/a%3Ab?x=1&x=2&y=%20",
            content=b'{"a":1}',
            headers=[
                ("Content-Type", "application/json; charset=utf-8"),
                ("Cookie", "one=1; two=2"),
                ("X-Many", "1"),
                ("X-Many", "2"),
                ("User-Agent", "test"),
                ("Last-Event-ID", "abc"),
            ],
        ).json()["event"]
        context = found.pop("requestContext")
        headers = found.pop("headers")
        assert found == {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/api/streams/a%3Ab",
            "rawQueryString": "x=1&x=2&y=%20",
            "cookies": ["one=1", "two=2"],
            "queryStringParameters": {"x": "1,2", "y": " "},
            "body": '{"a":1}',
            "isBase64Encoded": False,
        }
        assert headers["x-many"] == "1,2"
        assert headers["last-event-id"] == "abc"
        assert headers["x-forwarded-for"] == "127.0.0.1"
        assert headers["x-forwarded-port"] == str(front.port)
        assert "cookie" not in headers
        assert context["accountId"] == account
        assert context["stage"] == "$default"
        assert context["http"] == {
            "method": "PUT",
            "path": "/api/streams/a%3Ab",
            "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1",
            "userAgent": "test",
        }


@pytest.mark.parametrize(
    ("kind", "body", "encoded"),
    [
        ("text/plain", "grün".encode(), False),
        ("text/plain", b"\xff", True),
        ("application/json", b"{}", False),
        ("application/octet-stream", b"{}", True),
        ("application/x-www-form-urlencoded", b"a=1", True),
    ],
)
def test_what_is_no_text_goes_in_base64(
    echo: Fronts, kind: str, body: bytes, encoded: bool
) -> None:
    for front in echo:
        answer = request(front, "POST", "/", content=body, headers={"Content-Type": kind})
        event = answer.json()["event"]
        assert event["isBase64Encoded"] == encoded
        found = event["body"]
        assert (base64.b64decode(found) if encoded else found.encode()) == body


def test_no_body_and_no_query_leave_no_trace(echo: Fronts) -> None:
    event = request(echo[0], "GET", "/").json()["event"]
    assert event["isBase64Encoded"] is False
    assert not {"body", "cookies", "queryStringParameters"} & event.keys()


def test_an_event_of_more_than_six_megabytes_is_refused(echo: Fronts) -> None:
    for front in echo:
        assert request(front, "POST", "/", content=b"x" * 5_000_000).status_code == 413
        # Too large for any request, and read to its end all the same.
        assert request(front, "POST", "/", content=b"x" * 12_000_000).status_code == 413


def test_status_headers_cookies_and_body(answer: Fronts) -> None:
    for front in answer:
        got = answered(
            front,
            {
                "statusCode": 201,
                "headers": {"Content-Type": "text/plain", "X-Number": 7, "Connection": "close"},
                "cookies": ["a=1; Path=/", "b=2"],
                "body": "grün",
                "isBase64Encoded": False,
            },
        )
        assert (got.status_code, got.text) == (201, "grün")
        assert got.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2"]
        assert got.headers["content-type"] == "text/plain"
        assert got.headers["x-number"] == "7"
        assert got.headers["x-amzn-remapped-connection"] == "close"
        assert got.headers["content-length"] == "5"
        assert "connection" not in got.headers


def test_a_body_in_base64(answer: Fronts) -> None:
    body = base64.b64encode(b"\x00\xff").decode()
    for front in answer:
        got = answered(front, {"statusCode": 200, "body": body, "isBase64Encoded": True})
        assert got.content == b"\x00\xff"


def test_what_has_no_status_is_the_body_of_a_200(answer: Fronts) -> None:
    for front in answer:
        for what in ({"message": "Hello"}, "Hello", [1], None):
            got = answered(front, what)
            assert (got.status_code, got.headers["content-type"]) == (200, "application/json")
            assert got.text == (what if isinstance(what, str) else json.dumps(what))


def test_answers_without_a_body(answer: Fronts, caplog: pytest.LogCaptureFixture) -> None:
    for front in answer:
        assert answered(front, {"statusCode": 204, "body": "unseen"}).content == b""
        got = answered(front, {"statusCode": 200, "body": "unseen"}, "HEAD")
        assert (got.status_code, got.content, got.headers["content-length"]) == (200, b"", "6")
    assert not [record for record in caplog.records if record.name.startswith("infra")]


@pytest.mark.parametrize(
    "what",
    [
        {"statusCode": "no"},
        {"statusCode": 99},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "body": "?", "isBase64Encoded": True},
        {"statusCode": 200, "headers": ["a"]},
        {"statusCode": 200, "headers": {"a b": "c"}},
        {"statusCode": 200, "headers": {"a": "b\r\nc: d"}},
        {"statusCode": 200, "cookies": "a=1"},
    ],
)
def test_malformed_answers(answer: Fronts, what: object) -> None:
    for front in answer:
        got = answered(front, what)
        assert got.status_code == FAILED[type(front)]
        assert got.json() == {"message": "Internal Server Error"}


def test_an_http_api_gives_up_and_the_function_runs_on(tmp_path: Path) -> None:
    with function(tmp_path, "plain.act") as one, HttpApi(one, seconds=0.4) as api:
        request(api, "GET", "/")
        got = request(api, "GET", "/?sleep=1")
        assert (got.status_code, got.json()) == (503, {"message": "Service Unavailable"})
        (environment,) = one.environments
        assert len(environment.billed_ms) == 1
        billed = wait_for(lambda: one.environments[0].billed_ms[1:])
        assert billed[0] >= 1000
        assert request(api, "GET", "/").json()["served"] == 3


def test_errors_of_a_function_url(tmp_path: Path) -> None:
    with (
        function(tmp_path, "plain.act", timeout=0.5) as one,
        FunctionUrl(one, streaming=False) as url,
    ):
        for query in ("fail=1", "exit=1", "sleep=5", "bytes=7000000"):
            assert request(url, "GET", f"/?{query}").status_code == 502, query


def test_a_prelude_is_found_wherever_it_is_cut() -> None:
    stream = b'{"statusCode":201,"headers":{"A":"b"},"cookies":["c=d"]}' + b"\0" * 8 + b"\0rest"
    for size in range(1, len(stream)):
        prelude = Prelude()
        parts = [stream[start : start + size] for start in range(0, len(stream), size)]
        rest = b""
        found = None
        for part in parts:
            if found:
                rest += part
            elif found := prelude.feed(part):
                rest = found[1]
        assert found
        assert found[0].status == 201
        assert found[0].headers == [
            ("a", "b"),
            ("set-cookie", "c=d"),
            ("content-type", "application/json"),
        ]
        assert rest == b"\0rest"


@pytest.mark.parametrize(
    "stream",
    [
        b"no JSON" + b"\0" * 8,
        b"[]" + b"\0" * 8,
        b'{"statusCode":"no"}' + b"\0" * 8,
        b" " * (MAX_PRELUDE_BYTES + 1),
        b" " * MAX_PRELUDE_BYTES + b"{}" + b"\0" * 8,
    ],
)
def test_malformed_preludes(stream: bytes) -> None:
    with pytest.raises(Malformed):
        Prelude().feed(stream)


def test_several_values_of_a_header() -> None:
    what = {
        "statusCode": 200,
        "headers": {"Accept": "no", "Content-Type": "text/plain"},
        "multiValueHeaders": {"accept": ["a", "b"]},
    }
    head, _ = parse_whole(json.dumps(what).encode())
    assert sorted(head.headers) == [
        ("accept", "a"),
        ("accept", "b"),
        ("content-type", "text/plain"),
    ]
