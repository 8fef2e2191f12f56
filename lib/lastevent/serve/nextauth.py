"""The sessions of a site that signs its users in with NextAuth.js 4 or Auth.js 5.

Their session cookie is an encrypted token (a JWE, RFC 7516) whose key they derive from the site's
secret. Who has the secret reads it: no call to the site, and no second login.

    version  cookie                   encryption       salt of the key
    4        next-auth.session-token  A256GCM          none
    5        authjs.session-token     A256CBC-HS512    the cookie's name

Over https both put ``__Secure-`` before the name, and what is too long for one cookie into
``NAME.0``, ``NAME.1`` and so on. A site that keeps its sessions in a database has a mere number in
the cookie, of which nobody else can make anything.

https://github.com/nextauthjs/next-auth: ``jwt`` of either version, and its SessionStore.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lastevent.core.errors import Unauthenticated

if TYPE_CHECKING:
    from joserfc.jwk import OctKey

MAX_BYTES = 16_384
"""Of a session; more than a browser's cookies take through any platform's front."""

LEEWAY_SECONDS = 15
"""As NextAuth has it: a session that the site takes is taken here."""


class Cookie(NamedTuple):
    """A session cookie: its name, how it is encrypted, and how its key is derived."""

    name: str
    encryption: str
    key_bytes: int
    info: str
    salt: str


def _cookies() -> Iterator[Cookie]:
    # Those first that only a secure origin can have set.
    for prefix in ("__Secure-", ""):
        name = f"{prefix}authjs.session-token"
        info = f"Auth.js Generated Encryption Key ({name})"
        yield Cookie(name, "A256CBC-HS512", 64, info, salt=name)
        name = f"{prefix}next-auth.session-token"
        yield Cookie(name, "A256GCM", 32, "NextAuth.js Generated Encryption Key", salt="")


COOKIES = tuple(_cookies())


class Sessions:
    """Reads the sessions that were made with one of ``secrets``; keys are derived on first use."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = tuple(secrets)
        self._keys: dict[Cookie, list[OctKey]] = {}

    def claims(self, cookies: Mapping[str, str]) -> dict[str, Any] | None:
        """Return the claims of a request's session, with ``sub`` and ``exp``; None without one.

        A browser may still have the cookie of an older version, or of another site on this host,
        beside the one that counts: the first that is valid does. Raises Unauthenticated if there
        are some and none is. Without a secret none is looked at.
        """
        if not self._secrets:
            return None
        refusal = None
        for cookie in COOKIES:
            for text in _values(cookies, cookie.name):
                try:
                    return self._read(cookie, text)
                except Unauthenticated as error:
                    refusal = refusal or error
        if refusal is not None:
            raise refusal
        return None

    def _read(self, cookie: Cookie, text: str) -> dict[str, Any]:
        if len(text) > MAX_BYTES:
            raise Unauthenticated(f"the session cookie has over {MAX_BYTES} bytes")
        if text.count(".") != 4:
            raise Unauthenticated(
                "the session cookie holds no encrypted token: the site has to keep its sessions "
                "with NextAuth's strategy jwt"
            )
        from joserfc import errors, jwt
        from joserfc.jwe import JWERegistry

        # Nothing else is taken: no other algorithm, and no compression, which is a way to make
        # much of little.
        registry = JWERegistry(algorithms=["dir", cookie.encryption])
        needed = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS, sub={"essential": True}, exp={"essential": True}
        )
        for key in self._derived(cookie):
            try:
                claims = jwt.decode(text, key, registry=registry).claims
            except (errors.JoseError, ValueError, TypeError):
                continue  # made with another secret, or by somebody who has none
            try:
                needed.validate(claims)
            except errors.ExpiredTokenError as error:
                raise Unauthenticated("the session has expired: sign in again") from error
            except errors.ClaimError as error:
                raise Unauthenticated(
                    f"the session does not say who it is of, or until when: its {error.claim} claim"
                ) from error
            return claims
        raise Unauthenticated("the session cookie is not valid here: sign in again")

    def _derived(self, cookie: Cookie) -> list["OctKey"]:
        if cookie not in self._keys:
            from cryptography.hazmat.primitives.hashes import SHA256
            from cryptography.hazmat.primitives.kdf.hkdf import HKDF
            from joserfc.jwk import OctKey

            salt, info = cookie.salt.encode(), cookie.info.encode()
            self._keys[cookie] = [
                OctKey.import_key(HKDF(SHA256(), cookie.key_bytes, salt, info).derive(s.encode()))
                for s in self._secrets
            ]
        return self._keys[cookie]


def _values(cookies: Mapping[str, str], name: str) -> Iterator[str]:
    """What cookies of this name hold: in one piece, in several."""
    if whole := cookies.get(name):
        yield whole
    joined, number = "", 0
    while len(joined) <= MAX_BYTES and (piece := cookies.get(f"{name}.{number}")):
        joined, number = joined + piece, number + 1
    if joined:
        yield joined
