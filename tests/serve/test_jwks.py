"""Tokens of an identity provider: RS256 and ES256 by its published keys."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator
from time import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from lastevent.serve import jwks
from tests.serve.running import Serve, any_store

pytestmark = any_store

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())


class Issuer:
    """Publishes keys, counts who asks, and can be away."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.url = ""
        self.keys = [
            {**RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True), "kid": "r", "alg": "RS256"},
            {**ECAlgorithm.to_jwk(EC.public_key(), as_dict=True), "kid": "e", "alg": "ES256"},
        ]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        body = json.dumps({"keys": self.keys}).encode()
        status = "503 Away" if self.away else "200 OK"
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    it = Issuer()
    server = await asyncio.start_server(it.answer, "127.0.0.1", 0)
    it.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks"
    async with server:
        yield it


def signed(key: Any, algorithm: str, kid: str, **claims: object) -> dict[str, str]:
    body = {"sub": "u", "exp": time() + 60, "read": ["*"], **claims}
    token = jwt.encode(body, key, algorithm, headers={"kid": kid})
    return {"Authorization": f"Bearer {token}", "Accept": "application/json"}


async def test_published_keys_vouch(serve: Serve, issuer: Issuer) -> None:
    server = await serve(development=False, jwks_url=issuer.url, token_issuer="me")

    async def status(headers: dict[str, str]) -> int:
        return (await server.client.get("/api/streams/s", headers=headers)).status_code

    assert await status(signed(RSA, "RS256", "r", iss="me")) == 200
    assert await status(signed(EC, "ES256", "e", iss="me")) == 200
    assert await status(signed(EC, "ES256", "e", iss="you")) == 401
    assert await status(signed(STRANGER, "ES256", "e", iss="me")) == 401
    for _ in range(5):
        assert await status(signed(STRANGER, "ES256", "unknown", iss="me")) == 401
    assert issuer.asked == 1, "an unknown key does not make us ask again and again"


@pytest.mark.parametrize("secret", [None, "s" * 40])
async def test_a_public_key_is_no_shared_secret(
    serve: Serve, issuer: Issuer, secret: str | None
) -> None:
    """The classic confusion: HS256, with the text of the public key as the secret."""
    server = await serve(development=False, jwks_url=issuer.url, auth_secret=secret)

    def part(value: object) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    claims = {"sub": "u", "exp": time() + 60, "read": ["*"]}
    said = part({"alg": "HS256", "kid": "r", "typ": "JWT"}) + b"." + part(claims)
    proof = hmac.digest(json.dumps(issuer.keys[0]).encode(), said, "sha256")
    token = (said + b"." + base64.urlsafe_b64encode(proof).rstrip(b"=")).decode()
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    assert (await server.client.get("/api/streams/s", headers=headers)).status_code == 401


async def test_an_issuer_that_is_away(
    serve: Serve, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(jwks, "FRESH_SECONDS", 0.0)
    server = await serve(development=False, jwks_url=issuer.url)
    issuer.away = True
    headers = signed(RSA, "RS256", "r")
    assert (await server.client.get("/api/streams/s", headers=headers)).status_code == 503
    issuer.away = False
    assert (await server.client.get("/api/streams/s", headers=headers)).status_code == 200
    issuer.away = True
    assert (await server.client.get("/api/streams/s", headers=headers)).status_code == 200
