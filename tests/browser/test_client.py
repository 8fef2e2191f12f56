"""The browser's client under Node, and the types of all that the pages are made of."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.project.tree import ROOT

pytestmark = pytest.mark.browser

LIMIT_SECONDS = 55.0
SUITES = sorted((ROOT / "tests" / "browser" / "client").glob("*.test.js"))
COMPILER = ROOT / "node_modules" / "typescript" / "bin" / "tsc"


def run(*command: str | Path, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run a command of Node's, and return how it ended."""
    return subprocess.run(
        ["node", *command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.name.partition(".")[0])
def test_under_node(suite: Path) -> None:
    ended = run("--test", suite)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\n# fail 0\n" in ended.stdout
    assert "\n# pass 0\n" not in ended.stdout


def test_there_are_suites() -> None:
    assert {path.name for path in SUITES} >= {"follower.test.js", "stream.test.js", "sse.test.js"}


def test_the_types_are_right() -> None:
    ended = run(COMPILER, "--project", ROOT)
    assert ended.returncode == 0, ended.stdout


def test_a_wrong_type_is_found(tmp_path: Path) -> None:
    wrong = f'import {{ Stream }} from "{ROOT}/public/lastevent.js";\nnew Stream(7);\n'
    (tmp_path / "wrong.js").write_text(wrong)
    project = {"extends": f"{ROOT}/tsconfig.json", "include": ["*.js"], "exclude": []}
    (tmp_path / "tsconfig.json").write_text(json.dumps(project))
    ended = run(COMPILER, "--project", tmp_path)
    assert "wrong.js(2,12): error TS2345" in ended.stdout
