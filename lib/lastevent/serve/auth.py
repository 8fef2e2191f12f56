"""Who calls, and what they may do.

An identity comes from, in this order: ``Authorization: Bearer``, an API key, the query's token
(reading only), our session cookie, that of a site with NextAuth (nextauth.py) where its secret is
known; in development, from nothing. A credential that is present and wrong is refused, never passed
over. Tokens are JWTs: HS256 by the secret (hs256.py), RS256 or ES256 by the keys at
LASTEVENT_JWKS_URL.

A cookie is sent by the browser whether or not its user meant to, and a development server takes
everyone in: for both, a request that changes something must come from a page of our own origin or
one that is allowed.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from lastevent.core.errors import ConfigError, Forbidden, InvalidName, Unauthenticated
from lastevent.core.topic import matches_any, stream_pattern
from lastevent.serve import hs256
from lastevent.serve.jwks import KeySet
from lastevent.serve.nextauth import Sessions
from lastevent.serve.settings import Settings, is_loopback

COOKIE = "lastevent_token"
QUERY_TOKEN_SECONDS = 300
"""Tokens in a query end up in histories and logs of others: they may live no longer (RULES 24)."""

LEEWAY_SECONDS = 5
MAX_PROVEN = 4096
"""Tokens that are known again without being verified again: of more, all are forgotten."""

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_EVERYTHING = ("*",)


class Identity(NamedTuple):
    """A caller. ``expires`` is in Unix seconds, None for those that do not expire."""

    sub: str
    read: tuple[str, ...] = ()
    append: tuple[str, ...] = ()
    expires: float | None = None
    name: str | None = None
    role: str | None = None
    merchant: str | None = None

    def must_read(self, stream: str) -> None:
        """Raise Forbidden unless this identity may read ``stream``."""
        if not matches_any(self.read, stream):
            raise Forbidden(f"this identity may not read {stream}: its token does not name it")

    def must_append(self, stream: str) -> None:
        """Raise Forbidden unless this identity may append to ``stream`` (or delete it)."""
        if not matches_any(self.append, stream):
            raise Forbidden(f"this identity may not append to {stream}: its token does not name it")


DEVELOPER = Identity("developer", _EVERYTHING, _EVERYTHING, name="Developer")


def mint(secret: str, claims: Mapping[str, object], seconds: float) -> str:
    """Return a token of ``claims`` that expires ``seconds`` from now."""
    now = int(time())
    return hs256.sign({**claims, "iat": now, "exp": now + int(seconds)}, secret)


def development_secret(data_dir: Path) -> str:
    """Return this checkout's secret for development, made and kept on first use.

    It outlives the process, so that signing in survives a restart of the server.
    """
    path = data_dir / "development-secret"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        try:
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            return path.read_text().strip()
        with os.fdopen(file, "w") as made:
            made.write(secret := secrets.token_hex(32))
        return secret
    except OSError as error:
        raise ConfigError(
            f"cannot keep the development secret in {data_dir}: {error.strerror}; "
            "set LASTEVENT_DATA_DIR to a directory that can be written"
        ) from error


class Authenticator:
    """Turns requests into identities by the settings and the ``secret`` of HS256 tokens."""

    def __init__(self, settings: Settings, secret: str | None) -> None:
        self.secret = secret
        self._settings = settings
        self._keys = [(hashlib.sha256(k.key.encode()).digest(), k) for k in settings.api_keys]
        self._key_set = KeySet(settings.jwks_url) if settings.jwks_url else None
        self._sessions = Sessions(settings.nextauth_secrets)
        self._proven: dict[bytes, Identity] = {}

    async def identify(self, request: HTTPConnection) -> Identity:
        """Return who calls; raise Unauthenticated or Forbidden."""
        headers = request.headers
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if scheme:
            if scheme.lower() != "bearer" or not credentials:
                raise Unauthenticated("write the token as: Authorization: Bearer TOKEN")
            return await self.verify(credentials.strip())
        if key := headers.get("x-api-key"):
            return self._by_key(key)
        if token := request.query_params.get("token"):
            return await self._by_query(request, token)
        if token := request.cookies.get(COOKIE):
            identity = await self.verify(token)
        elif (claims := self._sessions.claims(request.cookies)) is not None:
            identity = _identity(claims)
        elif self._settings.development:
            if not is_loopback(urlsplit(f"//{headers.get('host', '')}").hostname or ""):
                # Another name that resolves to loopback: a page's way to reach a local server.
                raise Unauthenticated("a development server answers to localhost only")
            identity = DEVELOPER
        else:
            raise Unauthenticated("send a token: Authorization: Bearer TOKEN")
        if request.scope["method"] not in _SAFE_METHODS:
            self.must_be_same_origin(request)
        return identity

    async def verify(self, token: str) -> Identity:
        """Return the identity that ``token`` proves; raise Unauthenticated if it proves none.

        One that our own secret has proven is known again by its digest until it expires: nothing
        else about it can change.
        """
        digest = hashlib.blake2b(token.encode(errors="surrogatepass"), digest_size=32).digest()
        known = self._proven.get(digest)
        if known is not None and (known.expires or 0.0) > time() - LEEWAY_SECONDS:
            return known
        identity = _identity(await self._claims(token))
        if hs256.header(token).get("alg") == "HS256":
            if len(self._proven) >= MAX_PROVEN:
                self._proven.clear()
            self._proven[digest] = identity
        return identity

    def must_be_same_origin(self, request: HTTPConnection) -> None:
        """Raise Forbidden if a browser sends this for a page of another origin.

        Browsers name the page's origin on every request that is not a plain GET; what names none
        is no browser.
        """
        origin = request.headers.get("origin")
        if origin is None:
            if request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none"):
                return
        else:
            own = urlsplit(origin).netloc == request.headers.get("host")
            if own or origin in self._settings.allowed_origins:
                return
        raise Forbidden("this page's origin may not do that: add it to LASTEVENT_ALLOWED_ORIGINS")

    def _by_key(self, key: str) -> Identity:
        given = hashlib.sha256(key.encode()).digest()
        # Every key is compared, in constant time: neither the time nor the order tells anything.
        found = [k for kept, k in self._keys if hmac.compare_digest(kept, given)]
        if not found:
            raise Unauthenticated("this API key is not known")
        return Identity(f"key:{found[0].name}", append=found[0].append)

    async def _by_query(self, request: HTTPConnection, token: str) -> Identity:
        if request.scope["method"] not in _SAFE_METHODS:
            raise Unauthenticated("a token in the query may only read: send it in a header")
        identity = await self.verify(token)
        if identity.expires is None or identity.expires - time() > QUERY_TOKEN_SECONDS:
            raise Unauthenticated(
                f"a token in the query may live at most {QUERY_TOKEN_SECONDS // 60} minutes: "
                "mint a shorter one"
            )
        return identity._replace(append=())

    async def _claims(self, token: str) -> dict[str, Any]:
        # The algorithm decides which of our keys counts; it never turns a public key into a shared
        # secret, because each way below takes its own algorithms only.
        header = hs256.header(token)
        audience, issuer = self._settings.token_audience, self._settings.token_issuer
        if header.get("alg") == "HS256" and self.secret is not None:
            claims = hs256.verify(token, self.secret)
            hs256.check(claims, time(), leeway=LEEWAY_SECONDS, audience=audience, issuer=issuer)
            return claims
        if self._key_set is not None and header.get("alg") in ("RS256", "ES256"):
            return await self._by_public_key(self._key_set, token, header)
        raise Unauthenticated("the token is signed in a way that is not accepted here")

    async def _by_public_key(
        self, key_set: KeySet, token: str, header: Mapping[str, Any]
    ) -> dict[str, Any]:
        import jwt

        options: dict[str, Any] = {
            "leeway": LEEWAY_SECONDS,
            "options": {
                "require": ["sub", "exp"],
                "verify_aud": self._settings.token_audience is not None,
            },
            "audience": self._settings.token_audience,
            "issuer": self._settings.token_issuer,
        }
        try:
            key = await key_set.key(header.get("kid"))
            return jwt.decode(token, key, [header["alg"]], **options)
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("the token has expired: get a new one") from error
        except jwt.MissingRequiredClaimError as error:
            raise Unauthenticated(f"the token has no {error.claim} claim") from error
        except jwt.PyJWTError as error:
            raise Unauthenticated("the token is not valid here") from error


def _identity(claims: Mapping[str, Any]) -> Identity:
    return Identity(
        sub=_claim(claims, "sub") or "",
        read=_pattern_claim(claims, "read"),
        append=_pattern_claim(claims, "append"),
        expires=float(claims["exp"]),
        name=_claim(claims, "name"),
        role=_claim(claims, "role"),
        merchant=_claim(claims, "merchant"),
    )


def _claim(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return value if isinstance(value, str) else None


def _pattern_claim(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = claims.get(name, [])
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise Unauthenticated(f"the token's {name} claim is not a list of stream patterns")
    try:
        return tuple(stream_pattern(part) for part in value)
    except InvalidName as error:
        raise Unauthenticated(
            f"the token's {name} claim holds no stream pattern: {error}"
        ) from error
