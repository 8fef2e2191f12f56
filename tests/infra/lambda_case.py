"""What the tests of the Lambda emulator share: functions to run, and waits that end."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.local.aws import EnvironmentState, LambdaFunction

FUNCTIONS = Path(__file__).parent / "lambda_functions"
WAIT_SECONDS = 10.0


def function(directory: Path, handler: str, **options: Any) -> LambdaFunction:
    """Return a function on a copy of the handlers, not yet started."""
    built = directory / "built"
    shutil.copytree(FUNCTIONS, built, ignore=shutil.ignore_patterns("__pycache__"))
    return LambdaFunction(built, handler, data=directory / "data", **options)


def streaming(directory: Path, **options: Any) -> LambdaFunction:
    """Return a function on the runtime that streams, not yet started."""
    return function(directory, "none.none", wrapper="/var/task/streaming", **options)


def wait_for[Result](what: Callable[[], Result]) -> Result:
    """Return what ``what`` returns once that is true."""
    until = time.monotonic() + WAIT_SECONDS
    while not (result := what()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)
    return result


def living(function: LambdaFunction) -> list[EnvironmentState]:
    """Return the execution environments that have not ended."""
    return [one for one in function.environments if one.ended is None]


def frozen(function: LambdaFunction) -> EnvironmentState:
    """Wait until the only environment that lives is frozen; return it."""

    def look() -> EnvironmentState | None:
        (one,) = living(function)
        return one if one.frozen else None

    found = wait_for(look)
    assert found
    return found
