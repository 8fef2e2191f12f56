"""A job followed by polls: an event when its state has changed, and never the same twice."""

import logging
import socket
from collections.abc import AsyncIterator

import pytest

from infra.local.job_service.jobs import Faults
from infra.local.job_service.service import JobService
from lastevent.core.errors import UpstreamLost, UpstreamRefused
from lastevent.sources import http_polling
from lastevent.sources.http_polling import HttpPolling
from tests.sources.job_service import KEY, reading, said, serving, upstream

FAST = {
    "JOBS_UPSTREAM_MODE": "poll",
    "JOBS_POLL_SECONDS": "0.2",
    "JOBS_UPSTREAM_KEY": KEY,
}


@pytest.fixture
def service() -> JobService:
    service = JobService(KEY)
    service.job("7")
    return service


@pytest.fixture
async def url(service: JobService) -> AsyncIterator[str]:
    async with serving(service) as url:
        yield url


def polling(url: str, **environ: str) -> HttpPolling:
    return HttpPolling(upstream(f"{url}/jobs/{{job}}", **FAST | environ), "7")


async def failure(source: HttpPolling) -> Exception:
    with pytest.raises((UpstreamLost, UpstreamRefused)) as caught:
        await anext(source.read(None))
    assert KEY not in str(caught.value)
    return caught.value


async def test_each_state_once_until_the_end(
    service: JobService, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lastevent")
    source = polling(url)
    batches = source.read(None)
    told = said((await anext(batches)).events[0])
    assert (told["jobId"], told["progress"], told["status"]) == ("7", 0, "running")
    assert await anext(batches) == ((), None, False), "what else it says changes with each poll"
    assert service.job("7").polls == 2
    await service.say("7", type="progress", progress=50)
    assert said((await anext(batches)).events[0])["progress"] == 50
    await service.say("7", type="completed", result=[1])
    last = await anext(batches)
    assert last.over
    assert (last.events[0].type, said(last.events[0])["result"]) == ("done", [1])
    with pytest.raises(StopAsyncIteration):
        await anext(batches)
    assert caplog.messages.count("Connected to external service for job: 7") == 1
    assert caplog.messages.count("Forwarding progress update for job: 7") == 3


async def test_who_takes_over_does_not_tell_it_again(service: JobService, url: str) -> None:
    await service.say("7", type="progress", progress=50)
    first = await anext(polling(url).read(None))
    assert first.position is not None
    async with reading(polling(url), first.position) as reader:
        await service.say("7", type="failed", error="No such shop")
        (event,) = await reader.rest()
    assert (event.type, said(event)["error"]) == ("failed", "No such shop")


@pytest.mark.parametrize(
    ("faults", "kind", "text"),
    [
        (Faults(status=401), UpstreamRefused, "the key"),
        (Faults(status=404), UpstreamRefused, "does not know job 7"),
        (Faults(status=410), UpstreamRefused, "any more"),
        (Faults(status=302), UpstreamRefused, "redirects"),
        (Faults(status=418), UpstreamRefused, "418"),
        (Faults(status=429, retry_after=7), UpstreamLost, "too often"),
        (Faults(status=503), UpstreamLost, "503"),
    ],
)
async def test_what_stays_and_what_passes(
    service: JobService, url: str, faults: Faults, kind: type[Exception], text: str
) -> None:
    service.faults = faults
    error = await failure(polling(url))
    assert type(error) is kind
    assert text in str(error)
    if isinstance(error, UpstreamLost):
        assert error.retry_after == faults.retry_after


async def test_a_service_that_does_not_answer(
    service: JobService, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_polling, "ANSWER_SECONDS", 0.2)
    service.faults = Faults(seconds=0.6)
    assert "in time" in str(await failure(polling(url)))


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = await failure(polling(f"http://127.0.0.1:{port}"))
    assert isinstance(error, UpstreamLost)


async def test_no_proxy_of_the_environment_sees_the_key(
    service: JobService, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    assert len((await anext(polling(url).read(None))).events) == 1
    assert service.job("7").polls == 1


async def test_an_answer_that_is_too_large(
    service: JobService, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_polling, "MAX_ANSWER_BYTES", 1000)
    await service.say("7", type="progress", note="x" * 1000)
    error = await failure(polling(url))
    assert isinstance(error, UpstreamLost)
    assert "over 1000 bytes" in str(error)


async def test_an_answer_that_is_no_state_is_passed_over_and_said_once(
    service: JobService, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await service.say("7", jobId="8", type="progress")
    service.job("7").said[-1]["jobId"] = "8"
    batches = HttpPolling(
        upstream(f"{url}/jobs/{{job}}", **FAST, JOBS_FIELDS="job=asked"), "7"
    ).read(None)
    for _ in range(3):
        assert (await anext(batches)).events == ()
    warnings = [it for it in caplog.records if it.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "another job" in warnings[0].getMessage()


async def test_no_log_shows_the_key(
    service: JobService, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await anext(polling(url).read(None))
    assert caplog.messages
    assert not any(KEY in message for message in caplog.messages)
