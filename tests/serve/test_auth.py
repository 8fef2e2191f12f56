"""Who may do what: tokens, keys, cookies, origins, and expiry."""

import asyncio
from collections.abc import Mapping
from time import time
from typing import Any

import jwt
import pytest

from lastevent.core.errors import Unauthenticated
from lastevent.serve import auth, hs256
from lastevent.serve.auth import COOKIE, Authenticator
from lastevent.serve.settings import ApiKey, Settings
from tests.serve.running import Running, Serve, any_store, state

pytestmark = any_store

SECRET = "s" * 40
LOCKED: dict[str, Any] = {"development": False, "auth_secret": SECRET}


def token(
    read: object = ("*",), append: object = ("*",), seconds: float = 60, **claims: object
) -> str:
    body = {"sub": "u", "exp": time() + seconds, "read": read, "append": append, **claims}
    return jwt.encode(body, SECRET, "HS256")


def bearer(*arguments: Any, **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(*arguments, **claims)}"}


async def ask(server: Running, method: str = "GET", stream: str = "s", **how: Any) -> int:
    headers = {"Accept": "application/json"} | how.pop("headers", {})
    body = {"data": 1} if method == "POST" else None
    path = f"/api/streams/{stream}" + how.pop("query", "")
    answer = await server.client.request(method, path, json=body, headers=headers, **how)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert SECRET not in answer.text
    return answer.status_code


@pytest.mark.parametrize(
    ("method", "read", "append", "status"),
    [
        ("GET", ["s"], [], 200),
        ("GET", ["other:*", "s*"], [], 200),
        ("GET", [], ["s"], 403),
        ("GET", ["t", "ss"], [], 403),
        ("POST", [], ["s"], 201),
        ("POST", ["s"], [], 403),
        ("DELETE", ["*"], [], 403),
        ("DELETE", [], ["*"], 204),
    ],
)
async def test_a_token_grants_what_it_names(
    serve: Serve, method: str, read: object, append: object, status: int
) -> None:
    server = await serve(**LOCKED)
    assert await ask(server, method, headers=bearer(read, append)) == status


async def test_every_stream_of_a_request_must_be_granted(serve: Serve) -> None:
    server = await serve(**LOCKED)
    answer = await server.client.get(
        "/api/streams?stream=a&stream=b", headers={"Accept": "application/json", **bearer(["a"])}
    )
    assert answer.status_code == 403


BAD_TOKENS: Mapping[str, str] = {
    "nonsense": "x.y.z",
    "expired": token(seconds=-60),
    "other secret": jwt.encode({"sub": "u", "exp": time() + 60}, "t" * 40, "HS256"),
    "no expiry": jwt.encode({"sub": "u"}, SECRET, "HS256"),
    "no subject": jwt.encode({"exp": time() + 60}, SECRET, "HS256"),
    "no algorithm": jwt.encode({"sub": "u", "exp": time() + 60}, "", "none"),
    "another algorithm": jwt.encode({"sub": "u", "exp": time() + 60}, "s" * 64, "HS512"),
    "read is text": token(read="*"),
    "read holds a non-pattern": token(read=["a b"]),
}


@pytest.mark.parametrize("name", BAD_TOKENS)
async def test_a_bad_token_is_refused(serve: Serve, name: str) -> None:
    server = await serve(**LOCKED)
    headers = {"Authorization": f"Bearer {BAD_TOKENS[name]}"}
    assert await ask(server, headers=headers) == 401
    assert await ask(server, headers={"Cookie": f"{COOKIE}={BAD_TOKENS[name]}"}) == 401


@pytest.fixture
def authenticator(settings: Settings) -> Authenticator:
    return Authenticator(settings, SECRET)


async def test_a_proven_token_is_not_proven_again(
    authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = token(seconds=60)
    identity = await authenticator.verify(it)
    monkeypatch.setattr(hs256, "verify", pytest.fail)
    assert await authenticator.verify(it) is identity


async def test_a_proven_token_expires(
    authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = token(seconds=60)
    await authenticator.verify(it)
    later = time() + 66
    monkeypatch.setattr(auth, "time", lambda: later)
    with pytest.raises(Unauthenticated, match="expired"):
        await authenticator.verify(it)


async def test_a_token_like_a_proven_one_proves_nothing(authenticator: Authenticator) -> None:
    it = token()
    await authenticator.verify(it)
    head, _, proof = it.rpartition(".")
    for other in (f"{head}.{proof[::-1]}", f"{head}.", f"{it} ", it[:-1], "\ud800", ""):
        with pytest.raises(Unauthenticated):
            await authenticator.verify(other)


async def test_a_refused_token_is_not_remembered(authenticator: Authenticator) -> None:
    for _ in range(2):
        for bad in BAD_TOKENS.values():
            with pytest.raises(Unauthenticated):
                await authenticator.verify(bad)


async def test_so_many_tokens_are_remembered(
    authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "MAX_PROVEN", 3)
    for number in range(10):
        assert (await authenticator.verify(token(sub=f"u{number}"))).sub == f"u{number}"
        assert len(authenticator._proven) <= 3


async def test_nothing_is_open_without_a_token(serve: Serve) -> None:
    server = await serve(**LOCKED)
    for method in ("GET", "POST", "DELETE"):
        assert await ask(server, method) == 401
    assert await ask(server, headers={"Accept": "text/event-stream"}) == 401
    assert (await server.client.get("/api/health")).status_code == 200
    assert (await server.client.get("/api/login")).status_code == 404
    assert (await server.client.post("/api/login", json={"sub": "client"})).status_code == 404


async def test_a_wrong_credential_is_never_passed_over(serve: Serve) -> None:
    server = await serve()
    assert await ask(server) == 200, "development takes everyone in"
    assert await ask(server, headers={"Authorization": "Bearer nonsense"}) == 401
    assert await ask(server, headers={"Authorization": "Basic abc"}) == 401
    assert await ask(server, headers={"Authorization": "Bearer"}) == 401
    assert await ask(server, headers={"X-API-Key": "nonsense"}) == 401


async def test_query_tokens_read_only_and_live_shortly(serve: Serve) -> None:
    """RULES 24."""
    server = await serve(**LOCKED)
    assert await ask(server, query=f"?token={token(seconds=240)}") == 200
    assert await ask(server, query=f"?token={token(seconds=3600)}") == 401
    assert await ask(server, "POST", query=f"?token={token(seconds=60)}") == 401


async def test_api_keys_append_only(serve: Serve) -> None:
    key = "k" * 20
    server = await serve(**LOCKED, api_keys=(ApiKey("ci", key, ("build:*",)),))
    headers = {"X-API-Key": key}
    assert await ask(server, "POST", "build:1", headers=headers) == 201
    assert await ask(server, "POST", "other", headers=headers) == 403
    assert await ask(server, "GET", "build:1", headers=headers) == 403
    assert await ask(server, "POST", "build:1", headers={"X-API-Key": key[:-1]}) == 401


async def test_a_tokens_expiry_ends_its_streams(serve: Serve) -> None:
    server = await serve(**LOCKED)
    async with server.leg("s", **bearer(seconds=1)) as leg:
        messages = await leg.until("denied")
        assert state(messages[0])["ends_in"] > 10
        assert await leg.next() is None


async def test_a_session_is_a_cookie_that_scripts_cannot_read(serve: Serve) -> None:
    server = await serve(**LOCKED)
    answer = await server.client.post("/api/session", json={"token": token()})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secure" not in cookie
    assert 50 <= int(cookie.split("max-age=")[1].split(";")[0]) <= 60
    assert await ask(server) == 200
    assert (await server.client.get("/api/session")).json()["sub"] == "u"
    assert (await server.client.delete("/api/session")).status_code == 204
    assert await ask(server) == 401


async def test_a_session_behind_tls_is_secure(serve: Serve) -> None:
    server = await serve(**LOCKED)
    answer = await server.client.post(
        "/api/session", json={"token": token()}, headers={"X-Forwarded-Proto": "https"}
    )
    assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("body", [{}, {"token": 1}, {"token": "x"}, {"token": "x" * 9000}, []])
async def test_a_bad_session_request(serve: Serve, body: object) -> None:
    server = await serve(**LOCKED)
    answer = await server.client.post("/api/session", json=body)
    assert answer.status_code in (400, 401, 413)
    assert "set-cookie" not in answer.headers


CROSS_SITE = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", CROSS_SITE)
async def test_other_sites_cannot_act_with_the_browsers_cookie(
    serve: Serve, headers: dict[str, str]
) -> None:
    server = await serve(**LOCKED)
    cookie = {"Cookie": f"{COOKIE}={token()}"}
    assert await ask(server, "POST", headers=headers | cookie) == 403
    assert await ask(server, "DELETE", headers=headers | cookie) == 403
    assert await ask(server, "POST", headers={"Origin": server.url} | cookie) == 201
    assert await ask(server, "POST", headers=headers | bearer()) == 201
    answer = await server.client.post("/api/session", json={"token": token()}, headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize("headers", CROSS_SITE)
async def test_other_sites_cannot_act_on_a_development_server(
    serve: Serve, headers: dict[str, str]
) -> None:
    server = await serve()
    assert await ask(server, "POST", headers=headers) == 403


async def test_a_development_server_answers_to_localhost_only(serve: Serve) -> None:
    """A foreign name that resolves to loopback (DNS rebinding) gets nothing."""
    server = await serve()
    assert await ask(server, headers={"Host": "evil.example"}) == 401
    assert await ask(server, headers={"Host": "localhost:1"}) == 200
    assert await ask(server, headers={"Host": "[::1]:1"}) == 200


async def test_allowed_origins(serve: Serve) -> None:
    origin = "https://app.example.com"
    server = await serve(**LOCKED, allowed_origins=(origin,))
    cookie = {"Cookie": f"{COOKIE}={token()}"}
    assert await ask(server, "POST", headers={"Origin": origin} | cookie) == 201
    answer = await server.client.get(
        "/api/streams/s", headers={"Origin": origin, "Accept": "application/json"} | cookie
    )
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-credentials"] == "true"
    refused = await server.client.get("/api/streams/s", headers={"Origin": origin})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == origin
    other = await server.client.get("/api/streams/s", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    preflight = await server.client.options(
        "/api/streams/s",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "last-event-id",
        },
    )
    assert preflight.status_code == 200
    async with server.leg("s", Origin=origin, **bearer()) as leg:
        assert leg.answer.headers["access-control-allow-origin"] == origin
        await leg.until("live")


async def test_development_identities(serve: Serve) -> None:
    server = await serve()
    identities = (await server.client.get("/api/login")).json()["identities"]
    mara = {"sub": "merchant", "name": "Mara Merchant", "merchant": "42", "read": ["merchant:42"]}
    assert mara in identities
    assert {"client", "client-2", "merchant-2"} <= {identity["sub"] for identity in identities}
    answer = await server.client.post("/api/login", json={"sub": "merchant"})
    assert answer.status_code == 204
    who = (await server.client.get("/api/session")).json()
    assert (who["sub"], who["merchant"], who["development"]) == ("merchant", "42", True)
    assert await ask(server, stream="merchant:42") == 200
    assert await ask(server, stream="merchant:43") == 403
    assert (await server.client.post("/api/login", json={"sub": "root"})).status_code == 404


async def test_signing_in_survives_a_restart(serve: Serve) -> None:
    first, second = await serve(), await serve()
    await first.client.post("/api/login", json={"sub": "reader"})
    cookie = first.client.cookies[COOKIE]
    second.client.cookies.set(COOKIE, cookie)
    assert (await second.client.get("/api/session")).json()["sub"] == "reader"


async def test_concurrent_first_requests_share_one_service(serve: Serve) -> None:
    server = await serve()
    answers = await asyncio.gather(*(ask(server) for _ in range(20)))
    assert answers == [200] * 20
