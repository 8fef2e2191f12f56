"""Pictures made small, with Pillow: within limits of memory and time, whatever a file claims to be.

Runs in a thread. A picture of few bytes may claim to have many pixels (a decompression bomb), so
its size is read, and refused, before any of it is decoded.
"""

import base64
import hashlib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastevent.services.purchase_orders.images import ImageRefused
from lastevent.services.purchase_orders.records import Thumbnail

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MAX_PIXELS = {"PNG": 12_000_000, "GIF": 12_000_000, "JPEG": 25_000_000, "WEBP": 6_000_000}
"""A JPEG is decoded at a fraction of its size, a WebP several times over. Each takes some 100 MB at
its largest, which fits a function of 256 MB; so one picture is made small at a time."""

SIDES = (96, 480)
"""The longest sides of the thumbnails, in pixels."""

MAX_THUMBNAIL_BYTES = 160 * 1024
"""So that its record, in base64, has well under 256 KB."""

PLAIN_MODES = ("L", "LA", "RGB", "RGBA")
"""Of pictures that can be made small as they are: their pixels can be averaged."""

QUALITIES = (80, 60, 40, 20)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a picture is, before it is decoded."""

    format: str
    width: int
    height: int
    size: int
    sha256: str


def available() -> bool:
    """Whether Pillow is installed: the extra ``images`` has it."""
    try:
        import PIL  # noqa: F401
    except ImportError:
        return False
    return True


def look(content: bytes) -> Looked:
    """Return what a file is, from its head; raise ImageRefused for what is none of FORMATS."""
    with _opened(content) as image:
        format, (width, height) = image.format or "", image.size
    return Looked(format.lower(), width, height, len(content), hashlib.sha256(content).hexdigest())


def make(content: bytes, sides: Sequence[int] = SIDES) -> Mapping[int, Thumbnail]:
    """Return thumbnails in WebP by their longest side, none larger than the picture itself.

    Turned as the camera was held, and without what else the file tells (places, names). Of a
    moving picture the first frame. Raises ImageRefused.
    """
    from PIL import ImageOps

    found: dict[int, Thumbnail] = {}
    with _opened(content) as image:
        try:
            image.draft("RGB", (max(sides), max(sides)))  # a JPEG is decoded at a fraction
            image.load()
            mode = "RGBA" if image.has_transparency_data else "RGB"
            # Converted and turned once it is small, if it can be: a copy of the largest has 50 MB.
            is_plain = image.mode in PLAIN_MODES and "transparency" not in image.info
            whole: Image = image if is_plain else image.convert(mode)
            whole.thumbnail((max(sides), max(sides)))
            whole = ImageOps.exif_transpose(whole.convert(mode))
        except Exception as error:  # what is damaged has its decoder raise whatever it may
            raise ImageRefused("the image is damaged") from error
        for side in sorted(sides, reverse=True):
            whole.thumbnail((side, side))
            found[side] = _encoded(whole)
    return found


def _opened(content: bytes) -> "Image":
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our limit is below
            image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageRefused(f"this is no image of a known format ({', '.join(FORMATS)})") from None
    except Exception as error:
        raise ImageRefused("the image is damaged, or far too large") from error
    width, height = image.size
    # A JPEG of several pictures, as cameras make them, is a format of its own to Pillow.
    format = "JPEG" if image.format == "MPO" else image.format or ""
    most = MAX_PIXELS[format]
    if width * height > most:
        image.close()
        raise ImageRefused(f"a {format} has at most {most // 1_000_000} million pixels")
    return image


def _encoded(image: "Image") -> Thumbnail:
    for quality in QUALITIES:
        output = io.BytesIO()
        image.save(output, "WEBP", quality=quality, method=4)
        if output.tell() <= MAX_THUMBNAIL_BYTES:
            break
    data = base64.b64encode(output.getvalue()).decode()
    return Thumbnail(format="webp", width=image.width, height=image.height, data=data)
