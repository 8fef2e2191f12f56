"""A webhook: JSON that is posted to somebody else's address, signed.

Signed as Standard Webhooks has it, so that receivers need no code of their own to check it: three
headers, of which ``webhook-id`` stays the same when a message comes again.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import asyncio
import base64
import binascii
import hmac
from time import time

from lastevent.core.errors import ConfigError, UpstreamLost
from lastevent.sources.http_status import trouble
from lastevent.sources.tls import client_context

PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)
"""How long the specification lets a secret be."""

ANSWER_SECONDS = 5.0
WHO = "the webhook's receiver"


def parse_secret(text: str) -> bytes:
    """Return the key in ``whsec_`` and base64; raise ConfigError."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(PREFIX) or len(key) not in SECRET_BYTES:
        raise ConfigError(
            f"write {PREFIX} and the base64 of {SECRET_BYTES.start} to {SECRET_BYTES.stop - 1} "
            f"bytes, for example from: echo {PREFIX}$(openssl rand -base64 32)"
        )
    return key


def signature(key: bytes, id: str, seconds: int, body: bytes) -> str:
    """Return the header that proves a message: HMAC-SHA256 of ``id.seconds.body``."""
    proof = hmac.digest(key, f"{id}.{seconds}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(proof).decode()}"


class Webhook:
    """The receiver at ``url``, and the ``key`` that it shares with us. No ``repr`` shows either:
    many a receiver's address is a secret too."""

    def __init__(self, url: str, key: bytes) -> None:
        self._url = url
        self._key = key

    async def post(self, id: str, body: bytes) -> None:
        """Post ``body`` once; return when the receiver has said that it has it.

        Raises UpstreamLost for what passes (no answer within ANSWER_SECONDS, 429, 5xx) and
        UpstreamRefused for any other answer that is not 2xx. Redirects are not followed.
        """
        import httpx

        seconds = int(time())
        headers = {
            "content-type": "application/json",
            "webhook-id": id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": signature(self._key, id, seconds, body),
        }
        client = httpx.AsyncClient(
            verify=await client_context(),
            trust_env=False,
            follow_redirects=False,
            timeout=ANSWER_SECONDS,
        )
        try:
            # Of the answer only its head is read: what its body says is of no use here.
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                client,
                client.stream("POST", self._url, content=body, headers=headers) as answer,
            ):
                status, retry_after = answer.status_code, answer.headers.get("Retry-After")
        except (TimeoutError, httpx.TimeoutException) as error:
            raise UpstreamLost(f"{WHO} does not answer in time") from error
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise UpstreamLost(f"{WHO} cannot be reached") from error
        if not 200 <= status < 300:
            raise trouble(status, retry_after, WHO, "the message")
