"""A development check of this checkout, and a preview whose log is worth watching.

    python examples/preview.py [DIRECTORY]

Looks through the Python, JavaScript and Markdown files, with a line for each, and warns on stderr.
Then it stays, checks again what changes, and sums up every five seconds. TERM ends it.
"""

import ast
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = {".py", ".js", ".md"}
NOT_OURS = {"node_modules", "vendor", "dist", "__pycache__"}
LONGEST_MODULE = 300
LONGEST_LINE = 100
LOOK_SECONDS = 1.0
SUM_UP_LOOKS = 5

RED, GREEN, YELLOW, DIM = "31", "32", "33", "2"
WIDTH = 72

JS_FUNCTION = re.compile(
    r"\bfunction\b|=>|^\s+(?:async |static |get |set |#)*\w+\([^()]*\) \{", re.M
)


def colour(text: str, code: str) -> str:
    """Return text in a colour, as terminals understand it (ECMA-48, SGR)."""
    return f"\x1b[{code}m{text}\x1b[0m"


@dataclass(frozen=True, slots=True)
class Checked:
    """What one file looks like: an ``error`` makes it unfit, ``warnings`` do not."""

    path: Path
    lines: int
    size: int
    parts: str = ""
    error: str = ""
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        verdict = colour("ok  ", GREEN)
        if self.warnings:
            verdict = colour("long", YELLOW)
        if self.error:
            verdict = colour("BAD ", RED)
        size = f"{self.lines:6,} lines {self.size / 1024:7.1f} KiB"
        return f"{verdict} {self.path!s:<46} {size}  {colour(self.parts, DIM)}"


def check(path: Path, name: Path) -> Checked:
    """Read and parse one file; ``name`` is how it is called in the log."""
    data = path.read_bytes()
    text = data.decode("utf-8", "replace")
    rows = text.splitlines()
    parts, error = "", ""
    warnings: list[str] = []
    if path.suffix == ".py":
        parts, error = python_parts(text)
        if len(rows) > LONGEST_MODULE:
            warnings.append(f"{name}: {len(rows)} lines; {LONGEST_MODULE} are plenty for a module")
        for number, row in enumerate(rows, 1):
            if len(row) > LONGEST_LINE:
                warnings.append(f"{name}:{number}: {len(row)} columns")
    elif path.suffix == ".js":
        parts = f"{len(JS_FUNCTION.findall(text))} functions"
    else:
        parts = f"{sum(row.startswith('#') for row in rows)} headings"
        if sum(row.lstrip().startswith("```") for row in rows) % 2:
            error = "a fence is not closed"
    return Checked(name, len(rows), len(data), parts, error, tuple(warnings))


def python_parts(text: str) -> tuple[str, str]:
    """Return what a module is made of, and why it is none."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        return "", str(error)
    nodes = list(ast.walk(tree))
    functions = sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes)
    classes = sum(isinstance(node, ast.ClassDef) for node in nodes)
    return f"{functions} functions, {classes} classes", ""


@dataclass(slots=True)
class Watcher:
    """Knows the files of a directory, and when each was last changed."""

    root: Path
    times: dict[Path, float] = field(default_factory=dict)
    checked: dict[Path, Checked] = field(default_factory=dict)

    def changes(self) -> tuple[list[Path], list[Path]]:
        """Return the files that are new or changed since the last look, and those that went."""
        times = dict(self._files(self.root))
        changed = sorted(path for path, time in times.items() if self.times.get(path) != time)
        gone = sorted(self.times.keys() - times.keys())
        self.times = times
        return changed, gone

    def check(self, path: Path) -> Checked | None:
        """Check one file; None if it went away meanwhile."""
        try:
            found = check(path, path.relative_to(self.root))
        except OSError:
            return None
        self.checked[path] = found
        return found

    def _files(self, directory: Path) -> Iterator[tuple[Path, float]]:
        try:
            entries = list(os.scandir(directory))
        except OSError:
            return
        for entry in entries:
            if entry.name.startswith(".") or entry.name in NOT_OURS:
                continue
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                yield from self._files(path)
            elif path.suffix in SUFFIXES and entry.is_file():
                yield path, entry.stat().st_mtime


def say(text: str) -> None:
    """Write a line over the progress line."""
    sys.stdout.write(f"\r{text:<{WIDTH}}\n")
    sys.stdout.flush()


def progress(text: str) -> None:
    """Write a line that the next one replaces."""
    sys.stdout.write(f"\r{colour(text, DIM):<{WIDTH}}")
    sys.stdout.flush()


def warn(checked: Checked) -> None:
    """Write what is wrong with a file to stderr."""
    if checked.error:
        print(colour(f"{checked.path}: {checked.error}", RED), file=sys.stderr, flush=True)
    for warning in checked.warnings:
        print(f"warning: {warning}", file=sys.stderr, flush=True)


def look(watcher: Watcher) -> None:
    """Check what has changed since the last look."""
    changed, gone = watcher.changes()
    for path in gone:
        watcher.checked.pop(path, None)
        say(f"{colour('gone', DIM)} {path.relative_to(watcher.root)}")
    for number, path in enumerate(changed, 1):
        progress(f"  checking {number} of {len(changed)}, {100 * number // len(changed)} %")
        if (checked := watcher.check(path)) is not None:
            warn(checked)
            say(str(checked))


def memory_mib() -> float:
    """Return this process's memory: what is resident now, where the system tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


def summary(watcher: Watcher, began: float) -> str:
    """Return the figures of now."""
    found = watcher.checked.values()
    bad = sum(bool(checked.error) for checked in found)
    verdict = colour("all parse", GREEN) if not bad else colour(f"{bad} do not parse", RED)
    return (
        f"{time.strftime('%H:%M:%S')}  {len(found)} files, "
        f"{sum(checked.lines for checked in found):,} lines, {verdict}  "
        f"load {os.getloadavg()[0]:.2f}  memory {memory_mib():.1f} MiB  "
        f"up {time.monotonic() - began:.0f} s"
    )


def main() -> int:
    """Check everything, then watch, until TERM or Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    began = time.monotonic()
    watcher = Watcher(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT)
    say(f"Checking {colour(watcher.root.name, '1')} with Python {sys.version.split()[0]}")
    try:
        look(watcher)
        say(f"Looked at everything in {time.monotonic() - began:.1f} s. Watching for changes.")
        while True:
            say(summary(watcher, began))
            for left in range(SUM_UP_LOOKS, 0, -1):
                progress(f"  watching {len(watcher.times)} files, next summary in {left} s")
                time.sleep(LOOK_SECONDS)
                look(watcher)
    except KeyboardInterrupt:
        return 130
    finally:
        say(f"Stopped after {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    sys.exit(main())
