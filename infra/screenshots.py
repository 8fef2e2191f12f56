"""Takes the pictures in docs/images: `make screenshots`, or python -m infra.screenshots [NAME …].

Each page of scenes.py, light and dark, on a wide screen and on a narrow one. Times and ids differ
from run to run; what is shown does not.
"""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.async_api import Browser, async_playwright

from infra.scenes import ROOT, SCENES, Scene, Stage, stage

IMAGES = ROOT / "docs" / "images"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SIZES = {"wide": (1180, 760), "narrow": (320, 640)}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WAIT_MS = 60_000
REST_MS = 400
COLOURS = 96
LARGEST_BYTES = 200_000


async def take(browser: Browser, stage: Stage, scene: Scene) -> list[Path]:
    """Set the scene and return its four pictures."""
    address = await scene.set(stage)
    pictures = []
    for size, (width, height) in SIZES.items():
        for scheme in SCHEMES:
            context = await browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                reduced_motion="reduce",
                locale="en-GB",
                timezone_id="UTC",
            )
            context.set_default_timeout(WAIT_MS)
            page = await context.new_page()
            await scene.enter(page, stage, address)
            await page.wait_for_timeout(REST_MS)
            picture = IMAGES / f"{scene.name}-{size}-{scheme}.png"
            await page.screenshot(path=picture)
            shrink(picture)
            pictures.append(picture)
            await context.close()
    return pictures


def shrink(picture: Path) -> None:
    """Keep the colours that count: a page has few, and the repository keeps every picture."""
    with Image.open(picture) as image:
        reduced = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    reduced.save(picture, optimize=True)


async def take_all(chromium: str, names: list[str]) -> list[Path]:
    """Take the pictures of the scenes with these names; of all, where there are none."""
    pictures: list[Path] = []
    with tempfile.TemporaryDirectory() as directory:
        async with stage(Path(directory)) as set_up, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            for scene in SCENES:
                if not names or scene.name in names:
                    print(scene.name, flush=True)
                    pictures += await take(browser, set_up, scene)
            await browser.close()
    return pictures


def main() -> int:
    """Take pictures; return the exit code."""
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        print("There is no Chromium: make prerequisites")
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    pictures = asyncio.run(take_all(chromium, sys.argv[1:]))
    too_large = [picture for picture in pictures if picture.stat().st_size > LARGEST_BYTES]
    for picture in too_large:
        print(f"{picture.relative_to(ROOT)} is over {LARGEST_BYTES} bytes")
    return 1 if too_large else 0


if __name__ == "__main__":
    sys.exit(main())
