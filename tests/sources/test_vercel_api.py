"""The client of the vendor's API: what its answers mean, what it sends, and what it never says."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from time import time
from typing import Any

import pytest

from lastevent.core.errors import ConfigError, UpstreamLost
from lastevent.sources.http_service import AnswerTooLarge
from lastevent.sources.vercel import api as api_module
from lastevent.sources.vercel.api import ApiRefused, VercelApi
from lastevent.sources.vercel.snapshot import Snapshot
from tests.sources.answering_http import answer, answering

TOKEN = "secret-token-0123456789"
DOCUMENT = {
    "id": "dpl_a",
    "name": "shop",
    "url": "shop-a.vercel.app",
    "inspectorUrl": "https://vercel.com/me/shop/a",
    "readyState": "READY",
    "projectId": "prj_a",
    "createdAt": 1_700_000_000_000,
    "ready": 1_700_000_050_000,
}

Call = Callable[[VercelApi], Awaitable[Any]]


@asynccontextmanager
async def asking(*answers: bytes, team: str | None = None) -> AsyncIterator[Any]:
    """Serve these answers; yield the client and the server."""
    async with answering(answers) as server:
        api = VercelApi(TOKEN, team=team, url=server.url)
        try:
            yield api, server
        finally:
            await api.aclose()


async def test_a_deployment_and_what_is_sent_for_it() -> None:
    async with asking(answer(json.dumps(DOCUMENT)), team="team_a") as (api, server):
        assert await api.deployment("dpl_a") == Snapshot(
            id="dpl_a",
            name="shop",
            ready_state="READY",
            project="prj_a",
            url="https://shop-a.vercel.app",
            inspector_url="https://vercel.com/me/shop/a",
            created=1_700_000_000_000,
            ended=1_700_000_050_000,
        )
        assert server.asked[0].startswith(b"GET /v13/deployments/dpl_a?teamId=team_a HTTP")
        assert f"authorization: bearer {TOKEN}".encode() in server.asked[0].lower()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"[]", []),
        (b"", []),
        (b'[{"id":1},{"id":2}]', [{"id": 1}, {"id": 2}]),
        (b'{"id":1}\n{"id":2}\n', [{"id": 1}, {"id": 2}]),
        (b'{"id":1}\r\n\r\n  {"id":2}{"id":3}', [{"id": 1}, {"id": 2}, {"id": 3}]),
        (b'[{"id":1}]' + b" " * 200 + b'{"id":2}', [{"id": 1}, {"id": 2}]),
    ],
)
async def test_events_as_an_array_and_as_a_stream(body: bytes, expected: list[Any]) -> None:
    async with asking(answer(body)) as (api, server):
        assert await api.events("dpl_a", since=5) == expected
        assert b"direction=forward&limit=-1&builds=1&since=5" in server.asked[0]
        assert b"follow" not in server.asked[0]


@pytest.mark.parametrize("status", [404, 410])
async def test_a_log_that_is_not_there_has_no_events(status: int) -> None:
    async with asking(answer("{}", status)) as (api, _):
        assert await api.events("dpl_a") == []


@pytest.mark.parametrize(
    "said",
    [
        answer(b'[{"id":1},{"id'),
        answer(b'{"id":1}\n{"id"'),
        answer(b"<html>"),
        answer(b"\xff"),
        answer(b"[" * 100_000),
        answer(b"[" + b" " * 100)[:-50],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n[1,2,\r\n",
        b"nonsense\r\n\r\n",
        answer("{}", 500),
        answer("{}", 503),
        answer("{}", 408),
    ],
)
async def test_what_passes(said: bytes) -> None:
    async with asking(said, said) as (api, _):
        with pytest.raises(UpstreamLost) as caught:
            await api.events("dpl_a")
        assert caught.value.retry_after is None


@pytest.mark.parametrize(
    ("status", "headers", "low", "high"),
    [
        (429, {"retry_after": "7"}, 7, 7),
        (503, {"retry_after": "0.5"}, 0.5, 0.5),
        (429, {"retry_after": "DATE"}, 50, 101),
        (429, {"x_ratelimit_reset": "TIME"}, 50, 101),
        (429, {"retry_after": "7", "x_ratelimit_reset": "9999999999"}, 7, 7),
        (429, {"x_ratelimit_reset": "1"}, None, None),
    ],
)
async def test_when_to_come_back(
    status: int, headers: dict[str, str], low: float | None, high: float | None
) -> None:
    moment = time() + 100
    written = {"DATE": formatdate(moment, usegmt=True), "TIME": str(int(moment))}
    said = {name: written.get(text, text) for name, text in headers.items()}
    async with asking(answer("{}", status, **said)) as (api, _):
        with pytest.raises(UpstreamLost) as caught:
            await api.deployment("dpl_a")
        found = caught.value.retry_after
        if low is None or high is None:
            assert found is None
        else:
            assert found is not None
            assert low <= found <= high


def vendors(code: str, message: str, **more: object) -> str:
    return json.dumps({"error": {"code": code, "message": message, **more}})


@pytest.mark.parametrize(
    ("status", "body", "answered", "says"),
    [
        (404, vendors("not_found", "Could not find the deployment"), 404, "Could not find"),
        (403, vendors("forbidden", "You don't have permission."), 403, "permission"),
        (403, vendors("forbidden", "Not authorized", invalidToken=True), 401, "VERCEL_TOKEN"),
        (403, vendors("forbidden", "No token", missingToken=True), 401, "VERCEL_TOKEN"),
        (401, "", 401, "VERCEL_TOKEN"),
        (400, vendors("bad_request", f"What is {TOKEN}"), 400, "What is …"),
        (402, vendors("payment", "Pay"), 402, "Pay"),
        (301, "", 301, "redirects"),
        (404, "<html>", 404, "404"),
        (400, '{"error":[]}', 400, "400"),
        (400, vendors("x", "\ud800"), 400, "?"),
    ],
)
async def test_what_stays(status: int, body: str, answered: int, says: str) -> None:
    async with asking(answer(body, status, location="http://elsewhere.invalid/")) as (api, _):
        with pytest.raises(ApiRefused) as caught:
            await api.deployment("dpl_a")
        assert caught.value.answered == answered
        assert says in str(caught.value)


@pytest.mark.parametrize("body", ["{}", "[]", "null", '{"id":"dpl_a"}', "<html>", '{"id":'])
async def test_an_answer_that_describes_nothing_passes(body: str) -> None:
    async with asking(answer(body)) as (api, _):
        with pytest.raises(UpstreamLost):
            await api.deployment("dpl_a")


async def test_a_closed_connection_is_opened_again_for_reading_only() -> None:
    async with asking(b"", answer(json.dumps(DOCUMENT))) as (api, server):
        assert (await api.deployment("dpl_a")).id == "dpl_a"
        assert len(server.asked) == 2
    async with asking(b"", answer(json.dumps(DOCUMENT))) as (api, server):
        with pytest.raises(UpstreamLost):
            await api.create({"name": "shop"})
        assert len(server.asked) == 1, "it may have been created"


async def test_answers_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "MAX_EVENTS_BYTES", 1000)
    async with asking(answer(b" " * 1001)) as (api, _):
        with pytest.raises(AnswerTooLarge, match="over 1000 bytes"):
            await api.events("dpl_a")


async def test_no_answer_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "EVENTS_SECONDS", 0.2)
    dribble = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n["
    async with asking(dribble, dribble) as (api, server):
        server.hold = True
        async with asyncio.timeout(5):  # before the server gives up
            with pytest.raises(UpstreamLost):
                await api.events("dpl_a")


async def test_uploads_and_codes() -> None:
    code = answer('{"code":"abc-DEF_1"}')
    async with asking(answer("{}"), code, answer('{"code":"a b"}')) as (api, server):
        assert await api.upload(b"hello") == "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"
        assert b"x-vercel-digest: aaf4c61d" in server.asked[0]
        assert await api.transfer_code("prj_a") == "abc-DEF_1"
        assert server.asked[1].startswith(b"POST /projects/prj_a/transfer-request HTTP")
        with pytest.raises(UpstreamLost):
            await api.transfer_code("prj_a")


async def test_an_id_cannot_lead_elsewhere() -> None:
    async with asking(answer(json.dumps(DOCUMENT))) as (api, server):
        await api.deployment("../v2/user?x=1#")
        assert server.asked[0].startswith(b"GET /v13/deployments/..%2Fv2%2Fuser%3Fx%3D1%23 HTTP")


CALLS: list[Call] = [
    lambda api: api.deployment("dpl_a"),
    lambda api: api.events("dpl_a"),
    lambda api: api.create({"name": "shop"}),
    lambda api: api.upload(b"x"),
    lambda api: api.transfer_code("prj_a"),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "said",
    [
        answer(vendors("bad_request", f"Bearer {TOKEN} is not good"), 400),
        answer(vendors("forbidden", TOKEN, invalidToken=True), 403),
        answer(TOKEN, 500),
        b"",
        answer(TOKEN),
    ],
)
async def test_the_token_is_in_no_error_and_no_log(
    call: Call, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with asking(said, said) as (api, server):
        try:
            told = repr(await call(api))
            assert TOKEN not in told
        except (UpstreamLost, ApiRefused) as error:
            shown = f"{error!r}{error}{error.__cause__!r}{error.__context__!r}"
            assert TOKEN not in shown
        assert TOKEN not in repr(api)
        assert TOKEN.encode() in server.asked[0]
    assert caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("token", ["", "short", "with space 123", "line\nbreak-12", "ümlaut-12345"])
def test_a_token_that_cannot_be_sent_is_refused_unseen(token: str) -> None:
    with pytest.raises(ConfigError) as caught:
        VercelApi(token)
    assert not token or token not in str(caught.value)
