"""The AWS SAM CLI of .venv-sam, offline and without telemetry, and what it builds."""

import fcntl
import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.project.tree import ROOT

SAM = ROOT / ".venv-sam"
FUNCTIONS = ("StreamFunction", "ApiFunction")
BUILD_SECONDS = 240.0


def run(
    command: str, *arguments: str, home: Path, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of .venv-sam in the checkout. ``home``: where its own files go."""
    assert SAM.is_dir(), ".venv-sam is missing: make test makes it"
    return subprocess.run(
        [SAM / "bin" / command, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "__SAM_CLI_APP_DIR": str(home),
            "SAM_CLI_TELEMETRY": "0",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        },
        input=given,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )


@cache
def source() -> dict[str, Any]:
    """Return template.yaml as it is written."""
    template: dict[str, Any] = yaml.safe_load((ROOT / "template.yaml").read_text())
    return template


@cache
def translated(home: Path) -> dict[str, Any]:
    """Return template.yaml as CloudFormation gets it."""
    script = str(Path(__file__).with_name("translate_template.py"))
    translation = run("python", script, home=home, given=json.dumps(source()))
    assert translation.returncode == 0, translation.stderr
    template: dict[str, Any] = json.loads(translation.stdout)
    return template


def built(factory: pytest.TempPathFactory) -> Path:
    """Return where `sam build` has put the functions: once for all workers of a test run."""
    base = factory.getbasetemp()
    # A worker of pytest-xdist has a directory of its own in that of the run.
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "sam"
    directory.mkdir(exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "built").exists():
            building = run("sam", "build", "--build-dir", str(directory / "build"), home=directory)
            assert building.returncode == 0, building.stdout + building.stderr
            (directory / "built").touch()
    return directory / "build"
