"""The example that `make run` previews: it looks at real files, stays, and ends when told to."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project.tree import ROOT

EXAMPLE = ROOT / "examples" / "preview.py"
WAIT_SECONDS = 20.0
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Three files to look at, and three that are not ours."""
    files = {
        "good.py": "class A:\n    async def f(self): ...\n\ndef g(): ...\n",
        "docs/page.md": "# One\n\ntext\n\n## Two\n",
        "app.js": "export function f() {}\n",
        "node_modules/x/broken.py": "def (",
        ".hidden/broken.py": "def (",
        "notes.txt": "nothing to parse",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.fixture
def running(checkout: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-I", str(EXAMPLE), str(checkout)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        limit = threading.Timer(WAIT_SECONDS, process.kill)
        limit.start()
        yield process
        limit.cancel()
        process.kill()


def lines_until(process: "subprocess.Popen[bytes]", pattern: str) -> list[str]:
    """Return lines up to the one that matches, as a terminal would show them."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        shown = line.decode().rstrip("\n").rpartition("\r")[2]
        lines.append(COLOURS.sub("", shown).rstrip())
        if re.search(pattern, lines[-1]):
            return lines
    raise AssertionError(f"no {pattern} in {lines}")


def test_it_looks_at_everything_then_stays(
    running: "subprocess.Popen[bytes]", checkout: Path
) -> None:
    lines = lines_until(running, r"\d+:\d+:\d+  3 files, 10 lines, all parse  load .* MiB")
    verdicts = [re.sub(" +", " ", line) for line in lines if line.startswith("ok")]
    assert verdicts == [
        "ok app.js 1 lines 0.0 KiB 1 functions",
        "ok docs/page.md 5 lines 0.0 KiB 2 headings",
        "ok good.py 4 lines 0.0 KiB 2 functions, 1 classes",
    ]
    (checkout / "good.py").write_text("def (\n" + "x = 1  #" + "-" * 100)
    (checkout / "app.js").unlink()
    lines = lines_until(running, "^BAD  good.py")
    assert any(line.startswith("gone app.js") for line in lines)
    running.terminate()
    assert running.wait(WAIT_SECONDS) == 0
    lines_until(running, "Stopped after")
    assert running.stderr is not None
    warnings = COLOURS.sub("", running.stderr.read().decode())
    assert "good.py: invalid syntax" in warnings
    assert "warning: good.py:2: 108 columns" in warnings
