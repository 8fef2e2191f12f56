"""Builds what Vercel would deploy, with Vercel's own command line: offline from its services.

    python -m infra.vercel.build [DIRECTORY] [--with PACKAGE …]        default: dist/vercel

No login and no token is used, and nothing is sent anywhere; the Python packages come from the index
that this machine's uv is set to. The build works on a copy of what `vercel deploy` would upload:
the files that git does not ignore, as they are now. So nothing that it writes lands in the checkout
(`.vercel/`, `uv.lock`), and nothing ships that a checkout on Vercel would lack.

DIRECTORY gets Vercel's Build Output (https://vercel.com/docs/build-output-api), every file of the
function in place (`--standalone`). It is replaced as a whole, once the build has succeeded.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLI = ROOT / "node_modules" / "vercel" / "dist" / "vc.js"
OUTPUT = ROOT / "dist" / "vercel"
BUILD_SECONDS = 300.0
GIT_SECONDS = 30.0

# What `vercel link` writes: with it the command asks nobody which project this is.
PROJECT = {"projectId": "prj_local", "orgId": "team_local", "settings": {}}


class BuildFailed(RuntimeError):
    """There is no output; the message says why, and ends with what the command said."""


def main() -> int:
    """Build as the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", nargs="?", type=Path, default=OUTPUT)
    parser.add_argument("--with", nargs="+", default=[], dest="packages", metavar="PACKAGE")
    arguments = parser.parse_args()
    directory: Path = arguments.directory.resolve()
    try:
        build(directory, arguments.packages)
    except BuildFailed as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{directory} holds what Vercel would deploy")
    return 0


def build(directory: Path, packages: Sequence[str] = ()) -> None:
    """Build into ``directory``, in place of what is there; raise BuildFailed.

    ``packages``: names of more packages that the function is to hold (`prepare`).
    """
    if not CLI.is_file():
        raise BuildFailed("Vercel's command line is not installed: npm ci --ignore-scripts")
    node = shutil.which("node")
    if node is None:
        raise BuildFailed("node is not on PATH: Vercel's command line needs Node 20 or newer")
    with tempfile.TemporaryDirectory(prefix="lastevent-vercel-") as scratch:
        tree, output = Path(scratch, "tree"), Path(scratch, "output")
        _copy_tree(tree)
        (tree / ".vercel").mkdir()
        (tree / ".vercel" / "project.json").write_text(json.dumps(PROJECT))
        command = [
            *(node, str(CLI), "build", "--yes", "--standalone", "--output", str(output)),
            # Of its own, so that no login of this machine's user is found.
            *("--global-config", str(Path(scratch, "config"))),
        ]
        said = _run(command, tree, _environment(tree, packages))
        if not (output / "functions").is_dir():
            raise BuildFailed(f"the build made no function:\n{said}")
        directory.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(directory, ignore_errors=True)
        shutil.move(output, directory)


def _copy_tree(tree: Path) -> None:
    """Copy what `vercel deploy` would upload."""
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    try:
        listing = subprocess.run(
            [*git, "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildFailed(f"git does not say which files belong to the project: {error}") from error
    for name in filter(None, listing.split("\0")):
        source, target = ROOT / name, tree / name
        if source.is_file():  # a file that is still listed may be deleted already
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def _environment(tree: Path, packages: Sequence[str]) -> dict[str, str]:
    """Return the user's environment with what belongs to the build, without what would change it.

    `build.env` of vercel.json is read by `vercel deploy` and by Vercel, not by `vercel build`.
    """
    users = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("VERCEL", "NOW_", "PYTHON")) and name != "VIRTUAL_ENV"
    }
    configured: Mapping[str, str] = json.loads((tree / "vercel.json").read_text())["build"]["env"]
    path = [str(Path(sys.executable).parent), *os.get_exec_path()]  # uv is installed beside Python
    return {
        **users,
        **configured,
        "BUNDLE_PACKAGES": " ".join(packages),
        "PATH": os.pathsep.join(path),
        "VERCEL_TELEMETRY_DISABLED": "1",
        "NO_UPDATE_NOTIFIER": "1",
    }


def _run(command: list[str], directory: Path, environment: Mapping[str, str]) -> str:
    """Run a command and what it starts within the time limit; return what it said."""
    process = subprocess.Popen(
        command,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=BUILD_SECONDS)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise BuildFailed(f"vercel build was not done in {BUILD_SECONDS:.0f} s") from None
        raise
    if process.returncode != 0:
        raise BuildFailed(f"vercel build failed ({process.returncode}):\n{said.strip()}")
    return said


if __name__ == "__main__":
    sys.exit(main())
