"""Makes public/lastevent.min.js, the client with its parser in one small file: `make vendor`.

The pages of this server import the modules as they are written; the one file is for pages elsewhere
that want few requests. esbuild, pinned by package-lock.json, does the work.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "public" / "lastevent.js"
MINIFIED = ROOT / "public" / "lastevent.min.js"

LIMIT_SECONDS = 60.0
LICENCES = "/*! lastevent, eventsource-parser: MIT */"
INTERNAL = (
    "begin",
    "check",
    "failures",
    "hasProven",
    "hear",
    "heartbeat",
    "hold",
    "least",
    "ms",
    "over",
    "pause",
    "position",
    "stop",
    "take",
    "told",
)
"""Properties of values that stay within the client, which may be called anything."""


def minified(source: Path) -> str:
    """``source`` and all that it imports as one module; raises CalledProcessError."""
    esbuild = ROOT / "node_modules" / "esbuild" / "bin" / "esbuild"
    options = (
        *("--bundle", "--minify", "--format=esm", "--target=es2022", "--log-level=warning"),
        *(f"--banner:js={LICENCES}", f"--mangle-props=^({'|'.join(INTERNAL)})$"),
    )
    ended = subprocess.run(
        ["node", esbuild, source, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=LIMIT_SECONDS,
    )
    return ended.stdout


def main() -> int:
    """Write the file."""
    MINIFIED.write_text(minified(SOURCE))
    return 0


if __name__ == "__main__":
    sys.exit(main())
