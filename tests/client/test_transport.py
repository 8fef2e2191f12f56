import json

import pytest

from lastevent.client.transport import Credentials, check_url, error_of, host_of, retry_after
from lastevent.core import errors
from lastevent.core.errors import InvalidRequest, LastEventError, Unauthenticated


def problem(status: int, name: str, detail: str) -> bytes:
    return json.dumps({"type": name, "title": "T", "status": status, "detail": detail}).encode()


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (400, "about:blank", errors.InvalidRequest),
        (400, "urn:lastevent:problem:invalid-cursor", errors.InvalidCursor),
        (400, "urn:lastevent:problem:invalid-event", errors.InvalidEvent),
        (401, "about:blank", errors.Unauthenticated),
        (403, "", errors.Forbidden),
        (404, "about:blank", errors.NotFound),
        (405, "about:blank", errors.InvalidRequest),
        (409, "about:blank", errors.Conflict),
        (409, "urn:lastevent:problem:stream-closed", errors.StreamClosed),
        (409, "urn:lastevent:problem:forbidden", errors.Conflict),  # the status counts
        (410, "about:blank", errors.CursorExpired),
        (413, "about:blank", errors.TooLarge),
        (422, "about:blank", errors.KeyReused),
        (500, "about:blank", errors.Transient),
        (503, "urn:lastevent:problem:store-unavailable", errors.StoreUnavailable),
    ],
)
def test_a_refusal_becomes_its_error(status: int, name: str, kind: type[LastEventError]) -> None:
    error = error_of(status, problem(status, name, "the reason"))
    assert type(error) is kind
    assert str(error) == "the reason"


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"[]", b"\xff", b'{"detail":""}'])
def test_a_refusal_without_a_problem_names_its_status(body: bytes) -> None:
    assert str(error_of(403, body)) == "the server answers 403"


def test_a_foreign_sentence_is_made_fit_to_print() -> None:
    error = error_of(400, problem(400, "", "red \x1b[31m\r\n" + "x" * 9999))
    assert "\x1b" not in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) <= 500


def test_a_redirect_is_not_followed() -> None:
    assert "redirects" in str(error_of(307, b""))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0),
        ("3", 3),
        (" 120 ", 120),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0),
        ("soon", 0),
        ("-5", 0),
        ("1.5", 0),
        ("9" * 400, 9_999_999_999),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float) -> None:
    assert retry_after(value, 1_700_000_000) == seconds


@pytest.mark.parametrize("url", ["https://a.example/x?y=1", "http://[::1]:8000/api", "http://h:1"])
def test_addresses(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url", ["", "a.example/x", "ftp://a.example", "http://", "http://a:port/", "http://a/b c", "/x"]
)
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidRequest, match="http://host/api/streams/NAME"):
        check_url(url)


def test_errors_show_no_secret_of_an_address() -> None:
    assert host_of("https://user:secret@a.example:8443/p/secret?token=secret") == "a.example:8443"


class TestCredentials:
    async def test_none(self) -> None:
        assert await Credentials().headers() == {}
        assert not Credentials().renew()

    async def test_a_token_and_a_key(self) -> None:
        credentials = Credentials("abc\n", "k")
        assert await credentials.headers() == {"Authorization": "Bearer abc", "X-API-Key": "k"}
        assert not credentials.renew()

    @pytest.mark.parametrize("asynchronous", [True, False])
    async def test_a_source_is_asked_once_until_renewed(self, asynchronous: bool) -> None:
        tokens = iter(["first", "second"])

        async def later() -> str:
            return next(tokens)

        credentials = Credentials(later if asynchronous else lambda: next(tokens))
        for _ in range(2):
            assert (await credentials.headers())["Authorization"] == "Bearer first"
        assert credentials.renew()
        assert (await credentials.headers())["Authorization"] == "Bearer second"

    @pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "schlüssel", "a\0b"])
    def test_what_would_break_a_header_is_refused_and_not_shown(self, token: str) -> None:
        with pytest.raises(Unauthenticated) as caught:
            Credentials(token)
        assert token not in str(caught.value)
