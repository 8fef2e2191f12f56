"""Copies the browser's libraries, with their licences, out of node_modules: `make vendor`.

The pages need no build step and no CDN: what they import lies in public/vendor/, pinned by
package-lock.json. hashes.json records what was copied, so that a test notices a copy that somebody
edited, or that no longer is what the lock pins.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "node_modules"
VENDOR = ROOT / "public" / "vendor"
RECORD = VENDOR / "hashes.json"

FILES = {
    "ansi_up": ("ansi_up.js", "ansi_up.d.ts", "LICENSE"),
    "eventsource-parser": (
        *("dist/index.js", "dist/parse.js", "dist/errors.js"),
        *("dist/index.d.ts", "dist/parse.d.ts", "dist/errors.d.ts", "dist/types.d.ts"),
        "LICENSE",
    ),
    "uplot": ("dist/uPlot.esm.js", "dist/uPlot.min.css", "dist/uPlot.d.ts", "LICENSE"),
}
"""By package, the files that are copied, all into one directory."""

RENAMED = {"uPlot.d.ts": "uPlot.esm.d.ts"}
"""Types lie beside what they describe, under its name: there tsc looks for them."""


def locked_version(package: str) -> str:
    """The version that package-lock.json pins."""
    lock = json.loads((ROOT / "package-lock.json").read_text())
    return str(lock["packages"][f"node_modules/{package}"]["version"])


def installed_version(package: str) -> str:
    """The version in node_modules."""
    return str(json.loads((MODULES / package / "package.json").read_text())["version"])


def copied_name(name: str) -> str:
    """The name under which a file of a package lies in public/vendor."""
    base = Path(name).name
    return RENAMED.get(base, base)


def sha256(path: Path) -> str:
    """The hash of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> int:
    """Copy the files and write the record."""
    record: dict[str, dict[str, object]] = {}
    for package, names in FILES.items():
        version = locked_version(package)
        if installed_version(package) != version:
            print(f"node_modules holds another {package} than {version}: run npm ci")
            return 1
        goal = VENDOR / package
        shutil.rmtree(goal, ignore_errors=True)
        goal.mkdir(parents=True)
        for name in names:
            shutil.copyfile(MODULES / package / name, goal / copied_name(name))
        hashes = {path.name: sha256(path) for path in sorted(goal.iterdir())}
        record[package] = {"version": version, "sha256": hashes}
    RECORD.write_text(json.dumps(record, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
