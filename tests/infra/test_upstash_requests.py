"""Requests and answers as the REST API's documentation says."""

import json
from collections import Counter

import httpx
import pytest

from infra.local.upstash import UpstashServer
from tests.infra.rest import Rest

LIMIT = 10 * 1024 * 1024


@pytest.mark.parametrize(
    ("method", "path", "body", "stored"),
    [
        ("GET", "/set/foo/bar", "", "bar"),
        ("POST", "/set/foo/bar", "", "bar"),
        ("PUT", "/SET/foo", "bar", "bar"),
        ("POST", "/set/foo", '{"a": [1, 2]}', '{"a": [1, 2]}'),
        ("POST", "/set/foo?EX=100", "a/b?c", "a/b?c"),
        ("POST", "/set/foo?nx&PX=100000", "bar", "bar"),
        ("GET", "/set/foo/a%2Fb%20c%00d", "", "a/b c\0d"),
        ("GET", "/set/foo/%F0%9F%90%88", "", "🐈"),
        ("POST", "/", '["SET", "foo", "bar", "EX", 100]', "bar"),
        ("POST", "/", '["SET", "foo", 12345678901234567890]', "12345678901234567890"),
        ("POST", "/", '["SET", "foo", 1.50]', "1.50"),
        ("POST", "/", '["SET", "foo", true]', "true"),
        ("POST", "/", '["SET", "foo", "\\ud800\\u0000\\ud83d\\ude00"]', "\ufffd\0😀"),
    ],
)
async def test_a_command_has_these_forms(
    rest: Rest, method: str, path: str, body: str, stored: str
) -> None:
    answer = await rest.http.request(method, path, content=body)
    assert (answer.status_code, answer.json()) == (200, {"result": "OK"})
    assert await rest.call("GET", "foo") == stored
    assert (await rest.call("TTL", "foo") > 0) == ("EX" in path + body or "PX" in path)


async def test_a_head_request_is_answered_without_a_body(rest: Rest) -> None:
    await rest.call("SET", "foo", "bar")
    answer = await rest.http.head("/get/foo")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_405(rest: Rest, method: str) -> None:
    answer = await rest.http.request(method, "/get/foo")
    assert answer.status_code == 405
    assert answer.json().keys() == {"error"}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"Authorization": "x"}])
@pytest.mark.parametrize("path", ["/get/foo", "/get/foo?_token=x", "/pipeline", "/subscribe/a"])
async def test_a_missing_or_wrong_token_is_401(
    bare: httpx.AsyncClient, headers: dict[str, str], path: str
) -> None:
    answer = await bare.post(path, headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {"error": "WRONGPASS invalid or missing auth token"}


async def test_the_token_may_be_a_parameter(server: UpstashServer, bare: httpx.AsyncClient) -> None:
    answer = await bare.get(f"/set/foo/bar?_token={server.token}&EX=100")
    assert answer.json() == {"result": "OK"}
    assert (await bare.get(f"/get/foo?_token={server.token}")).json() == {"result": "bar"}


async def test_the_read_only_token_reads(server: UpstashServer, rest: Rest) -> None:
    await rest.call("SET", "foo", "bar")
    async with Rest.of(server, server.read_only_token) as reader:
        assert await reader.call("GET", "foo") == "bar"
        assert await reader.call("EVAL_RO", "return redis.call('GET', KEYS[1])", 1, "foo") == "bar"
        for command in ("SET foo x", "EVAL return 0", "KEYS *", "SCAN 0", "PUBLISH a b"):
            name, *arguments = command.split()
            assert await reader.error(name, *arguments) == (
                "NOPERM this user has no permissions to run the "
                f"'{name.lower()}' command or its subcommand"
            )
        assert (await reader.http.post("/multi-exec", json=[["SET", "a", "b"]])).status_code == 400
        assert (await reader.http.post("/subscribe/a")).status_code == 400


async def test_results_are_json_values(rest: Rest) -> None:
    assert await rest.call("GET", "absent") is None
    assert await rest.call("RPUSH", "list", "a", "b") == 2
    assert await rest.call("LRANGE", "list", 0, -1) == ["a", "b"]
    assert await rest.call("MGET", "absent") == [None]
    assert await rest.call("PING") == "PONG"
    assert await rest.call("EVAL", "return {1, {'a', {false}}}", 0) == [1, ["a", [None]]]
    await rest.call("SET", "bits", "a")
    await rest.call("BITOP", "NOT", "bits", "bits")
    assert await rest.call("GET", "bits") == "\ufffd"


async def test_failures_are_400_with_the_stores_own_words(rest: Rest) -> None:
    assert await rest.error("GET") == "ERR wrong number of arguments for 'get' command"
    await rest.call("SET", "foo", "bar")
    assert (await rest.error("LPUSH", "foo", 1)).startswith("WRONGTYPE ")


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '"GET"', '["SET", "a", {}]', "[null]"])
async def test_what_is_no_command_is_400(rest: Rest, body: str) -> None:
    for path in ("/", "/pipeline", "/multi-exec"):
        if (path, body) in (("/pipeline", "[]"), ("/multi-exec", "[]")):
            continue
        answer = await rest.http.post(path, content=body)
        assert answer.status_code == 400
        assert answer.json().keys() == {"error"}


@pytest.mark.parametrize(
    "command",
    [
        ["SUBSCRIBE", "a"],
        ["PSUBSCRIBE", "a"],
        ["BLPOP", "a", 0],
        ["BRPOPLPUSH", "a", "b", 0],
        ["BZPOPMIN", "a", 0],
        ["XREAD", "BLOCK", 0, "STREAMS", "a", "$"],
        ["XREADGROUP", "GROUP", "g", "c", "block", 0, "STREAMS", "a", ">"],
        ["MULTI"],
        ["WATCH", "a"],
        ["DISCARD"],
        ["SELECT", 1],
        ["AUTH", "x"],
        ["CONFIG", "GET", "*"],
        ["SHUTDOWN"],
        ["REPLICAOF", "NO", "ONE"],
        ["NOSUCHCOMMAND"],
        [""],
    ],
)
async def test_what_the_rest_api_has_not_is_refused(rest: Rest, command: list[object]) -> None:
    assert (await rest.error(*command)).startswith(
        f"ERR Command is not available: '{command[0]}'. See https://upstash.com/docs/"
    )


async def test_a_stream_may_be_read_without_blocking(rest: Rest) -> None:
    await rest.call("XADD", "BLOCK", "1-1", "text", "a")
    assert await rest.call("XREAD", "STREAMS", "BLOCK", "0") == [
        ["BLOCK", [["1-1", ["text", "a"]]]]
    ]


async def test_base64_encodes_every_string_but_ok(rest: Rest) -> None:
    async def encoded(*command: object) -> object:
        answer = await rest.send(*command, upstash_encoding="base64")
        return answer.json()["result"]

    assert await encoded("SET", "foo", "bär") == "OK"
    assert await encoded("GET", "foo") == "YsOkcg=="
    assert await encoded("GET", "absent") is None
    assert await encoded("PING") == "UE9ORw=="
    assert await encoded("STRLEN", "foo") == 4
    assert await encoded("EVAL", "return {1, {'OK', redis.call('PING')}}", 0) == [
        1,
        ["T0s=", "UE9ORw=="],
    ]
    await rest.call("BITOP", "NOT", "bits", "foo")
    assert await encoded("GET", "bits") == "nTxbjQ=="


async def test_errors_are_not_encoded(rest: Rest) -> None:
    answer = await rest.send("GET", upstash_encoding="base64")
    assert answer.json() == {"error": "ERR wrong number of arguments for 'get' command"}


async def test_resp2_is_the_stores_own_reply(rest: Rest) -> None:
    async def raw(*command: object) -> bytes:
        answer = await rest.send(*command, upstash_response_format="resp2")
        assert answer.headers["content-type"] == "application/octet-stream"
        return answer.content

    assert await raw("SET", "foo", "bar") == b"+OK\r\n"
    assert await raw("GET", "foo") == b"$3\r\nbar\r\n"
    assert await raw("GET", "absent") == b"$-1\r\n"
    assert await raw("DEL", "foo") == b":1\r\n"
    assert await raw("EVAL", "return {1, 'a'}", 0) == b"*2\r\n:1\r\n$1\r\na\r\n"
    assert await raw("GET") == b"-ERR wrong number of arguments for 'get' command\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        {"upstash_response_format": "xml"},
        {"upstash_response_format": "resp2", "upstash_encoding": "base64"},
        {"upstash_encoding": "rot13"},
    ],
)
async def test_other_formats_are_400(rest: Rest, headers: dict[str, str]) -> None:
    assert (await rest.send("SET", "foo", "bar", **headers)).status_code == 400
    assert await rest.call("EXISTS", "foo") == 0


async def test_a_pipeline_answers_each_command(rest: Rest) -> None:
    answer = await rest.http.post(
        "/pipeline",
        json=[["SET", "foo", "x"], ["BLPOP", "a", 0], ["INCR", "foo"], ["GET", "foo"]],
    )
    assert answer.status_code == 200
    set_, refused, failed, got = answer.json()
    assert (set_, got) == ({"result": "OK"}, {"result": "x"})
    assert refused["error"].startswith("ERR Command is not available: 'BLPOP'")
    assert failed == {"error": "ERR value is not an integer or out of range"}


async def test_an_empty_pipeline_has_no_answers(rest: Rest) -> None:
    assert (await rest.http.post("/pipeline", json=[])).json() == []


async def test_a_transaction_goes_on_after_a_failure(rest: Rest) -> None:
    answer = await rest.http.post(
        "/multi-exec",
        json=[["SET", "foo", "x"], ["INCR", "foo"], ["GET", "foo"]],
        headers={"Upstash-Encoding": "base64"},
    )
    assert answer.json() == [
        {"result": "OK"},
        {"error": "ERR value is not an integer or out of range"},
        {"result": "eA=="},
    ]


@pytest.mark.parametrize("bad", [["INCR"], ["BLPOP", "a", 0], ["WATCH", "a"]])
async def test_a_transaction_with_a_bad_command_is_discarded(rest: Rest, bad: list[object]) -> None:
    answer = await rest.http.post("/multi-exec", json=[["SET", "foo", "x"], bad])
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("ERR ")
    assert await rest.call("EXISTS", "foo") == 0
    assert await rest.call("SET", "after", "it") == "OK"


async def test_a_request_is_at_most_10_mb(server: UpstashServer, rest: Rest) -> None:
    frame = len(json.dumps(["SET", "foo", ""], separators=(",", ":")))
    assert (await rest.send("SET", "foo", "x" * (LIMIT - frame))).status_code == 200
    assert await rest.error("SET", "foo", "x" * (LIMIT - frame + 1)) == (
        f"ERR max request size exceeded. Limit: {LIMIT} bytes, Actual: {LIMIT + 1} bytes"
    )
    assert await rest.call("STRLEN", "foo") == LIMIT - frame


async def test_an_answer_is_at_most_10_mb(rest: Rest) -> None:
    await rest.call("SET", "foo", "x" * 6_000_000)
    assert "max request size exceeded" in await rest.error("MGET", "foo", "foo")


async def test_a_key_is_at_most_32_kb(rest: Rest) -> None:
    assert await rest.call("SET", "k" * 32_768, "v") == "OK"
    long = "k" * 32_769
    for command in (["SET", long, "v"], ["MGET", "a", long], ["EVAL", "return 1", 1, long]):
        assert await rest.error(*command) == (
            "ERR max key size exceeded. Limit: 32768 bytes, Actual: 32769 bytes"
        )


async def test_commands_are_counted_as_a_bill_would(server: UpstashServer, rest: Rest) -> None:
    before = Counter(await server.commands())
    await rest.call("SET", "foo", "bar")
    await rest.call("EVAL", "redis.call('GET', 'foo') return redis.call('GET', 'foo')", 0)
    await rest.error("LPUSH", "foo", "x")
    await rest.error("BLPOP", "foo", 0)
    await rest.http.post("/pipeline", json=[["GET", "foo"], ["GET", "foo"], ["BLPOP", "a", 0]])
    await rest.http.post("/multi-exec", json=[["GET", "foo"], ["INCR"]])
    await rest.http.post("/multi-exec", json=[["GET", "foo"], ["INCR", "n"]])
    await server.fault("status", status=429, times=1)
    assert (await rest.send("GET", "foo")).status_code == 429
    await rest.http.post("/get/foo", headers={"Authorization": "Bearer x"})
    after = Counter(await server.commands())
    assert after - before == {"SET": 1, "EVAL": 1, "LPUSH": 1, "GET": 3, "INCR": 1}
