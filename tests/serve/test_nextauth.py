"""Sessions of sites with NextAuth: cookies that its two versions made, and what is no session."""

import asyncio
import json
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from time import time
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwe import JWERegistry

from lastevent.core.errors import ConfigError, Unauthenticated
from lastevent.serve.auth import COOKIE, mint
from lastevent.serve.nextauth import COOKIES, MAX_BYTES, Sessions
from lastevent.serve.settings import Settings
from tests.project.tree import ROOT
from tests.serve.running import Serve, any_store, state

SECRET = "n" * 44
OLD = "o" * 44
LOCKED: dict[str, Any] = {
    "development": False,
    "auth_secret": SECRET,
    "nextauth_secrets": (SECRET, OLD),
}
NAMES = {cookie.name: 5 if "authjs" in cookie.name else 4 for cookie in COOKIES}
FOUR, FIVE = "__Secure-next-auth.session-token", "__Secure-authjs.session-token"
TOKEN: dict[str, object] = {
    "sub": "cl-7",
    "name": "Clara Çelik",
    "email": "clara@example.com",
    "picture": None,
    "role": "client",
    "merchant": "42",
}

type Cookies = dict[str, str]
type Made = Mapping[str, Cookies]


def spec(name: str, **changes: object) -> dict[str, object]:
    return {
        "version": NAMES[name],
        "name": name,
        "secret": SECRET,
        "token": TOKEN,
        "maxAge": 3600,
    } | changes


def made_of(*specs: dict[str, object]) -> list[Cookies]:
    run = subprocess.run(
        ["node", "tests/serve/nextauth_cookies.mjs"],
        cwd=ROOT,
        input=json.dumps(specs),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert run.returncode == 0, f"npm ci, then node: {run.stderr}"
    return cast(list[Cookies], json.loads(run.stdout))


WANTED: dict[str, dict[str, object]] = {
    **{name: spec(name) for name in NAMES},
    **{f"{name}, long": spec(name, token=TOKEN | {"note": "x" * 6000}) for name in NAMES},
    **{f"{name}, of the old secret": spec(name, secret=OLD) for name in NAMES},
    **{f"{name}, expired": spec(name, maxAge=-60) for name in NAMES},
    **{f"{name}, of another site": spec(name, secret="p" * 44) for name in NAMES},
    **{f"{name}, of nobody": spec(name, token={"name": "Nobody"}) for name in NAMES},
    **{f"{name}, of a number": spec(name, token=TOKEN | {"sub": 7}) for name in NAMES},
    **{f"{name}, with rights": spec(name, token=TOKEN | {"append": ["s"]}) for name in NAMES},
    **{f"{name}, of another": spec(name, token=TOKEN | {"sub": name}) for name in NAMES},
    "4, salted": spec(FOUR, salt="state"),
    "5, salted": spec(FIVE, salt="authjs.state"),
    "too long": spec(FIVE, token=TOKEN | {"note": "x" * MAX_BYTES}),
}


@pytest.fixture(scope="session")
def made() -> Made:
    return dict(zip(WANTED, made_of(*WANTED.values()), strict=True))


def header(*cookies: Cookies) -> dict[str, str]:
    pairs = [f"{name}={value}" for cookie in cookies for name, value in cookie.items()]
    return {"Cookie": "; ".join(pairs)}


def refusal(cookies: Cookies) -> str:
    with pytest.raises(Unauthenticated) as caught:
        Sessions((SECRET, OLD)).claims(cookies)
    said = str(caught.value)
    for secret in (SECRET, OLD, *(text for text in cookies.values() if len(text) > 100)):
        assert secret not in said
        assert secret not in repr(caught.value.__cause__)
    return said


@any_store
@pytest.mark.node
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("which", ["", ", long", ", of the old secret"])
async def test_who_has_a_session_there_has_one_here(
    serve: Serve, made: Made, name: str, which: str
) -> None:
    server = await serve(**LOCKED)
    cookies = made[name + which]
    assert set(cookies) == ({f"{name}.0", f"{name}.1", f"{name}.2"} if "long" in which else {name})
    answer = await server.client.get("/api/session", headers=header(cookies))
    assert answer.json() == {
        "sub": "cl-7",
        "name": "Clara Çelik",
        "role": "client",
        "merchant": "42",
        "read": [],
        "append": [],
        "development": False,
    }


@any_store
@pytest.mark.node
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("which", "said"),
    [
        (", expired", "expired"),
        (", of another site", "not valid here"),
        (", of nobody", "who it is of, or until when: its sub claim"),
        (", of a number", "its sub claim"),
    ],
)
async def test_a_wrong_session_is_refused_and_never_passed_over(
    serve: Serve, made: Made, name: str, which: str, said: str
) -> None:
    cookies = made[name + which]
    assert said in refusal(cookies)
    server = await serve(nextauth_secrets=(SECRET,))  # development, which takes in who shows none
    answer = await server.client.get("/api/session", headers=header(cookies))
    assert answer.status_code == 401
    assert SECRET not in answer.text


@pytest.mark.node
@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_changed_in_a_session_is_seen(made: Made, name: str) -> None:
    parts = made[name][name].split(".")
    for number, part in enumerate(parts):
        middle = len(part) // 2  # a last character may have bits that stand for nothing
        other = "A" if part[middle : middle + 1] != "A" else "B"
        changed = [*parts]
        changed[number] = part[:middle] + other + part[middle + 1 :]
        refusal({name: ".".join(changed)})
        refusal({name: ".".join([*parts[:number], *parts[number + 1 :]])})


@pytest.mark.node
def test_tokens_that_the_same_secret_made_for_something_else_are_no_sessions(made: Made) -> None:
    """NextAuth encrypts its OAuth states with it too, under other salts; names are salts in 5."""
    refusal(made["4, salted"])
    refusal(made["5, salted"])
    refusal({"authjs.session-token": made[FIVE][FIVE]})
    refusal({FOUR: made[FIVE][FIVE]})
    refusal({FIVE: made[FOUR][FOUR]})


@pytest.mark.node
def test_a_session_with_a_piece_missing_is_none(made: Made) -> None:
    for name in NAMES:
        pieces = made[f"{name}, long"]
        for missing in range(1, len(pieces)):
            refusal({n: text for n, text in pieces.items() if not n.endswith(f".{missing}")})
        without_begin = {n: text for n, text in pieces.items() if not n.endswith(".0")}
        assert Sessions((SECRET,)).claims(without_begin) is None


@pytest.mark.node
def test_a_session_has_a_greatest_size(made: Made) -> None:
    assert len(made["too long"]) > 1
    assert str(MAX_BYTES) in refusal(made["too long"])
    assert str(MAX_BYTES) in refusal({FIVE: "".join(made["too long"].values())})


@pytest.mark.node
def test_of_several_sessions_a_valid_one_counts(made: Made) -> None:
    """Who moved from 4 to 5 leaves the old version's cookie in every browser."""
    sessions = Sessions((SECRET,))
    for name in NAMES:
        for other in NAMES.keys() - {name}:
            stale = made[f"{other}, of another site"]
            claims = sessions.claims(made[name] | stale)
            assert claims is not None
            assert claims["sub"] == "cl-7"
    left_whole = {FIVE: made[f"{FIVE}, expired"][FIVE]} | made[f"{FIVE}, long"]
    assert sessions.claims(left_whole) is not None


@pytest.mark.node
@pytest.mark.parametrize("name", [FOUR, FIVE])
def test_a_cookie_that_only_a_secure_origin_sets_counts_first(made: Made, name: str) -> None:
    """Whoever can answer for this host by http can leave the other one in a browser."""
    for other in ("authjs.session-token", "next-auth.session-token"):
        left = made[f"{other}, of another"]
        for cookies in (left | made[name], made[name] | left):
            claims = Sessions((SECRET,)).claims(cookies)
            assert claims is not None
            assert claims["sub"] == "cl-7"


@any_store
@pytest.mark.node
async def test_without_a_secret_the_cookies_are_others(serve: Serve, made: Made) -> None:
    """Cookies know no ports: a developer's browser sends those of the site beside this server."""
    server = await serve()
    answer = await server.client.get("/api/session", headers=header(made[FIVE]))
    assert answer.json()["sub"] == "developer"


@any_store
@pytest.mark.node
async def test_what_was_meant_counts_before_a_sites_session(serve: Serve, made: Made) -> None:
    server = await serve(**LOCKED)
    cookies = header({COOKIE: mint(SECRET, {"sub": "here"}, 60)}, made[FIVE])
    assert (await server.client.get("/api/session", headers=cookies)).json()["sub"] == "here"
    bearer = {"Authorization": f"Bearer {mint(SECRET, {'sub': 'bearer'}, 60)}"}
    answer = await server.client.get("/api/session", headers=bearer | header(made[FIVE]))
    assert answer.json()["sub"] == "bearer"
    wrong = header({COOKIE: "x.y.z"}, made[FIVE])
    assert (await server.client.get("/api/session", headers=wrong)).status_code == 401


@any_store
@pytest.mark.node
@pytest.mark.parametrize("name", NAMES)
async def test_a_session_acts_for_pages_of_our_own_origin_only(
    serve: Serve, made: Made, name: str
) -> None:
    server = await serve(**LOCKED)
    cookies = header(made[f"{name}, with rights"])

    async def publish(stream: str, **headers: str) -> int:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await server.client.post(
            f"/api/streams/{stream}", json={"data": 1}, headers=cookies | headers
        )
        return answer.status_code

    assert await publish("s", Origin="https://evil.example") == 403
    assert await publish("s", Sec_Fetch_Site="cross-site") == 403
    assert await publish("s", Origin=server.url) == 201
    assert await publish("t", Origin=server.url) == 403, "the claims do not name it"


@any_store
@pytest.mark.node
async def test_a_leg_ends_with_its_session(serve: Serve) -> None:
    server = await serve(**LOCKED)
    short = spec(FIVE, token=TOKEN | {"read": ["s"]}, maxAge=2)
    (cookies,) = await asyncio.to_thread(made_of, short)
    async with server.leg("s", **header(cookies)) as leg:
        messages = await leg.until("denied")
        assert state(messages[0])["ends_in"] > 10
        assert await leg.next() is None
    assert time() >= claims_of(cookies)["exp"]


def claims_of(cookies: Cookies) -> dict[str, Any]:
    claims = Sessions((SECRET,)).claims(cookies)
    assert claims is not None
    return claims


def test_a_session_of_a_database_says_what_it_is() -> None:
    assert "strategy jwt" in refusal({FIVE: "0d7d1a31-3ae6-4a9f-9c1e-6f0a5be41f83"})


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "dir", "enc": "A256GCM", "zip": "DEF"},
        {"alg": "A256KW", "enc": "A256GCM"},
        {"alg": "A256GCMKW", "enc": "A256GCM"},
    ],
)
def test_nothing_but_what_nextauth_writes_is_taken(header: dict[str, Any]) -> None:
    """Compressed, a small cookie would become a large text; a wrapped key is another key."""
    sessions = Sessions((SECRET,))
    (four,) = (cookie for cookie in COOKIES if cookie.name == FOUR)
    (key,) = sessions._derived(four)
    claims = {"sub": "u", "exp": int(time()) + 60}
    every = JWERegistry(
        algorithms=["dir", "A256GCM", "A256KW", "A256GCMKW", "DEF"], strict_check_header=False
    )

    def made(header: dict[str, Any]) -> str:
        return jwt.encode(header, claims, key, registry=every)

    good = made({"alg": "dir", "enc": "A256GCM"})
    assert claims_of({FOUR: good})["sub"] == "u"
    refusal({FOUR: made(header)})


@pytest.mark.parametrize("claims", [{"sub": "u"}, {"sub": "u", "exp": "soon"}])
def test_a_session_without_an_end_is_none(claims: dict[str, Any]) -> None:
    (four,) = (cookie for cookie in COOKIES if cookie.name == FOUR)
    (key,) = Sessions((SECRET,))._derived(four)
    registry = JWERegistry(algorithms=["dir", "A256GCM"])
    text = jwt.encode({"alg": "dir", "enc": "A256GCM"}, claims, key, registry=registry)
    assert "its exp claim" in refusal({FOUR: text})


SEGMENT = st.text('ABCDEFabcdef0123456789-_={}" é', max_size=60)


@given(
    text=st.one_of(st.text(max_size=80), st.lists(SEGMENT, min_size=5, max_size=5).map(".".join))
)
def test_whatever_a_cookie_holds_is_refused_in_a_sentence(text: str) -> None:
    if text:
        refusal({FIVE: text})
        refusal({f"{FOUR}.0": text})


HOSTILE = [
    {"alg": 7, "enc": [1]},
    {"alg": "dir", "enc": {"a": 1}},
    {"alg": ["dir"], "enc": "A256GCM"},
    {"alg": "dir", "enc": "A256GCM", "crit": 7},
    {"alg": "dir", "enc": "A256GCM", "kid": 7, "epk": {"x": 1}},
    {"alg": "none", "enc": "none"},
    [1],
    None,
    json.loads("[" * 300 + "]" * 300),
]


@pytest.mark.parametrize("header", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_a_header_says_is_refused_in_a_sentence(header: object) -> None:
    said = urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    for iv, tag in ((0, 0), (22, 43), (16, 22), (3, 5)):
        for key in ("", "AA"):
            parts = (said, key, "A" * iv, "A" * 22, "A" * tag)
            assert "not valid here" in refusal({FOUR: ".".join(parts)})


def test_the_secrets_that_are_found() -> None:
    def read(**environ: str) -> tuple[str, ...]:
        return Settings.from_env(environ).nextauth_secrets

    assert read(LASTEVENT_AUTH_SECRET=SECRET) == ()
    assert read(NEXTAUTH_SECRET=SECRET) == (SECRET,)
    assert read(AUTH_SECRET=SECRET, NEXTAUTH_SECRET=SECRET) == (SECRET,)
    assert read(AUTH_SECRET_1=SECRET, AUTH_SECRET=OLD) == (SECRET, OLD)
    found = Settings.from_env({"AUTH_SECRET_2": SECRET}, bind_host="127.0.0.1")
    assert not found.development, "a site's secret is one"
    assert SECRET not in repr(found)
    assert Settings.from_env({"AUTH_SECRET": SECRET}).auth_secret == SECRET
    with pytest.raises(ConfigError, match=r"^AUTH_SECRET_1: ") as caught:
        read(AUTH_SECRET_1="hush", AUTH_SECRET=SECRET)
    assert "hush" not in str(caught.value)
