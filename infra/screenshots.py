"""Takes the pictures in docs/images: `make screenshots`.

A server of its own runs the same preview as `make run`, and a browser follows its log until a few
planned ends have passed.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SIZE = (1180, 600)
PLANNED_ENDS = 2
WAIT_MS = 60_000
STOP_SECONDS = 15.0
LARGEST_BYTES = 200_000


def start(directory: str, port: int) -> "subprocess.Popen[bytes]":
    """Start a server with the preview that `make run` shows."""
    environ = {
        "LASTEVENT_DATA_DIR": directory,
        "LASTEVENT_STORE_URL": f"sqlite:///{directory}/pictures.db",
        "LASTEVENT_MAX_LEG_SECONDS": "4",
        "LASTEVENT_PREVIEW_COMMANDS": f"checkout={sys.executable} examples/preview.py",
    }
    command = [sys.executable, "-m", "lastevent.cli", "serve", "--port", str(port)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environ, stdin=quiet, stdout=quiet, stderr=quiet
    )


def take(browser: Browser, url: str, scheme: Literal["light", "dark"]) -> Path:
    """Follow the preview, starting it if none runs; return the picture."""
    width, height = SIZE
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.set_default_timeout(WAIT_MS)
    page.goto(f"{url}/previews")
    page.get_by_role("button", name="Start checkout").wait_for()
    if not page.locator("#previews li").count():
        page.get_by_role("button", name="Start checkout").click()
    page.wait_for_function(
        "least => parseInt(document.getElementById('planned').textContent) >= least",
        arg=PLANNED_ENDS,
    )
    picture = IMAGES / f"previews-{scheme}.png"
    page.screenshot(path=picture)
    page.close()
    return picture


def main() -> int:
    """Take all pictures."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        print("There is no Chromium: make prerequisites")
        return 1
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        server = start(directory, port)
        try:
            browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
            url = f"http://127.0.0.1:{port}"
            wait_for(browser, url)
            pictures = [take(browser, url, scheme) for scheme in ("light", "dark")]
            browser.close()
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(STOP_SECONDS)
    too_large = [picture for picture in pictures if picture.stat().st_size > LARGEST_BYTES]
    for picture in too_large:
        print(f"{picture.relative_to(ROOT)} is over {LARGEST_BYTES} bytes")
    return 1 if too_large else 0


def wait_for(browser: Browser, url: str) -> None:
    """Wait until the server answers."""
    page = browser.new_page()
    for _ in range(100):
        try:
            page.goto(f"{url}/api/health")
            break
        except Exception:
            page.wait_for_timeout(100)
    page.close()


if __name__ == "__main__":
    sys.exit(main())
