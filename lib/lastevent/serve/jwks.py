"""The public keys of an identity provider, fetched when a token needs one (RFC 7517)."""

import asyncio
from time import monotonic
from typing import Any

from lastevent.core.errors import StoreUnavailable, Unauthenticated

FRESH_SECONDS = 600.0
AGAIN_SECONDS = 30.0
"""The pause between two fetches: a made-up ``kid``, or an issuer that is away, must cost little."""

FETCH_SECONDS = 5.0
MAX_BYTES = 256 * 1024


class KeySet:
    """The keys at one address, kept for ten minutes."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[str | None, Any] = {}
        self._fetched = -FRESH_SECONDS
        self._tried = -FRESH_SECONDS

    async def key(self, kid: str | None) -> Any:
        """Return the key named ``kid``; raise Unauthenticated if there is none."""
        now = monotonic()
        stale = now - self._fetched > FRESH_SECONDS or kid not in self._keys
        if stale and now - self._tried > AGAIN_SECONDS:
            self._tried = now
            await self._fetch()
        if kid not in self._keys:
            raise Unauthenticated("the token names a key that its issuer does not publish")
        return self._keys[kid]

    async def _fetch(self) -> None:
        import httpx
        import jwt

        try:
            async with asyncio.timeout(FETCH_SECONDS), httpx.AsyncClient() as client:
                answer = await client.get(self._url)
                answer.raise_for_status()
                if len(answer.content) > MAX_BYTES:
                    raise ValueError("too large")
                found = jwt.PyJWKSet.from_dict(answer.json())
        except (TimeoutError, httpx.HTTPError, ValueError, jwt.PyJWTError) as error:
            if self._keys:
                return  # an issuer that is away does not end the sessions of those it vouched for
            raise StoreUnavailable("the token issuer's keys cannot be fetched now") from error
        self._keys = {key.key_id: key.key for key in found.keys}
        self._fetched = monotonic()
