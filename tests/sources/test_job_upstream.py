"""The settings of an external job service: what they understand, refuse, and hide."""

import json

import pytest

from lastevent.core.errors import ConfigError
from lastevent.serve.settings import Settings
from lastevent.sources.job_upstream import JobUpstream

BASE = {"LASTEVENT_AUTH_SECRET": "s" * 32}
URL = {"JOBS_UPSTREAM_URL": "https://jobs.example"}
KEY = {"JOBS_UPSTREAM_KEY": "hush-hush"}


def read(**environ: str) -> JobUpstream:
    found = Settings.from_env(BASE | environ).jobs
    assert found is not None
    return found


def test_none_is_set() -> None:
    assert Settings.from_env(BASE).jobs is None


@pytest.mark.parametrize(
    ("url", "mode", "address"),
    [
        ("jobs.example", "websocket", "wss://jobs.example"),
        ("jobs.example:8443/ws", "websocket", "wss://jobs.example:8443/ws"),
        ("http://localhost:3001/ws?v=2", "websocket", "ws://localhost:3001/ws?v=2"),
        ("https://jobs.example/{job}/ws", "websocket", "wss://jobs.example/a%3Ab/ws"),
        ("wss://jobs.example", "websocket", "wss://jobs.example"),
        ("wss://jobs.example/{job}", "poll", "https://jobs.example/a%3Ab"),
        ("http://[::1]:1/?job={job}", "poll", "http://[::1]:1/?job=a%3Ab"),
    ],
)
def test_addresses(url: str, mode: str, address: str) -> None:
    upstream = read(JOBS_UPSTREAM_URL=url, JOBS_UPSTREAM_MODE=mode)
    assert upstream.address("a:b") == address


def test_the_names_of_before_are_understood_and_ours_count_first() -> None:
    old = {"MONITOR_PRICE_APP_HOST": "old.example", "PRICE_MONITOR_API_KEY": "old-key"}
    assert read(**old).address("1") == "wss://old.example"
    assert read(**old).headers["Authorization"] == "Bearer old-key"
    assert read(**old, **URL, **KEY).address("1") == "wss://jobs.example"
    assert read(**old, **URL, **KEY).headers["Authorization"] == "Bearer hush-hush"


def test_headers() -> None:
    assert "Authorization" not in read(**URL).headers
    custom = read(**URL, **KEY, JOBS_UPSTREAM_HEADER="X-Api-Key: v1 {key}")
    assert custom.headers["X-Api-Key"] == "v1 hush-hush"
    assert "Authorization" not in custom.headers


def test_join_messages() -> None:
    assert json.loads(read(**URL).join_message("7") or "") == {"type": "join", "jobId": "7"}
    assert read(JOBS_UPSTREAM_URL="jobs.example/{job}").join_message("7") is None
    template = '["{key}", {"{job}": ["x{job}", 1]}, "{other}"]'
    own = read(**URL, JOBS_UPSTREAM_KEY='a"{job}\\', JOBS_JOIN_MESSAGE=template)
    message = json.loads(own.join_message("7") or "")
    assert message == ['a"{job}\\', {"{job}": ["x7", 1]}, "{other}"], "values only, each once"


def test_checks() -> None:
    upstream = read(**URL, JOBS_CHECK_URL="http://app/api/jobs/{job}?as={user}")
    assert upstream.check_address("7", "a&b=c/..") == "http://app/api/jobs/7?as=a%26b%3Dc%2F.."


def test_what_can_be_told_again() -> None:
    assert read(**URL).replays == "none"
    assert read(**URL, JOBS_UPSTREAM_REPLAYS="snapshot").replays == "snapshot"
    polled = {"JOBS_UPSTREAM_URL": "jobs.example/{job}", "JOBS_UPSTREAM_MODE": "poll"}
    assert read(**polled).replays == "snapshot"


@pytest.mark.parametrize(
    ("variable", "value", "more"),
    [
        ("JOBS_UPSTREAM_URL", "ftp://jobs.example", {}),
        ("JOBS_UPSTREAM_URL", "https://", {}),
        ("JOBS_UPSTREAM_URL", "https://jobs.example:port", {}),
        ("JOBS_UPSTREAM_URL", "https://jobs.example/a b", {}),
        ("JOBS_UPSTREAM_URL", "https://jobs.example/#x", {}),
        ("JOBS_UPSTREAM_URL", "https://me:hush-hush@jobs.example", {}),
        ("JOBS_UPSTREAM_URL", "https://{job}.jobs.example", {}),
        ("JOBS_UPSTREAM_URL", "https://jobs.example/{jobId}", {}),
        ("JOBS_UPSTREAM_URL", "https://jobs.example/{job", {}),
        ("JOBS_UPSTREAM_URL", "https://jobs.example", {"JOBS_UPSTREAM_MODE": "poll"}),
        ("JOBS_UPSTREAM_URL", "https://jobs.example", {"JOBS_JOIN_MESSAGE": "none"}),
        ("MONITOR_PRICE_APP_HOST", "a b", {}),
        ("JOBS_UPSTREAM_MODE", "push", URL),
        ("JOBS_UPSTREAM_KEY", "hush-hush\nX: y", URL),
        ("JOBS_UPSTREAM_KEY", "hush-hush", {}),
        ("JOBS_UPSTREAM_KEY", "hush-hush", URL | {"JOBS_UPSTREAM_HEADER": "none"}),
        ("JOBS_UPSTREAM_HEADER", "Bearer {key}", URL | KEY),
        ("JOBS_UPSTREAM_HEADER", "X-Key: {key}\r\nX: y", URL | KEY),
        ("JOBS_UPSTREAM_HEADER", "X-Key: {key}", URL),
        ("JOBS_JOIN_MESSAGE", "{job}", URL),
        ("JOBS_JOIN_MESSAGE", "null", URL),
        ("JOBS_JOIN_MESSAGE", '{"job":"{job}","key":"{key}"}', URL),
        ("JOBS_UPSTREAM_REPLAYS", "full", URL),
        ("JOBS_POLL_SECONDS", "0.1", URL),
        ("JOBS_POLL_SECONDS", "often", URL),
        ("JOBS_FIELDS", "progress", URL),
        ("JOBS_TYPES", "over=x", URL),
        ("JOBS_CHECK_URL", "https://app/check?user={user}", URL),
    ],
)
def test_a_bad_value_stops_the_start_and_says_what_to_write(
    variable: str, value: str, more: dict[str, str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_env(BASE | more | {variable: value})
    assert str(caught.value).startswith(f"{variable}: ")
    assert len(str(caught.value)) > len(variable) + 15
    assert "hush" not in str(caught.value)


def test_no_secret_shows() -> None:
    environ = URL | KEY | {"JOBS_JOIN_MESSAGE": '{"job":"{job}","token":"also-hushed"}'}
    settings = Settings.from_env(BASE | environ)
    for shown in (repr(settings), repr(settings.jobs)):
        assert "hush" not in shown
