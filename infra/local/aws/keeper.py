"""Kills process groups when their owner has gone, however it went.

    python -I -S infra/local/aws/keeper.py

Reads `+ID` and `-ID` lines from its input: groups to remember, and to forget. At the input's end it
kills those it remembers. SIGKILL, because a process that is frozen obeys nothing else.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Remember and forget until the input ends."""
    groups: set[int] = set()
    for line in sys.stdin:
        sign, group = line[0], int(line[1:])
        if sign == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
