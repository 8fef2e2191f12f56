"""The pictures of an order's products: looked at where they are, attached, made small.

Originals stay where they are: a record holds what is known of one, a few hundred bytes, and each
thumbnail is a record of at most 220 KB. So a picture is fetched twice: once to see that it is one
that can be had, once to make it small, which may be in another invocation. A picture that cannot be
had is no reason to stop an order; it is ``refused``, and the reason is shown.
"""

import asyncio
from dataclasses import replace

from lastevent.core.errors import UpstreamLost
from lastevent.services.purchase_orders import thumbnails
from lastevent.services.purchase_orders.images import ImageRefused, Images
from lastevent.services.purchase_orders.records import Image, OrderRecords, merged

FETCHES = 2
"""How often a picture is fetched whose host does not answer."""


class Pictures:
    """Those of one merchant's products, for an order. ``shrinking`` is held while one is made
    small."""

    def __init__(
        self, records: OrderRecords, images: Images, order: str, shrinking: asyncio.Lock
    ) -> None:
        self._records = records
        self._order = order
        self._images = images
        self._shrinking = shrinking

    async def attach(self, url: str, skus: list[str]) -> None:
        """Attach the picture at an address to these products, if it can be had.

        One that was refused is asked for again by another order only: this one has waited for its
        host already, perhaps in an earlier invocation.
        """
        known = await self._records.image(url)
        if known is None or (known.state == "refused" and known.order != self._order):
            known = await self._look(url)
            await self._records.put_image(known)
        if known.state != "refused":
            for sku in skus:
                await self._records.change_product(sku, lambda it: merged(it, (url,)))

    async def shrink(self, url: str) -> None:
        """Make the thumbnails of a picture that is attached, unless they are there."""
        image = await self._records.image(url)
        if image is None or image.state != "attached":
            return
        try:
            content = await self._fetch(url)
            async with self._shrinking:
                made = await asyncio.to_thread(thumbnails.make, content)
        except (ImageRefused, UpstreamLost) as error:
            await self._records.put_image(replace(image, state="refused", error=str(error)))
            return
        for side, thumbnail in made.items():
            await self._records.put_thumbnail(url, side, thumbnail)
        sides = tuple(sorted(made))
        await self._records.put_image(replace(image, state="processed", thumbnails=sides))

    async def known(self, urls: list[str]) -> list[Image]:
        """Return what is known of the pictures at these addresses."""
        found = [await self._records.image(url) for url in urls]
        return [image for image in found if image is not None]

    async def _look(self, url: str) -> Image:
        try:
            content = await self._fetch(url)
            if not await asyncio.to_thread(thumbnails.available):
                return Image(url=url, state="attached", order=self._order, size=len(content))
            looked = await asyncio.to_thread(thumbnails.look, content)
        except (ImageRefused, UpstreamLost) as error:
            return Image(url=url, state="refused", order=self._order, error=str(error))
        return Image(
            url=url,
            state="attached",
            order=self._order,
            format=looked.format,
            width=looked.width,
            height=looked.height,
            size=looked.size,
            sha256=looked.sha256,
        )

    async def _fetch(self, url: str) -> bytes:
        for _ in range(FETCHES - 1):
            try:
                return await self._images.fetch(url)
            except UpstreamLost:
                continue
        return await self._images.fetch(url)
