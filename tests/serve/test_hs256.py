"""Tokens by a shared secret: what is taken is what PyJWT, which knows them all, takes as well."""

import hmac
import json
import subprocess
import sys
from base64 import urlsafe_b64encode
from time import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastevent.core.errors import Unauthenticated
from lastevent.serve import hs256
from tests.project.tree import ROOT

SECRET = "s" * 40
NOW = int(time())
GOOD: dict[str, Any] = {"sub": "u", "exp": NOW + 7200}
TIMES = ("exp", "iat", "nbf")
LEEWAY = 5


def ours(token: str, **wanted: Any) -> dict[str, Any] | None:
    try:
        claims = hs256.verify(token, SECRET)
        hs256.check(claims, time(), leeway=LEEWAY, **wanted)
    except Unauthenticated as error:
        assert SECRET not in str(error)
        return None
    return claims


def theirs(token: str, audience: str | None = None, issuer: str | None = None) -> Any:
    options: Any = {"require": ["sub", "exp"], "verify_aud": audience is not None}
    try:
        return jwt.decode(
            token,
            SECRET,
            ["HS256"],
            leeway=LEEWAY,
            options=options,
            audience=audience,
            issuer=issuer,
        )
    except jwt.PyJWTError:
        return None


def compact(header: object, claims: object, secret: str = SECRET, hash: str = "sha256") -> str:
    def encoded(value: object) -> str:
        return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    signed = f"{encoded(header)}.{encoded(claims)}"
    proof = hmac.digest(secret.encode(), signed.encode(), hash)
    return f"{signed}.{urlsafe_b64encode(proof).rstrip(b'=').decode()}"


HEADER = {"alg": "HS256", "typ": "JWT"}

CLAIMS: dict[str, tuple[dict[str, Any], bool]] = {
    "good": ({}, True),
    "in fractions": ({"exp": 600.5, "iat": -0.5}, True),
    "all of them": ({"iat": 0, "nbf": 0, "jti": "x", "aud": ["a", "b"]}, True),
    "expired a moment ago": ({"exp": -1}, True),
    "of a clock that is ahead": ({"iat": 4, "nbf": 4}, True),
    "expired": ({"exp": -60}, False),
    "no expiry": ({"exp": ...}, False),
    "expiry null": ({"exp": None}, False),
    "expiry text": ({"exp": "soon"}, False),
    "no subject": ({"sub": ...}, False),
    "subject a number": ({"sub": 7}, False),
    "id a number": ({"jti": 7}, False),
    "not yet": ({"nbf": 60}, False),
    "not yet made": ({"iat": 60}, False),
    "made at some time": ({"iat": "then"}, False),
}
"""Changes of good claims, times from now; ``...`` leaves one out."""


@pytest.mark.parametrize("name", CLAIMS)
def test_claims(name: str) -> None:
    changes, good = CLAIMS[name]
    now = int(time())
    claims = GOOD | {
        key: value + now if key in TIMES and isinstance(value, int | float) else value
        for key, value in changes.items()
    }
    claims = {key: value for key, value in claims.items() if value is not ...}
    token = compact(HEADER, claims)
    assert ours(token) == theirs(token) == (claims if good else None)


@pytest.mark.parametrize(
    "exp",
    [float("nan"), float("inf"), True, str(NOW + 7200), 10**400, [1]],
    ids=["no number", "infinite", "a truth", "text", "beyond all time", "a list"],
)
def test_an_expiry_that_is_no_time(exp: object) -> None:
    assert ours(compact(HEADER, GOOD | {"exp": exp})) is None


@pytest.mark.parametrize(
    ("claims", "audience", "issuer", "good"),
    [
        ({"aud": "a"}, "a", None, True),
        ({"aud": ["b", "a"]}, "a", None, True),
        ({"iss": "i"}, None, "i", True),
        ({"aud": "a", "iss": "i"}, "a", "i", True),
        ({}, "a", None, False),
        ({"aud": "ab"}, "a", None, False),
        ({"aud": ["ab"]}, "a", None, False),
        ({"aud": {"a": 1}}, "a", None, False),
        ({"aud": []}, "a", None, False),
        ({}, None, "i", False),
        ({"iss": "ii"}, None, "i", False),
        ({"iss": ["i"]}, None, "i", False),
    ],
)
def test_whom_it_is_from_and_for(
    claims: dict[str, Any], audience: str | None, issuer: str | None, good: bool
) -> None:
    token = compact(HEADER, GOOD | claims)
    wanted = {"audience": audience, "issuer": issuer}
    assert (ours(token, **wanted) is not None) == (theirs(token, **wanted) is not None) == good


HEADERS: dict[str, tuple[object, bool]] = {
    "bare": ({"alg": "HS256"}, True),
    "with more": (HEADER | {"kid": "k", "cty": "x"}, True),
    "none": ({"alg": "none"}, False),
    "no algorithm": ({"typ": "JWT"}, False),
    "another": ({"alg": "HS512"}, False),
    "in small letters": ({"alg": "hs256"}, False),
    "a list": ({"alg": ["HS256"]}, False),
    "an extension": (HEADER | {"crit": ["exp"], "exp": 1}, False),
    "unencoded": (HEADER | {"crit": ["b64"], "b64": False}, False),
    "no object": (["HS256"], False),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers(name: str) -> None:
    header, good = HEADERS[name]
    token = compact(header, GOOD)
    assert (ours(token) is not None) == good
    if good:
        assert theirs(token) == GOOD


def test_another_secret_and_another_hash() -> None:
    assert ours(compact(HEADER, GOOD, secret="t" * 40)) is None
    assert ours(compact(HEADER, GOOD, hash="sha512")) is None
    assert ours(compact(HEADER, GOOD).rpartition(".")[0] + ".") is None


@pytest.mark.parametrize(
    "claims", [["u"], "u", 7, None, json.loads("[" * 400 + "]" * 400)], ids=type
)
def test_claims_that_are_no_object(claims: object) -> None:
    assert ours(compact(HEADER, claims)) is None


def test_what_we_sign_others_verify() -> None:
    claims = GOOD | {"name": "Clara Çelik", "read": ["*"]}
    assert theirs(hs256.sign(claims, SECRET)) == claims
    assert ours(jwt.encode(claims, SECRET, "HS256")) == claims


@given(st.integers(0, 200), st.sampled_from("AZaz09-_.=+/ \né\x00"), st.booleans())
def test_no_change_goes_unseen(place: int, letter: str, insert: bool) -> None:
    token = hs256.sign(GOOD, SECRET)
    place %= len(token)
    changed = token[:place] + letter + token[place + (not insert) :]
    assert changed == token or ours(changed) is None


@given(st.text(max_size=80))
def test_any_text_is_refused_in_a_sentence(text: str) -> None:
    for token in (text, f"{text}.{text}.{text}", compact(HEADER, GOOD) + text[:1]):
        if token != compact(HEADER, GOOD):
            assert ours(token) is None


def test_a_token_is_checked_without_any_library() -> None:
    """A cold start pays for what is imported before its first byte."""
    script = (
        "import sys; from lastevent.serve.auth import Authenticator, mint;"
        "from lastevent.serve.settings import Settings; import asyncio;"
        "it = Authenticator(Settings(auth_secret='s' * 40), 's' * 40);"
        "print(asyncio.run(it.verify(mint('s' * 40, {'sub': 'u'}, 60))).sub,"
        " sorted({'jwt', 'joserfc', 'cryptography'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert run.stdout == "u []\n", run.stderr
