"""Writes the pinned requirements from pyproject.toml: `make lock`, or `make lock UPGRADE=1`.

    requirements/runtime.txt   what a deployed function needs
    requirements/lambda.txt    the same versions, and what one needs on AWS Lambda
    requirements/dev.txt       the same versions, the extras and the development tools
    requirements/sam.txt       what sam.in names, for an environment of its own (.venv-sam): its
                               pins and ours exclude each other
    requirements/peers.txt     what peers.in names, for another (.venv-peers), with our versions
                               where both have one

and repeats runtime.txt's versions in `[tool.uv] constraint-dependencies`, because a platform that
builds from pyproject.toml never sees the requirements files.

Versions already pinned stay as they are unless `--upgrade` is given. uv runs in a directory of
its own: there it meets the user's configuration, but not the constraints that it is to renew, and
no path of this machine gets into its comments.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = ROOT / "pyproject.toml"
CONSTRAINTS = re.compile(r"^constraint-dependencies = \[\n.*?^\]\n", re.MULTILINE | re.DOTALL)
UV = [
    *("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.12"),
    *("--generate-hashes", "--no-emit-index-url", "--no-header"),
]


def compile_pins(directory: Path, name: str, wanted: list[str], *options: str) -> None:
    """Pins `wanted` and all that it needs in requirements/`name`.txt."""
    pinned = ROOT / "requirements" / f"{name}.txt"
    output = directory / pinned.name
    if pinned.exists():
        output.write_text(pinned.read_text())
    (directory / f"{name}.in").write_text("".join(f"{line}\n" for line in wanted))
    command = [*UV, f"{name}.in", "--output-file", output.name, *options]
    subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL)
    pinned.parent.mkdir(exist_ok=True)
    if not pinned.exists() or pinned.read_text() != output.read_text():
        pinned.write_text(output.read_text())


def pins(requirements: str) -> list[str]:
    """The pinned requirements, without hashes and comments, as uv wrote and sorted them."""
    lines = (line.removesuffix("\\").strip() for line in requirements.splitlines())
    return [line for line in lines if line and not line.startswith(("#", "--hash="))]


def main() -> None:
    upgrade = ["--upgrade"] if "--upgrade" in sys.argv[1:] else []
    document = tomllib.loads(PYPROJECT.read_text())
    project = document["project"]
    runtime: list[str] = project["dependencies"]
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    tools: list[str] = document["dependency-groups"]["dev"]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        compile_pins(directory, "runtime", runtime, *upgrade)
        optional = project["optional-dependencies"]
        on_lambda = [*runtime, *optional["lambda"], *optional["images"]]
        compile_pins(directory, "lambda", on_lambda, "--constraints", "runtime.txt", *upgrade)
        development = [*runtime, *extras, *tools]
        compile_pins(directory, "dev", development, "--constraints", "lambda.txt", *upgrade)
        sam = (ROOT / "requirements" / "sam.in").read_text().splitlines()
        compile_pins(directory, "sam", sam, *upgrade)
        peers = (ROOT / "requirements" / "peers.in").read_text().splitlines()
        compile_pins(directory, "peers", peers, "--constraints", "dev.txt", *upgrade)
    quoted = "".join(
        f'    "{line.replace('"', "'")}",\n'
        for line in pins((ROOT / "requirements" / "runtime.txt").read_text())
    )
    before = PYPROJECT.read_text()
    after, found = CONSTRAINTS.subn(lambda _: f"constraint-dependencies = [\n{quoted}]\n", before)
    if found != 1:
        sys.exit("pyproject.toml: expected one constraint-dependencies list under [tool.uv]")
    if after != before:
        PYPROJECT.write_text(after)


if __name__ == "__main__":
    main()
