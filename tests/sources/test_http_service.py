"""An outside service is asked within limits, and its key goes to nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from lastevent.core.errors import UpstreamLost, UpstreamRefused
from lastevent.sources.http_service import Answer, AnswerTooLarge, HttpService
from tests.sources.answering_http import Answering, answer, answering

KEY = "not-to-be-shown"
SHORT_SECONDS = 0.2
SAFETY_SECONDS = 5.0


@asynccontextmanager
async def asking(*answers: bytes) -> AsyncIterator[tuple[HttpService, Answering]]:
    async with answering(list(answers)) as server:
        service = HttpService("the service", {"Authorization": f"Bearer {KEY}"})
        yield service, server
        await service.aclose()


async def ask(
    service: HttpService, url: str, *, method: str = "GET", repeat: bool = False
) -> Answer:
    return await service.ask(
        method, url, seconds=SHORT_SECONDS, most_bytes=100, repeat=repeat, params={"a": "b c"}
    )


async def test_a_whole_answer_whatever_its_status() -> None:
    async with asking(answer("x" * 100), answer("no", 404, retry_after="3")) as (service, server):
        found = await ask(service, f"{server.url}/it")
        assert (found.status, found.body, found.trouble("it")) == (200, b"x" * 100, None)
        assert server.asked[0].startswith(b"GET /it?a=b")
        assert f"authorization: bearer {KEY}".encode() in server.asked[0].lower()
        refused = await ask(service, f"{server.url}/it")
        assert refused.headers["Retry-After"] == "3"
        assert isinstance(error := refused.trouble("it"), UpstreamRefused)
        assert str(error) == "the service does not know it (404)"


async def test_a_redirect_takes_the_key_nowhere() -> None:
    async with asking(answer("", 302, location="http://elsewhere.invalid/")) as (service, server):
        assert "redirects" in str((await ask(service, server.url)).trouble("it"))
        assert len(server.asked) == 1


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    async with asking(answer("yes")) as (service, server):
        assert (await ask(service, server.url)).body == b"yes"


async def test_too_large_an_answer_is_not_read_on() -> None:
    async with asking(answer("x" * 101)) as (service, server):
        with pytest.raises(AnswerTooLarge, match="the service's answer has over 100 bytes"):
            await ask(service, server.url)


async def test_a_trickle_is_left_in_time() -> None:
    dribble = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n["
    async with asking(dribble) as (service, server):
        server.hold = True
        async with asyncio.timeout(SAFETY_SECONDS):
            with pytest.raises(UpstreamLost, match="does not answer in time") as caught:
                await ask(service, server.url)
        assert KEY not in f"{caught.value!r}{caught.value.__context__!r}"


async def test_a_request_is_repeated_only_if_it_may_be() -> None:
    async with asking(b"", answer("yes")) as (service, server):
        assert (await ask(service, server.url, repeat=True)).body == b"yes"
        assert len(server.asked) == 2
    async with asking(b"", answer("yes")) as (service, server):
        with pytest.raises(UpstreamLost, match=r"does not answer$"):
            await ask(service, server.url, method="POST")
        assert len(server.asked) == 1, "it may have been done"


async def test_one_client_however_many_ask_and_another_once_it_was_closed() -> None:
    async with asking(answer("yes")) as (service, server):
        first, second = await asyncio.gather(service.client(), service.client())
        assert first is second
        await service.aclose()
        assert first.is_closed
        assert (await ask(service, server.url)).body == b"yes"
