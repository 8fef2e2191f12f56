"""Pictures, good and bad, for the line items of orders: below `/cdn`.

/cdn/{any}.png .jpg .webp .gif   a picture; `?width=&height=` in pixels, 640 × 480 without
/cdn/page.png                    no picture: a page
/cdn/bomb.png                    some hundred bytes that claim to be 30000 × 30000 pixels
/cdn/large.png                   more bytes than anyone takes
/cdn/damaged.jpg                 half a picture
/cdn/moved.png                   a redirect to /cdn/here.png; `?to=` to another address
/cdn/loop.png                    a redirect to itself
/cdn/away.png                    503
/cdn/gone.png                    404
"""

import asyncio
import io
import struct
import zlib

from PIL import Image, ImageDraw
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "gif": "GIF"}
LARGE_BYTES = 9 * 2**20


async def _picture(asked: Request) -> Response:
    name, _, suffix = asked.path_params["name"].rpartition(".")
    match name:
        case "page":
            return Response("<html>not a picture</html>", media_type="image/png")
        case "bomb":
            return Response(bomb(), media_type="image/png")
        case "large":
            return Response(bytes(LARGE_BYTES), media_type="image/png")
        case "moved":
            return RedirectResponse(asked.query_params.get("to", "/cdn/here.png"), 302)
        case "loop":
            return RedirectResponse("/cdn/loop.png", 302)
        case "away":
            return Response(status_code=503)
    if name == "gone" or suffix not in FORMATS:
        return Response(status_code=404)
    size = (
        int(asked.query_params.get("width", "640")),
        int(asked.query_params.get("height", "480")),
    )
    content = await asyncio.to_thread(picture, name, FORMATS[suffix], size)
    if name == "damaged":
        content = content[: len(content) // 2]
    return Response(content, media_type=f"image/{suffix.replace('jpg', 'jpeg')}")


def picture(name: str, format: str, size: tuple[int, int]) -> bytes:
    """Return a picture in colours that go with its name."""
    red, green, blue = zlib.crc32(name.encode()).to_bytes(4, "big")[:3]
    image = Image.new("RGB", size, (red, green, blue))
    box = (size[0] // 4, size[1] // 4, 3 * size[0] // 4, 3 * size[1] // 4)
    ImageDraw.Draw(image).ellipse(box, (255 - red, 255 - green, 255 - blue))
    output = io.BytesIO()
    image.save(output, format)
    return output.getvalue()


def bomb(side: int = 30_000) -> bytes:
    """Return a PNG of few bytes that says it has ``side`` × ``side`` pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


routes = [Route("/cdn/{name}", _picture, methods=["GET"])]
