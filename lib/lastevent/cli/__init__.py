"""The ``lastevent`` command. One module a subcommand, each imported whole only when it is called.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted; ``run`` ends with its
command's own.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from lastevent import __version__
from lastevent.cli import doctor, init, mint, publish, run, serve, tail
from lastevent.core.errors import ConfigError, LastEventError

COMMANDS = (serve, init, publish, tail, run, mint, doctor)
"""Modules, each with ``add(commands)``, which adds its parser and names the function to call."""

FAILED = 1
MISUSED = 2
INTERRUPTED = 130
PIPE_CLOSED = 141


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command."""
    whole = argparse.ArgumentParser(
        prog="lastevent",
        description="An endless event stream, served by functions that may only live for seconds.",
        epilog="lastevent COMMAND --help says more about a command.",
    )
    whole.add_argument("--version", action="version", version=f"lastevent {__version__}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return whole


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` names; return its exit code."""
    args = parser().parse_args(argv)
    try:
        code: int = args.call(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough. What is still buffered goes nowhere, lest the
        # interpreter trip over it when it ends (Python's documentation of signal, on SIGPIPE).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except LastEventError as error:
        print(f"lastevent: {error}", file=sys.stderr)
        return MISUSED if isinstance(error, ConfigError) else FAILED
    return code
