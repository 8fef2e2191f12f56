"""Pictures from addresses that others name, fetched without reaching what only we can reach.

An address in an order is anybody's. So only ``https://`` is fetched, only from hosts that all of
the internet can reach, and the connection goes to the very address that was checked: a name that
says something else the next time it is asked (DNS rebinding) gains nothing. Redirects are followed
by the same rules. Hosts that LASTEVENT_IMAGE_HOSTS names are the only ones then, and trusted: they
may be anywhere, and speak ``http://``.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from lastevent.core.errors import UpstreamLost, UpstreamRefused
from lastevent.sources.http_service import AnswerTooLarge, HttpService, whole
from lastevent.sources.http_status import trouble

FETCH_SECONDS = 15.0
MAX_BYTES = 8 * 2**20
MAX_REDIRECTS = 3
MAX_CONNECTIONS = 8
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class ImageRefused(UpstreamRefused):
    """This picture will not be had from there; the message says why."""


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a request really goes: an address that was checked, for the name it stands for."""

    url: str
    host: str
    name: str


class Images:
    """Fetches pictures. ``hosts``: the only ones, as ``cdn.example.com``, ``*.example.com`` or
    ``127.0.0.1:8080``; none: any that is public. Belongs to one event loop."""

    def __init__(self, hosts: Sequence[str] = ()) -> None:
        self._hosts = tuple(host.lower() for host in hosts)
        self._service = HttpService(  # without a proxy, which would look names up again
            "the host",
            {
                "Accept": "image/*",
                "Accept-Encoding": "identity",  # what is compressed could grow without end
            },
            connections=MAX_CONNECTIONS,
            keeps_alive=False,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._service.aclose()

    async def fetch(self, url: str) -> bytes:
        """Return what is at an address, at most MAX_BYTES within FETCH_SECONDS.

        Raises ImageRefused for what stays, UpstreamLost for what passes. Whether it is a picture
        is not looked at.
        """
        import httpx

        try:
            async with asyncio.timeout(FETCH_SECONDS):
                for _ in range(MAX_REDIRECTS + 1):
                    found = await self._get(url)
                    if isinstance(found, bytes):
                        return found
                    url = urljoin(url, found)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            raise UpstreamLost("the image's host does not answer") from None
        raise ImageRefused(f"over {MAX_REDIRECTS} redirects lead on from there")

    async def _get(self, url: str) -> bytes | str:
        """Return what is there, or where it says that it is."""
        target = await self._target(url)
        client = await self._service.client()
        request = client.build_request(
            "GET",
            target.url,
            headers={"Host": target.host},
            extensions={"sni_hostname": target.name},
        )
        answer = await client.send(request, stream=True)
        try:
            if answer.status_code in _REDIRECTS and "location" in answer.headers:
                return str(answer.headers["location"])
            if not answer.is_success:
                error = trouble(
                    answer.status_code, answer.headers.get("retry-after"), "the host", "the image"
                )
                raise error if isinstance(error, UpstreamLost) else ImageRefused(str(error))
            return await whole(answer.aiter_raw(), MAX_BYTES, "the host")
        except AnswerTooLarge:
            raise ImageRefused(f"an image has at most {MAX_BYTES >> 20} MiB") from None
        finally:
            await answer.aclose()

    async def _target(self, url: str) -> _Target:
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
            name = (parts.hostname or "").encode("idna").decode()
        except ValueError:
            raise ImageRefused("this is no address") from None
        trusted = self._trusts(name, port)
        if not name or parts.username is not None or parts.scheme not in ("http", "https"):
            raise ImageRefused("write the https:// address of an image")
        if self._hosts and not trusted:
            raise ImageRefused(f"images are not fetched from {name[:80]}")
        if parts.scheme != "https" and not trusted:
            raise ImageRefused("images are fetched by https:// only")
        addresses = await _resolved(name, port)
        if not trusted and not all(is_public(address) for address in addresses):
            raise ImageRefused(f"{name[:80]} is no public host")
        host = f"[{name}]" if ":" in name else name
        return _Target(
            _at(parts, addresses[0], port), host if parts.port is None else f"{host}:{port}", name
        )

    def _trusts(self, name: str, port: int) -> bool:
        return any(
            host in (name, f"{name}:{port}") or (host.startswith("*.") and name.endswith(host[1:]))
            for host in self._hosts
        )


def is_public(address: str) -> bool:
    """Whether all of the internet can reach an IP address, whatever it is wrapped in."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        teredo = ip.teredo
        inner = ip.ipv4_mapped or ip.sixtofour or (teredo and teredo[1])
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(ip.packed[-4:])
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:  # Python takes those of before 2004 for global
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


async def _resolved(name: str, port: int) -> list[str]:
    """Return the IP addresses of a host's name."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
            # As of a private host: or orders could ask which names there are in our network.
            raise ImageRefused(f"{name[:80]} is no public host") from None
        raise UpstreamLost("the image's host is not found just now") from None
    except UnicodeError:
        raise ImageRefused("this is no address") from None
    return [str(address[0]) for *_, address in found]


def _at(parts: SplitResult, address: str, port: int) -> str:
    """Return the same address, with a host's number in the place of its name."""
    host = f"[{address}]" if ":" in address else address
    return parts._replace(netloc=f"{host}:{port}", fragment="").geturl()
