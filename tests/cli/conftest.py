import contextlib
import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lastevent.cli import main
from tests.cli.command import Invoke, Server, environment, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A development server, shared by the tests of a module: each uses streams of its own."""
    with running(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def stream(request: pytest.FixtureRequest) -> str:
    """A stream's name that no other test uses."""
    return f"test:{abs(hash(request.node.nodeid)):x}"


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs a command within the test's process, in a directory of its own: the same, but sooner."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            for name in os.environ.keys() - environment().keys():
                patch.delenv(name)
            for name, value in variables.items():
                patch.setenv(name, value)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main(arguments)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    return run
