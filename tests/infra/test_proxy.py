"""The proxy: it passes everything on, and fails its clients in the ways that it says."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from infra.local.child import HOST, free_port
from infra.local.proxy import Proxy
from tests.infra.rest import WAIT_SECONDS

SHORT_SECONDS = 0.2


class Echo:
    """A server that answers each line with itself, and counts them."""

    def __init__(self) -> None:
        self.port = free_port()
        self.lines: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        while line := await reader.readline():
            self.lines.append(line)
            writer.write(line)
            await writer.drain()
        writer.close()


class Peer:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, line: bytes, seconds: float = WAIT_SECONDS) -> bytes:
        """Send a line and return the answer; empty when the connection has ended."""
        self._writer.write(line)
        try:
            async with asyncio.timeout(seconds):
                return await self._reader.readline()
        except ConnectionError:
            return b""


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    """A server to stand behind the proxy."""
    made = Echo()
    listening = await asyncio.start_server(made.serve, HOST, made.port, limit=2**24)
    yield made
    listening.close()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    """A proxy before it."""
    async with Proxy(echo.port) as made:
        yield made


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Peer]:
    """Connect through the proxy."""
    reader, writer = await asyncio.open_connection(HOST, proxy.port, limit=2**24)
    yield Peer(reader, writer)
    writer.close()


async def test_all_is_passed_on(proxy: Proxy) -> None:
    long = b"x" * 3_000_000 + b"\n"

    async def ask() -> bytes:
        async with connected(proxy) as peer:
            return await peer.ask(long)

    assert await asyncio.gather(*(ask() for _ in range(10))) == [long] * 10


async def test_cut_off_and_brought_back(proxy: Proxy) -> None:
    async with connected(proxy) as peer:
        assert await peer.ask(b"a\n") == b"a\n"
        await asyncio.to_thread(proxy.cut)
        assert await peer.ask(b"b\n") == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, proxy.port)
    await asyncio.to_thread(proxy.restore)
    async with connected(proxy) as again:
        assert await again.ask(b"c\n") == b"c\n"


@pytest.mark.parametrize("turns", range(3, 8))
async def test_a_cut_is_done_in_time_though_somebody_comes_in_just_then(
    proxy: Proxy, turns: int
) -> None:
    """What the loop has accepted takes some of its turns until it is a connection; in the first two
    it is asyncio's own, which drops it."""

    async def come_and_be_cut() -> None:
        with socket.create_connection((HOST, proxy.port), WAIT_SECONDS):
            for _ in range(turns):
                await asyncio.sleep(0)
            await proxy._end()
            assert proxy._connections == set()

    async with connected(proxy) as standing:
        assert await standing.ask(b"a\n") == b"a\n"
        await asyncio.to_thread(proxy._run, come_and_be_cut())
        assert await standing.ask(b"b\n") == b""


async def test_silence(proxy: Proxy, echo: Echo) -> None:
    async with connected(proxy) as standing:
        assert await standing.ask(b"a\n") == b"a\n"
        await asyncio.to_thread(proxy.silence)
        async with connected(proxy) as new:
            for peer in (standing, new):
                with pytest.raises(TimeoutError):
                    await peer.ask(b"b\n", SHORT_SECONDS)
        await asyncio.to_thread(proxy.restore)
        async with connected(proxy) as again:
            assert await again.ask(b"c\n") == b"c\n"
        with pytest.raises(TimeoutError):
            await standing.ask(b"d\n", SHORT_SECONDS)
    assert echo.lines == [b"a\n", b"c\n"]


async def test_a_lost_answer_is_to_a_request_that_went_through(proxy: Proxy, echo: Echo) -> None:
    async with connected(proxy) as peer:
        assert await peer.ask(b"write 0\n") == b"write 0\n"
        await asyncio.to_thread(proxy.lose_answers, 2, b"write")
        assert await peer.ask(b"read\n") == b"read\n"
        assert await peer.ask(b"write 1\n") == b""
    for line, answer in ((b"write 2\n", b""), (b"write 3\n", b"write 3\n")):
        async with connected(proxy) as again:
            assert await again.ask(line) == answer
    assert echo.lines[1:] == [b"read\n", b"write 1\n", b"write 2\n", b"write 3\n"]


async def test_a_delay_holds_at_once_for_what_is_on_its_way(proxy: Proxy, echo: Echo) -> None:
    async with connected(proxy) as peer:
        proxy.delay = 3600.0
        with pytest.raises(TimeoutError):
            await peer.ask(b"a\n", SHORT_SECONDS)
        async with asyncio.timeout(WAIT_SECONDS):
            while not echo.lines:
                await asyncio.sleep(0.01)
        proxy.delay = SHORT_SECONDS
        assert await peer.ask(b"b\n") == b"a\n"
        began = time.monotonic()
        assert [await peer.ask(b"c\n"), await peer.ask(b"")] == [b"b\n", b"c\n"]
        assert time.monotonic() - began >= SHORT_SECONDS / 2


async def test_a_server_that_is_away_is_away_for_the_client() -> None:
    async with Proxy(free_port()) as lonely, connected(lonely) as peer:
        assert await peer.ask(b"a\n") == b""


async def test_it_can_be_started_again(echo: Echo) -> None:
    proxy = Proxy(echo.port)
    for _ in range(2):
        async with proxy, connected(proxy) as peer:
            assert await peer.ask(b"a\n") == b"a\n"


def test_a_port_is_given_once() -> None:
    """Servers that begin together listen some time after they were given theirs."""
    ports = [free_port() for _ in range(600)]
    assert len(set(ports)) == len(ports)
