"""What belongs to the project: its files as git sees them, and the code among them."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "lib" / "lastevent"
FUNCTIONS = ROOT / "functions"


def tracked_files() -> list[Path]:
    """Every file that is in git, or would be after `git add --all`; sorted."""
    # The checkout may belong to another user, as in a container that mounts it.
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listing = subprocess.run(
        [*git, "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout
    paths = (ROOT / name for name in sorted(set(listing.split("\0"))) if name)
    return [path for path in paths if path.is_file()]


def code_files() -> list[Path]:
    """The modules of the library and of the functions; sorted."""
    return sorted([*LIBRARY.rglob("*.py"), *FUNCTIONS.rglob("*.py")])


def module_name(path: Path) -> str:
    """The dotted name under which a file of `code_files` is imported."""
    base = LIBRARY.parent if path.is_relative_to(LIBRARY) else ROOT
    parts = path.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def where(path: Path, line: int) -> str:
    """`path:line`, relative to the project, as editors understand it."""
    return f"{path.relative_to(ROOT)}:{line}"
