"""A command that runs under a guard, and its output as it comes.

Nothing here blocks the event loop: the pipes are read when they are readable, a chunk at a time.
What has been read and not taken is bounded; over the bound nothing more is read, so that the pipes
fill up and hold the command back.

asyncio's own subprocesses are not used: their transport kills its process, here the guard, with -9
when it is closed or collected, and with them one cannot tell when everything has been read that was
written before the end, if an escaped grandchild keeps a pipe open. Three descriptors and
``add_reader`` do it all, on any event loop.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import time
from typing import IO, Literal, NamedTuple

GUARD = Path(__file__).with_name("guard.py")
START_SECONDS = 10.0
REAP_SECONDS = 5.0
MARGIN_SECONDS = 3.0
"""How long beyond the grace the guard may take before it is ended itself."""

CHUNK_BYTES = 64 * 1024
PIPE_BYTES = 1024 * 1024
"""The most that a pipe holds, unless root made it larger (pipe(7), /proc/sys/fs/pipe-max-size)."""

Channel = Literal["stdout", "stderr"]


class Chunk(NamedTuple):
    """Output as it was read, at ``time`` in Unix ms."""

    channel: Channel
    data: bytes
    time: int


class _Pipe:
    """One end of a pipe that is read without blocking."""

    def __init__(self, channel: Channel, file: IO[bytes]) -> None:
        self.channel = channel
        self.file = file
        os.set_blocking(file.fileno(), False)


class Process:
    """A running command, made by ``start``. Whoever has one calls ``end``, and ``close`` at last.

    ``pid`` is the command's, None if it could not be run: the guard has said why on stderr.
    ``returncode`` is None until it has ended; negative is the number of the signal that ended it.
    """

    def __init__(self, grace_seconds: float, buffer_bytes: int) -> None:
        self.pid: int | None = None
        self.returncode: int | None = None
        self._grace_seconds = grace_seconds
        self._buffer_bytes = buffer_bytes
        self._loop = asyncio.get_running_loop()
        self._control: socket.socket | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._pipes: list[_Pipe] = []
        self._chunks: deque[Chunk] = deque()
        self._held = 0
        self._paused = False
        self._closed = False
        self._started = asyncio.Event()
        self._ended = asyncio.Event()
        self._changed = asyncio.Event()
        self._reaping: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        cwd: str | os.PathLike[str] | None,
        env: Mapping[str, str],
        grace_seconds: float,
        buffer_bytes: int,
    ) -> "Process":
        """Start ``argv`` under a guard; raise OSError if not even that can be started.

        ``env`` is the whole environment. ``grace_seconds`` lie between TERM and KILL at the end,
        ``buffer_bytes`` is what may be read and not taken.
        """
        process = cls(grace_seconds, buffer_bytes)
        try:
            # In a thread, since it waits for the guard's exec.
            await asyncio.to_thread(process._spawn, argv, cwd, env)
            process._listen()
            async with asyncio.timeout(START_SECONDS):
                await process._started.wait()
        except BaseException:
            process.close()
            raise
        return process

    @property
    def is_over(self) -> bool:
        """Whether it has ended and all its output has been taken."""
        return self.returncode is not None and not self._pipes and not self._chunks

    def take(self) -> Chunk | None:
        """Return the next chunk of output, None if there is none now."""
        if not self._chunks:
            return None
        chunk = self._chunks.popleft()
        self._held -= len(chunk.data)
        if self._paused and self._held <= self._buffer_bytes // 2:
            self._resume()
        return chunk

    async def wait(self, timeout: float | None) -> None:
        """Wait until there is output to take, or it is over; ``timeout`` seconds at most."""
        self._changed.clear()
        if not self._chunks and not self.is_over:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._changed.wait()

    async def end(self) -> None:
        """Have the guard end the command; return when both are gone. May be called again.

        What the command wrote can still be taken.
        """
        if self._control is not None:
            with contextlib.suppress(OSError):  # the guard may be gone
                self._control.shutdown(socket.SHUT_WR)
        try:
            async with asyncio.timeout(self._grace_seconds + MARGIN_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            self._kill()
            try:
                async with asyncio.timeout(REAP_SECONDS):
                    await self._ended.wait()
            except TimeoutError:  # the kernel holds it: nobody can do more
                self._finish(-signal.SIGKILL)

    def close(self) -> None:
        """Let go of everything at once; a command that still runs is ended by its guard."""
        self._closed = True
        self._pause()
        if self._control is not None:
            self._loop.remove_reader(self._control)
            self._control.close()
        if self._reaping is not None:
            self._reaping.cancel()
        if self._guard is not None:
            if self._guard.poll() is None:
                threading.Thread(target=_reap, args=[self._guard], daemon=True).start()
            else:
                _reap(self._guard)
        self._ended.set()
        self._pipes.clear()
        self._chunks.clear()

    # Start and end.

    def _spawn(
        self, argv: Sequence[str], cwd: str | os.PathLike[str] | None, env: Mapping[str, str]
    ) -> None:
        options = [sys.executable, "-I", "-S", str(GUARD), "--grace", str(self._grace_seconds)]
        control, guards_end = socket.socketpair()
        try:
            with guards_end:
                guard = subprocess.Popen(
                    [*options, "--", *argv],
                    cwd=cwd,
                    env=env,
                    stdin=guards_end.fileno(),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    start_new_session=True,  # a terminal's Ctrl-C is for the server, and not for it
                )
        except BaseException:
            control.close()
            raise
        self._control, self._guard = control, guard
        if self._closed:  # nobody waits for it any more
            control.close()
            _reap(guard)

    def _listen(self) -> None:
        assert self._control and self._guard and self._guard.stdout and self._guard.stderr
        self._control.setblocking(False)
        self._loop.add_reader(self._control, self._hear)
        self._pipes = [_Pipe("stdout", self._guard.stdout), _Pipe("stderr", self._guard.stderr)]
        self._resume()

    def _hear(self) -> None:
        """Take what the guard says: the command's id, and by the end of file that it is gone."""
        assert self._control is not None
        try:
            said = self._control.recv(64)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if said:
            self.pid = int(said)
        else:
            self._loop.remove_reader(self._control)
            self._reaping = self._loop.create_task(self._reap_guard())
        self._started.set()

    async def _reap_guard(self) -> None:
        assert self._guard is not None
        try:
            returncode = await asyncio.to_thread(self._guard.wait, REAP_SECONDS)
        except subprocess.TimeoutExpired:  # it cannot have shut its socket and live on
            self._guard.kill()
            returncode = -signal.SIGKILL
        if returncode < 0:
            self._kill()  # it may have been the guard that was killed, and not the command
        self._finish(returncode)

    def _finish(self, returncode: int) -> None:
        self.returncode = returncode
        self._pause()
        self._resume()
        self._ended.set()
        self._changed.set()

    def _kill(self) -> None:
        """End the guard and the command's group at once."""
        if self._guard is not None:
            self._guard.kill()
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    # Output.

    def _pause(self) -> None:
        self._paused = True
        for pipe in self._pipes:
            self._loop.remove_reader(pipe.file)

    def _resume(self) -> None:
        self._paused = False
        if self.returncode is not None:
            self._read_rest()
            return
        for pipe in self._pipes:
            self._loop.add_reader(pipe.file, self._read, pipe)

    def _read(self, pipe: _Pipe) -> int:
        """Read a chunk; return its length, 0 if there is nothing now or never will be."""
        try:
            data = pipe.file.read(CHUNK_BYTES)
        except OSError:
            data = b""
        if not data:
            if data is not None:  # None: nothing to read now
                self._drop(pipe)
            return 0
        self._chunks.append(Chunk(pipe.channel, data, int(time() * 1000)))
        self._held += len(data)
        self._changed.set()
        if self._held >= self._buffer_bytes:
            self._pause()
        return len(data)

    def _read_rest(self) -> None:
        """Read what was written before the end, even if the buffer is full.

        All who belonged to the command are dead, so that is what the pipes hold now. A grandchild
        that left the group may keep a pipe open, and even write on: it is not waited for.
        """
        for pipe in list(self._pipes):
            left = PIPE_BYTES
            while left > 0 and (length := self._read(pipe)):
                left -= length
            if pipe in self._pipes:
                self._drop(pipe)

    def _drop(self, pipe: _Pipe) -> None:
        self._loop.remove_reader(pipe.file)
        pipe.file.close()
        self._pipes.remove(pipe)
        self._changed.set()


def _reap(guard: "subprocess.Popen[bytes]") -> None:
    """Wait for a guard that has been told to end, and close its pipes."""
    with guard:
        pass
