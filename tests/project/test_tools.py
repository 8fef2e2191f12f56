"""The scripts that `make` calls before there is an environment."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.project.tree import ROOT

FIND_PYTHON = ROOT / "infra" / "find-python"
PREREQUISITES = ROOT / "infra" / "prerequisites"
FITTING = 'echo "$0"'
FAILING = "echo 'no such version is installed' >&2; exit 127"


def command(path: Path, script: str) -> None:
    """Put a shell script where a command is expected."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def run(script: Path, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script with `home`/bin before the system's commands, and `home` as home directory."""
    environment = {"HOME": str(home), "PATH": f"{home / 'bin'}{os.pathsep}{os.defpath}"}
    return subprocess.run(
        [script],
        env={**environment, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home where every Python on PATH is a shim that fails."""
    for name in ("python3.14", "python3.13", "python3.12", "python3", "python"):
        command(tmp_path / "bin" / name, FAILING)
    return tmp_path


def test_a_python_is_chosen_by_running_it(home: Path) -> None:
    command(home / "bin" / "python3.12", FITTING)
    assert run(FIND_PYTHON, home).stdout == f"{home / 'bin' / 'python3.12'}\n"


def test_the_version_managers_pythons_are_tried_last_and_newest_patch_first(home: Path) -> None:
    for version in ("3.11.9", "3.12.2", "3.12.10", "3.13.1"):
        command(home / ".pyenv" / "versions" / version / "bin" / "python", FITTING)
    found = run(FIND_PYTHON, home).stdout
    assert found == f"{home / '.pyenv/versions/3.12.10/bin/python'}\n"


def test_the_version_managers_root_is_respected(home: Path) -> None:
    python = home / "elsewhere" / "versions" / "3.14.0" / "bin" / "python"
    command(python, FITTING)
    assert run(FIND_PYTHON, home, PYENV_ROOT=str(home / "elsewhere")).stdout == f"{python}\n"


def test_a_named_python_comes_first_and_is_not_passed_over_in_silence(home: Path) -> None:
    command(home / "bin" / "python3", FITTING)
    command(home / "mine", FITTING)
    assert run(FIND_PYTHON, home, PYTHON=str(home / "mine")).stdout == f"{home / 'mine'}\n"
    fallen_back = run(FIND_PYTHON, home, PYTHON=str(home / "absent"))
    assert fallen_back.stdout == f"{home / 'bin' / 'python3'}\n"
    assert f"PYTHON={home / 'absent'} cannot be used" in fallen_back.stderr


def test_without_a_python_it_says_what_to_install(home: Path) -> None:
    nothing = run(FIND_PYTHON, home)
    assert nothing.returncode == 1
    assert nothing.stdout == ""
    assert "apt-get install python3.12" in nothing.stderr


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A home of an ordinary user with every tool that the tests need."""
    command(tmp_path / "bin" / "id", "echo 1000")
    command(tmp_path / "bin" / "apt-get", 'echo "apt-get $@"; exit 1')
    command(tmp_path / "bin" / "node", "echo v20.1.0")
    for name in ("npm", "chromium", "nginx"):
        command(tmp_path / "bin" / name, "exit 0")
    return tmp_path


def test_present_prerequisites_need_no_word(tools: Path) -> None:
    checked = run(PREREQUISITES, tools)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.parametrize("user", ["0", "1000"])
def test_an_old_node_is_reported(tools: Path, user: str) -> None:
    """No package manager is asked: it has just this one."""
    command(tools / "bin" / "id", f"echo {user}")
    command(tools / "bin" / "node", "echo v18.19.0")
    checked = run(PREREQUISITES, tools)
    assert checked.returncode == 1
    assert checked.stdout == ""
    assert "Node 20 or newer" in checked.stderr
    assert "nginx" not in checked.stderr


def only_in(home: Path) -> dict[str, str]:
    """A PATH with the commands of `home` and the shell's needs, and no other tool."""
    for name in ("bash", "cat", "chmod", "rm"):
        found = shutil.which(name)
        assert found
        (home / "bin" / name).symlink_to(found)
    return {"PATH": str(home / "bin")}


def test_an_ordinary_user_is_told_what_to_install(tools: Path) -> None:
    (tools / "bin" / "chromium").unlink()
    checked = run(PREREQUISITES, tools, **only_in(tools))
    assert checked.returncode == 1
    assert checked.stdout == ""
    assert "apt-get install chromium\n" in checked.stderr
