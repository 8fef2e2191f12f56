"""https, as Upstash is reached: the certificate is looked at, and the rest is the same."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.local.upstash import UpstashServer
from lastevent.core.errors import StoreUnavailable
from lastevent.stores.url import open_store
from tests.stores.harness import WAIT_SECONDS, append

DAY = datetime.timedelta(days=1)


def certificate(directory: Path) -> Path:
    """Return a file with a key and a certificate of its own for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    path = directory / "certificate.pem"
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(pem)
    )
    return path


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction to its end."""
    with suppress(OSError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    writer.close()


@pytest.fixture
async def secured(upstash: UpstashServer, tmp_path: Path) -> AsyncIterator[tuple[int, Path]]:
    """The emulator behind TLS: its port, and the certificate."""
    path = await asyncio.to_thread(certificate, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    await asyncio.to_thread(context.load_cert_chain, path)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", upstash.port)
        await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1], path
    server.close()
    await asyncio.sleep(0.1)


async def test_it_works_under_tls(
    secured: tuple[int, Path],
    upstash: UpstashServer,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port, path = secured
    monkeypatch.setattr(certifi, "where", lambda: str(path))
    monkeypatch.setenv("UPSTASH_REDIS_REST_URL", f"https://127.0.0.1:{port}")
    monkeypatch.setenv("UPSTASH_REDIS_REST_TOKEN", upstash.token)
    url = f"upstash://?prefix={prefix}"
    store, other = open_store(url), open_store(url)
    end = (await append(store, "s", 1)).cursor
    waiting = asyncio.create_task(store.wakeup.wait({"s": end}, WAIT_SECONDS))
    await asyncio.sleep(0.5)
    await append(other, "s", 2)
    assert await waiting == {"s"}
    assert [event.data for event in (await other.log.read("s", None)).events] == ["1", "2"]
    await store.close()
    await other.close()


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    secured: tuple[int, Path], upstash: UpstashServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSTASH_REDIS_REST_URL", f"https://127.0.0.1:{secured[0]}")
    monkeypatch.setenv("UPSTASH_REDIS_REST_TOKEN", upstash.token)
    store = open_store("upstash://")
    with pytest.raises(StoreUnavailable):
        await append(store, "s", 1)
    await store.close()
