"""Pictures are fetched from where they may be, within limits, and made small safely."""

import base64
import io
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from PIL import Image as Pillow

from infra.local.shopify import Shopify
from infra.local.shopify.cdn import bomb, picture
from lastevent.core.errors import Transient, UpstreamLost
from lastevent.services.purchase_orders import images as images_module
from lastevent.services.purchase_orders import thumbnails
from lastevent.services.purchase_orders.images import ImageRefused, Images, is_public
from lastevent.sources.http_service import HttpService
from tests.sources.answering_http import answer, answering

HTTPS_NAME = "images.example"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shopify]:
    """A server of pictures, good and bad."""
    with Shopify(tmp_path_factory.mktemp("shopify")) as made:
        yield made


@pytest.fixture
async def trusting(shop: Shopify) -> AsyncIterator[Images]:
    """Fetches from that server, though it is on loopback."""
    made = Images([shop.environment["LASTEVENT_IMAGE_HOSTS"]])
    yield made
    await made.aclose()


@pytest.fixture
async def careful() -> AsyncIterator[Images]:
    """Fetches from public hosts only."""
    made = Images()
    yield made
    await made.aclose()


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Have every name stand for these addresses, one more each time; return what was asked for."""
    asked: list[str] = []

    async def resolved(name: str, port: int) -> list[str]:
        asked.append(name)
        return [addresses[min(len(asked), len(addresses)) - 1]]

    monkeypatch.setattr(images_module, "_resolved", resolved)
    return asked


PRIVATE = [
    "127.0.0.1",
    "127.9.9.9",
    "10.0.0.1",
    "172.16.3.4",
    "192.168.1.1",
    "169.254.169.254",  # where clouds keep their secrets
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_only_we_can_reach_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"]
)
def test_what_all_can_reach_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://images.example/a.png", "https:// only"),
        ("https://127.0.0.1/a.png", "no public host"),
        ("https://[::1]/a.png", "no public host"),
        ("https://localhost/a.png", "no public host"),
        ("https://2130706433/a.png", "no public host"),
        ("https://user:secret@images.example/a.png", "write the https://"),
        ("ftp://images.example/a.png", "write the https://"),
        ("file:///etc/passwd", "write the https://"),
        ("https:///a.png", "write the https://"),
        ("https://images.example:99999/a.png", "no address"),
        ("https://xn--.example\u3002/", "no"),
    ],
)
async def test_addresses_that_are_not_asked(
    url: str, why: str, careful: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = _forbid_connections(monkeypatch)
    with pytest.raises(ImageRefused, match=why) as caught:
        await careful.fetch(url)
    assert not isinstance(caught.value, Transient)
    assert "secret" not in str(caught.value)
    assert connected == []


def _forbid_connections(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    asked: list[Any] = []

    async def client(self: HttpService) -> Any:
        asked.append(self)
        raise AssertionError("nothing may be sent there")

    monkeypatch.setattr(HttpService, "client", client)
    return asked


async def test_one_private_address_among_public_ones_is_enough(
    careful: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolved(name: str, port: int) -> list[str]:
        return ["1.1.1.1", "10.0.0.1"]

    monkeypatch.setattr(images_module, "_resolved", resolved)
    connected = _forbid_connections(monkeypatch)
    with pytest.raises(ImageRefused, match="no public host"):
        await careful.fetch(f"https://{HTTPS_NAME}/a.png")
    assert connected == []


async def test_the_connection_goes_to_the_address_that_was_checked(
    careful: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that turns private between the check and the connection gains nothing."""
    asked = resolving(monkeypatch, "93.184.215.14", "127.0.0.1")
    target = await careful._target(f"https://{HTTPS_NAME}/a.png?x=1#y")
    assert target.url == "https://93.184.215.14:443/a.png?x=1"
    assert (target.host, target.name) == (HTTPS_NAME, HTTPS_NAME)
    assert asked == [HTTPS_NAME]
    with pytest.raises(ImageRefused):
        await careful._target(f"https://{HTTPS_NAME}/a.png")


async def test_a_redirect_is_followed_by_the_same_rules(shop: Shopify, trusting: Images) -> None:
    found = await trusting.fetch(f"{shop.cdn}/moved.png")
    assert found == picture("here", "PNG", (640, 480))
    for to in ("https://127.0.0.1/a.png", "http://169.254.169.254/latest/", "file:///etc/passwd"):
        with pytest.raises(ImageRefused):
            await trusting.fetch(f"{shop.cdn}/moved.png?to={to}")
    with pytest.raises(ImageRefused, match="redirects"):
        await trusting.fetch(f"{shop.cdn}/loop.png")


@pytest.mark.parametrize(
    ("hosts", "url", "trusted"),
    [
        (["cdn.example"], "https://cdn.example/a.png", True),
        (["*.example"], "https://a.b.example/a.png", True),
        (["*.example"], "https://example/a.png", False),
        (["*.example"], "https://evilexample/a.png", False),
        (["cdn.example"], "https://cdn.example.evil/a.png", False),
        (["cdn.example:8080"], "http://cdn.example:8080/a.png", True),
        (["cdn.example:8080"], "https://cdn.example/a.png", False),
    ],
)
async def test_named_hosts_are_the_only_ones(
    hosts: list[str], url: str, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, "10.0.0.1")
    images = Images(hosts)
    if trusted:
        assert "10.0.0.1" in (await images._target(url)).url
    else:
        with pytest.raises(ImageRefused, match="not fetched from"):
            await images._target(url)


async def test_too_many_bytes_are_not_read(shop: Shopify, trusting: Images) -> None:
    with pytest.raises(ImageRefused, match="at most 8 MiB"):
        await trusting.fetch(f"{shop.cdn}/large.png")


async def test_what_stays_and_what_passes(shop: Shopify, trusting: Images) -> None:
    with pytest.raises(ImageRefused, match="404"):
        await trusting.fetch(f"{shop.cdn}/gone.png")
    with pytest.raises(UpstreamLost, match="503"):
        await trusting.fetch(f"{shop.cdn}/away.png")


async def test_a_host_that_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_module, "FETCH_SECONDS", 0.1)
    async with answering([b"HTTP/1.1 200 OK\r\n"]) as server:
        server.hold = True
        images = Images([server.url.removeprefix("http://")])
        with pytest.raises(UpstreamLost, match="does not answer"):
            await images.fetch(f"{server.url}/a.png")
        await images.aclose()


async def test_nothing_of_ours_is_sent_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with answering([answer("x", content_type="image/png")]) as server:
        host = server.url.removeprefix("http://")
        images = Images([host])
        assert await images.fetch(f"{server.url}/a.png") == b"x"
        await images.aclose()
    head = server.asked[0].decode().lower()
    assert f"host: {host}" in head
    assert "cookie" not in head
    assert "authorization" not in head
    assert "accept-encoding: identity" in head


async def test_a_name_that_nobody_has() -> None:
    with pytest.raises((ImageRefused, UpstreamLost)):
        await Images().fetch("https://nobody-has-this-name.invalid/a.png")


async def test_what_names_there_are_within_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    known = ["wiki.example"]

    def getaddrinfo(name: str, port: int, *_: Any, **__: Any) -> Any:
        if name not in known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.1.2.3", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for name in ("wiki.example", "mail.example"):
        with pytest.raises(ImageRefused, match=f"^{name} is no public host$"):
            await Images().fetch(f"https://{name}/a.png")


async def test_a_failing_resolver_is_trouble_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(UpstreamLost):
        await Images().fetch("https://images.example/a.png")


# What is in them


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF"])
def test_pictures_are_known_and_made_small(format: str) -> None:
    content = picture("x", format, (1200, 800))
    looked = thumbnails.look(content)
    assert (looked.format, looked.width, looked.height) == (format.lower(), 1200, 800)
    assert looked.size == len(content)
    made = thumbnails.make(content)
    assert {side: (it.width, it.height) for side, it in made.items()} == {
        96: (96, 64),
        480: (480, 320),
    }
    for it in made.values():
        with Pillow.open(io.BytesIO(base64.b64decode(it.data))) as small:
            assert (small.format, small.size) == ("WEBP", (it.width, it.height))


def test_small_pictures_are_not_made_larger() -> None:
    made = thumbnails.make(picture("x", "PNG", (40, 30)))
    assert {(it.width, it.height) for it in made.values()} == {(40, 30)}


def test_a_bomb_is_refused_by_its_head() -> None:
    for side in (7000, 30_000):
        with pytest.raises(ImageRefused, match=r"million pixels|far too large"):
            thumbnails.look(bomb(side))
        with pytest.raises(ImageRefused, match=r"million pixels|far too large"):
            thumbnails.make(bomb(side))


def test_a_photograph_may_have_more_pixels_than_what_is_decoded_whole() -> None:
    size = (4000, 3500)
    made = thumbnails.make(picture("x", "JPEG", size))
    assert (made[480].width, made[480].height) == (480, 420)
    with pytest.raises(ImageRefused, match="a PNG has at most 12 million pixels"):
        thumbnails.make(picture("x", "PNG", size))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
    ],
)
def test_what_is_no_picture(content: bytes) -> None:
    with pytest.raises(ImageRefused):
        thumbnails.look(content)


def test_other_formats_are_not_even_tried() -> None:
    output = io.BytesIO()
    Pillow.new("RGB", (8, 8)).save(output, "TIFF")
    with pytest.raises(ImageRefused, match="known format"):
        thumbnails.look(output.getvalue())


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_damaged_picture_is_refused_or_small(format: str) -> None:
    content = picture("x", format, (600, 400))
    for part in range(1, 10):
        try:
            made = thumbnails.make(content[: len(content) * part // 10])
        except ImageRefused:
            continue
        assert all(it.width <= 480 for it in made.values())


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_whatever_is_damaged_of_what_a_camera_says() -> None:
    """Its parser raises errors of any kind, and one picture is to stop no order."""
    output, exif = io.BytesIO(), Pillow.Exif()
    exif[0x0112], exif[0x010F] = 6, "the camera's maker"
    Pillow.new("RGB", (64, 48)).save(output, "JPEG", exif=exif)
    maker, number = b"\x01\x0f\x00\x02", b"\x01\x00\x00\x02"
    damaged = output.getvalue().replace(maker, number)  # a name where a number belongs
    assert damaged != output.getvalue()
    with pytest.raises(ImageRefused, match="damaged"):
        thumbnails.make(damaged)


def test_a_photograph_of_several_pictures_is_a_jpeg() -> None:
    output = io.BytesIO()
    first = Pillow.new("RGB", (600, 300))
    first.save(output, "MPO", save_all=True, append_images=[first])
    assert thumbnails.look(output.getvalue()).width == 600
    assert thumbnails.make(output.getvalue())[480].width == 480


def test_a_picture_is_turned_and_tells_nothing_else() -> None:
    output = io.BytesIO()
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010F] = "the camera's maker"
    Pillow.new("RGB", (600, 300), (200, 30, 30)).save(output, "JPEG", exif=exif)
    made = thumbnails.make(output.getvalue())[480]
    assert (made.width, made.height) == (240, 480)
    assert b"maker" not in base64.b64decode(made.data)


def test_transparency_stays() -> None:
    output = io.BytesIO()
    Pillow.new("RGBA", (200, 200), (0, 0, 0, 0)).save(output, "PNG")
    with Pillow.open(
        io.BytesIO(base64.b64decode(thumbnails.make(output.getvalue())[96].data))
    ) as it:
        assert it.convert("RGBA").getpixel((5, 5)) == (0, 0, 0, 0)


def test_the_noisiest_thumbnail_fits_a_record() -> None:
    output = io.BytesIO()
    Pillow.effect_noise((480, 480), 120).convert("RGB").save(output, "PNG")
    for thumbnail in thumbnails.make(output.getvalue()).values():
        assert len(thumbnail.data) < 220 * 1024
