"""The wheel holds the library, all of it, and nothing else."""

import subprocess
import sys
import tomllib
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

import lastevent
from tests.project.tree import LIBRARY, ROOT, tracked_files

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
INFO = f"lastevent-{VERSION}.dist-info"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=50,
    )
    (built,) = directory.iterdir()
    return built


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = {name for name in ZipFile(wheel).namelist() if not name.startswith(f"{INFO}/")}
    source = [path for path in tracked_files() if path.is_relative_to(LIBRARY)]
    assert names == {path.relative_to(LIBRARY.parent).as_posix() for path in source}
    assert {"lastevent/__init__.py", "lastevent/py.typed"} <= names


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    archive = ZipFile(wheel)
    metadata = Parser().parsestr(archive.read(f"{INFO}/METADATA").decode())
    assert metadata["Name"] == "lastevent"
    assert metadata["Requires-Python"] == ">=3.12"
    assert metadata["License-Expression"] == "MIT"
    assert f"{INFO}/licenses/LICENSE" in archive.namelist()
    entry_points = archive.read(f"{INFO}/entry_points.txt").decode()
    assert "lastevent = lastevent.cli:main" in entry_points


def test_the_version_is_said_once() -> None:
    assert lastevent.__version__ == VERSION
