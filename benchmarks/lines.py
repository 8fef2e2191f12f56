"""How a process of the load generator speaks to the run that started it: by lines."""

import json
from collections.abc import Mapping


def say(line: str) -> None:
    """Write ``line`` to standard output, whole."""
    # With PYTHONUNBUFFERED, print() drops what a pipe does not take at once.
    with open(1, "wb", closefd=False) as out:
        out.write(line.encode() + b"\n")


def answer(result: Mapping[str, object]) -> None:
    """Say the result, as JSON."""
    say(json.dumps(result))
