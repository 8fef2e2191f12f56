"""Starts a command and ends all of it: when told to, or when whoever started this is gone.

    python -I -S guard.py --grace SECONDS -- COMMAND [ARGUMENT…]

Standard input is one end of a socket. Its end of file means *end the command*: the other side shut
it down on purpose, or the kernel did, because the process that held it is dead. Stop and death of
the host are one mechanism. The guard writes the command's process id to it, as a line, once it
runs. TERM to the guard means the same as the end of file.

The command gets a session, and so a process group, of its own, an empty standard input, and our
standard output and error as they are. To end it, TERM goes to the whole group, and KILL after the
grace. When the command itself has ended, KILL goes to what is left of its group. Until then it is
not reaped: a zombie keeps its id, so the group's id cannot have become another's. The guard ends as
the command did, with the same exit code or by the same signal; 127 if there is no such command, 126
if it cannot be run, as shells do (POSIX.1-2024, Shell, 2.8.2).

It stands beside every command, and before its start: so it is one file, and imports little.
"""

import os
import resource
import select
import signal
import sys
import time

NOT_FOUND = 127
NOT_RUNNABLE = 126
LAST_MOMENT = 0.1
"""Seconds for the rest of a group that was told to end, once its leader has."""


def main(arguments: list[str]) -> int:
    """Run the command; return its exit code, or end by its signal."""
    grace, command = float(arguments[1]), arguments[3:]
    signals = catch(signal.SIGCHLD, signal.SIGTERM)
    try:
        pid = os.posix_spawnp(
            command[0],
            command,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
            setsid=True,
            setsigmask=[],
            # Python ignores these, and what is ignored stays so in a child: `yes | head` would run
            # for ever.
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        sys.stderr.write(f"{command[0]}: {'command not found' if missing else error.strerror}\n")
        return NOT_FOUND if missing else NOT_RUNNABLE
    try:  # noqa: SIM105  contextlib would take longer to import than all of the above
        os.write(0, b"%d\n" % pid)
    except OSError:
        pass  # whoever started this is gone already; the end of file says so too
    watch(pid, grace, signals)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        die_by(os.WTERMSIG(status))
    return os.waitstatus_to_exitcode(status)


def catch(*numbers: signal.Signals) -> int:
    """Return a descriptor that the numbers of these signals can be read from, a byte each."""
    caught, wake = os.pipe()
    os.set_blocking(caught, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in numbers:
        signal.signal(number, lambda *_: None)
    return caught


def watch(pid: int, grace: float, signals: int) -> None:
    """Return when the command has ended, with nothing left of its group; do not reap it."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(signals, select.POLLIN)
    told = False
    kill_at = None
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        left = None if kill_at is None else kill_at - time.monotonic()
        if left is not None and left <= 0:
            signal_group(pid, signal.SIGKILL)
            kill_at = left = None
        for fd, _ in poll.poll(None if left is None else left * 1000 + 1):
            said = read(fd)
            over = fd == 0 and not said
            if over:
                poll.unregister(0)
            if not told and (over or (fd == signals and signal.SIGTERM in said)):
                told = True
                signal_group(pid, signal.SIGTERM)
                kill_at = time.monotonic() + grace
    if told:
        time.sleep(LAST_MOMENT)
    signal_group(pid, signal.SIGKILL)


def read(fd: int) -> bytes:
    """Return what has come, nothing at the end."""
    try:
        return os.read(fd, 512)
    except OSError:
        return b""


def signal_group(leader: int, number: int) -> None:
    """Send a signal to all of a group whose leader is not reaped."""
    try:  # noqa: SIM105  as above
        os.killpg(leader, number)
    except PermissionError:
        pass  # all that is left has another user's rights, or is a zombie (macOS says so then)


def die_by(number: int) -> None:
    """End this process by a signal, as the command ended."""
    # The command has left its core file, if it was to leave one; ours would tell nothing.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
