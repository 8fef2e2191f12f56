"""Tokens that a shared secret signs: JWTs (RFC 7519) by HS256 (RFC 7515, 7518 §3.2), no others.

It is little enough to stand here, in terms of the standard library. Every cold start checks a token
before its first byte, and a library that knows all algorithms loads the arithmetic of each: 50 ms,
and 150 where no bytecode is shipped.
"""

import base64
import binascii
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any, cast

from lastevent.core.errors import Unauthenticated

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)")
_NEVER = 1e15
_WRONG = "the token is not valid here"


def sign(claims: Mapping[str, object], secret: str) -> str:
    """Return a token of ``claims``."""
    signed = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(claims)}"
    return f"{signed}.{_base64(_proof(signed, secret))}"


def header(token: str) -> dict[str, Any]:
    """Return what a token says of itself, which nothing has proven yet; raise Unauthenticated."""
    return _object(_parts(token)[0])


def verify(token: str, secret: str) -> dict[str, Any]:
    """Return the claims of a token that ``secret`` signed, unchecked; raise Unauthenticated."""
    said, claims, proof = _parts(token)
    stated = _object(said)
    # Extensions that have to be understood are not (RFC 7515 §4.1.11).
    if stated.get("alg") != "HS256" or "crit" in stated:
        raise Unauthenticated("the token is signed in a way that is not accepted here")
    if not hmac.compare_digest(_decoded(proof), _proof(f"{said}.{claims}", secret)):
        raise Unauthenticated(_WRONG)
    return _object(claims)


def check(
    claims: Mapping[str, Any],
    now: float,
    *,
    leeway: float,
    audience: str | None = None,
    issuer: str | None = None,
) -> None:
    """Raise Unauthenticated unless the claims hold ``now`` (RFC 7519 §4.1).

    ``sub`` and ``exp`` have to be there; ``aud`` and ``iss`` where something is asked of them.
    ``leeway`` is for clocks that differ, in seconds.
    """
    wanted = {"sub": True, "exp": True, "aud": audience is not None, "iss": issuer is not None}
    for name, is_wanted in wanted.items():
        if is_wanted and claims.get(name) is None:
            raise Unauthenticated(f"the token has no {name} claim")
    if not all(isinstance(claims.get(name, ""), str) for name in ("sub", "jti")):
        raise Unauthenticated(_WRONG)
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    if not all(_is_time(value) for value in times.values()):
        raise Unauthenticated(_WRONG)
    if times["exp"] <= now - leeway:
        raise Unauthenticated("the token has expired: get a new one")
    if any(times.get(name, now) > now + leeway for name in ("nbf", "iat")):
        raise Unauthenticated(_WRONG)
    if audience is not None and audience not in _texts(claims["aud"]):
        raise Unauthenticated(_WRONG)
    if issuer is not None and claims["iss"] != issuer:
        raise Unauthenticated(_WRONG)


def _parts(token: str) -> tuple[str, str, str]:
    found = _COMPACT.fullmatch(token)
    if found is None:
        raise Unauthenticated(_WRONG)
    return found[1], found[2], found[3]


def _proof(signed: str, secret: str) -> bytes:
    return hmac.digest(secret.encode(), signed.encode(), "sha256")


def _object(part: str) -> dict[str, Any]:
    try:
        value = json.loads(_decoded(part))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Unauthenticated(_WRONG)
    return value


def _encoded(value: Mapping[str, object]) -> str:
    return _base64(json.dumps(dict(value), separators=(",", ":")).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(part: str) -> bytes:
    try:
        content = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error as error:
        raise Unauthenticated(_WRONG) from error
    if _base64(content) != part:  # bits that stand for nothing, or letters of no alphabet
        raise Unauthenticated(_WRONG)
    return content


def _is_time(value: object) -> bool:
    """Whether it is a NumericDate: JSON knows neither NaN nor infinity, but its readers do."""
    return type(value) in (int, float) and abs(cast(float, value)) < _NEVER


def _texts(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
