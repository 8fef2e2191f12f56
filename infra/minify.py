"""Makes public/lastevent.min.js, the client with its parser in one small file: `make vendor`.

The pages of this server import the modules as they are written; the one file is for pages elsewhere
that want few requests. esbuild, pinned by package-lock.json, does the work.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "public" / "lastevent.js"
MINIFIED = ROOT / "public" / "lastevent.min.js"

LIMIT_SECONDS = 60.0
LICENCES = "/*! lastevent, eventsource-parser: MIT */"
FORM = ("--bundle", "--format=esm", "--target=es2022", "--log-level=warning")
INTERNAL = (
    "begin",
    "failures",
    "hasMoved",
    "hasProven",
    "hear",
    "heartbeat",
    "hold",
    "ms",
    "over",
    "pause",
    "position",
    "stop",
    "take",
    # The parser's.
    "feed",
    "field",
    "line",
    "maxBufferSize",
    "onError",
    "onId",
)
"""Properties of values that stay within the client, which may be called anything."""

UNUSED = (
    (r'"`config` must be an object.*?"', '""'),
    (r'"Cannot feed parser: it was terminated.*?"', '""'),
    (r'`Invalid \\`retry\\` value: .*?"`', '""'),
    (r'`Unknown field ".*?"`(?=, \{)', '""'),
    (r"\bonComment, ", ""),
    (r", onRetry(?= \} = )", ""),
    (r"  function reset\(.*?(?=  return \{ feed)", ""),
    (r"return \{ feed, reset \}", "return { feed }"),
)
"""What of the parser the client does not use, and what is there instead: words about mistakes that
it does not make or passes over, two callbacks it does not give, and beginning anew."""

NEVER = "const onComment = void 0, onRetry = void 0;\n"
CONSTANT = re.compile(r'^var ([A-Z_]+\d* = (?:[\d_e* ]+|"[^"]*"));\n', re.MULTILINE)


def minified(source: Path) -> str:
    """``source`` and all that it imports as one module; raises CalledProcessError."""
    whole = _esbuild(str(source))
    for pattern, instead in UNUSED:
        whole, found = re.subn(pattern, instead, whole, flags=re.DOTALL)
        assert found == 1, f"the parser has {found} times {pattern}"
    # esbuild puts the values of constants in their places where these stand before all else.
    constants = "".join(f"const {constant};\n" for constant in CONSTANT.findall(whole))
    return _esbuild(
        *("--minify", f"--banner:js={LICENCES}", f"--mangle-props=^({'|'.join(INTERNAL)})$"),
        text=constants + NEVER + CONSTANT.sub("", whole),
    )


def _esbuild(*arguments: str, text: str = "") -> str:
    """Run esbuild over a file, or over ``text``; return what it makes of it."""
    command = ROOT / "node_modules" / "esbuild" / "bin" / "esbuild"
    ended = subprocess.run(
        ["node", command, *FORM, *arguments],
        input=text,
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
