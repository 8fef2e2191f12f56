"""Which server, and as whom."""

import argparse
import asyncio

import pytest

from lastevent.cli.target import publisher, stream_url, token
from lastevent.core.errors import InvalidName


def arguments(url: str | None = None, token: str | None = None) -> argparse.Namespace:
    return argparse.Namespace(url=url, token=token)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LASTEVENT_URL", "LASTEVENT_TOKEN", "LASTEVENT_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "environment", "streams", "expected"),
    [
        (None, None, ["a:1"], "http://127.0.0.1:8000/api/streams/a:1"),
        (None, "https://e.example/", ["a"], "https://e.example/api/streams/a"),
        ("http://u.example", "https://e.example", ["a"], "http://u.example/api/streams/a"),
        (None, None, ["a:1", "b"], "http://127.0.0.1:8000/api/streams?stream=a%3A1&stream=b"),
        ("http://u.example", None, ["https://o.example/x?y=1"], "https://o.example/x?y=1"),
    ],
)
def test_the_address(
    url: str | None,
    environment: str | None,
    streams: list[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if environment is not None:
        monkeypatch.setenv("LASTEVENT_URL", environment)
    assert stream_url(arguments(url), *streams) == expected


def test_several_streams_are_names() -> None:
    with pytest.raises(InvalidName):
        stream_url(arguments(), "a", "http://o.example/x")


@pytest.mark.parametrize(
    ("given", "in_environment", "key", "sent"),
    [
        (None, None, None, {}),
        ("t", "e", "k", {"Authorization": "Bearer t"}),
        (None, "e", "k", {"X-API-Key": "k"}),
        (None, "e", None, {"Authorization": "Bearer e"}),
        (None, "", "", {}),
    ],
)
def test_who_publishes(
    given: str | None,
    in_environment: str | None,
    key: str | None,
    sent: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("LASTEVENT_TOKEN", in_environment), ("LASTEVENT_API_KEY", key)):
        if value is not None:
            monkeypatch.setenv(name, value)
    made = publisher(arguments(token=given), "a")
    assert asyncio.run(made._credentials.headers()) == sent


def test_who_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert token(arguments()) is None
    monkeypatch.setenv("LASTEVENT_TOKEN", "e")
    assert token(arguments()) == "e"
    assert token(arguments(token="t")) == "t"
