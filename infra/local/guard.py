"""Runs one command for as long as somebody holds the other end of the standard input.

    python -I infra/local/guard.py COMMAND [ARGUMENT …]

It prints the command's process id, and ends the command when its own input ends: a test process
that was killed leaves no server behind. It ends with the command, and with its exit code.
"""

import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    """Run the command; return its exit code."""
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=sys.stderr)
    print(command.pid, flush=True)

    def end_with_input() -> None:
        # Below Python's own buffer, whose lock a thread that still waits would keep at exit.
        os.read(0, 1)
        command.terminate()
        command.send_signal(signal.SIGCONT)  # a process that was stopped acts on no signal

    threading.Thread(target=end_with_input, daemon=True).start()
    code = command.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
