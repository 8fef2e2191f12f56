"""A command whose output becomes events.

    started           {"name"?, "pid", "time", "ends_at"?}
    stdout, stderr    {"text", "time", "open"?: true}
    failure           {"error", "time"}, when it was ended for a reason worth telling
    exit              {"code", "signal", "time"}, the last, in one append with the closing

``time`` is in Unix ms, and so is ``ends_at``: when it will be stopped, if that is known. An
``open`` piece of a line is continued by the next of its channel (lines). A line is handed on as
soon as it is there, text without an end of line after QUIET_SECONDS.

The order within a channel is exact; between the two it is that of reading, for they are two pipes.
"""

import asyncio
import json
import os
import re
import shlex
import signal
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, time

from lastevent.core.errors import ConfigError
from lastevent.core.event import NewEvent
from lastevent.sources.base import MAX_BATCH_BYTES, Batch, Replays
from lastevent.sources.lines import LineSplitter, Piece
from lastevent.sources.process import Channel, Chunk, Process
from lastevent.stores.base import MAX_BATCH_EVENTS

SIGNAL_CODE = 128
"""Added to a signal's number by shells (POSIX.1-2024, Shell, 2.8.2)."""

QUIET_SECONDS = 0.1
"""How long text waits for the end of its line: an eye sees no delay, and few lines are cut."""

LONGEST_WAIT = 60.0
CHANNELS: tuple[Channel, ...] = ("stdout", "stderr")
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ENTRY = re.compile(r"""(?:[^;'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")*""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """What to run: ``argv``, in ``cwd`` (None: ours), with ``env`` (None: our environment)."""

    argv: tuple[str, ...]
    cwd: Path | None = None
    env: Mapping[str, str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.argv or not self.argv[0]:
            raise ConfigError("a command needs the name of a program")
        if any("\0" in part for part in self.argv):
            raise ConfigError("a command cannot hold NUL")


@dataclass(frozen=True, slots=True)
class Exit:
    """How a command ended: by itself with ``code``, or by ``signal``, a name such as SIGTERM."""

    code: int | None
    signal: str | None

    @classmethod
    def of(cls, returncode: int) -> "Exit":
        """Read a return code as subprocess gives it: negative for a signal."""
        if returncode >= 0:
            return cls(returncode, None)
        try:
            return cls(None, signal.Signals(-returncode).name)
        except ValueError:  # a real-time signal
            return cls(None, f"SIG{-returncode}")

    @property
    def shell_code(self) -> int:
        """The exit code that a shell would show: 128 and the signal's number after a signal."""
        if self.signal is None:
            return self.code or 0
        known = signal.Signals.__members__.get(self.signal)
        return SIGNAL_CODE + (int(self.signal[3:]) if known is None else known)


class Command:
    """A source (base.Source): start it once, read it once; stop it at any time.

    ``name`` goes into the started event, and ``ends_at`` too: when its owner will stop it, in Unix
    ms. ``grace_seconds`` lie between TERM and KILL when it is stopped. Memory is bounded: at most
    ``buffer_bytes`` of output wait, then the command does.
    """

    replays: Replays = "none"

    def __init__(
        self,
        spec: CommandSpec,
        *,
        name: str | None = None,
        grace_seconds: float = 5.0,
        max_line_bytes: int = 16 * 1024,
        buffer_bytes: int = 1024 * 1024,
        ends_at: int | None = None,
    ) -> None:
        self.exit: Exit | None = None
        self._spec = spec
        self._name = name
        self._ends_at = ends_at
        self._grace_seconds = grace_seconds
        self._max_line_bytes = max_line_bytes
        self._buffer_bytes = buffer_bytes
        self._process: Process | None = None
        self._read = False
        self._stopped = False
        self._reason: str | None = None

    @property
    def pid(self) -> int | None:
        """The command's process id; None if it has not been started, or could not be run."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the command; raise OSError if that is impossible.

        A program that does not exist starts too, as it does in a shell: it says so on stderr and
        ends with the code 127.
        """
        environment = os.environ if self._spec.env is None else self._spec.env
        self._process = await Process.start(
            self._spec.argv,
            cwd=self._spec.cwd,
            env={**UNBUFFERED, **environment},
            grace_seconds=self._grace_seconds,
            buffer_bytes=self._buffer_bytes,
        )
        if self._stopped:  # meanwhile
            await self._process.end()

    async def read(self, position: str | None = None) -> AsyncGenerator[Batch]:
        """Yield all events in batches; the last says that it is over.

        Who stops reading ends the command. While nobody asks for the next batch, the command is
        held back by its full pipes; nothing is dropped. ``position`` says nothing: what a command
        has written cannot be had again.
        """
        process = self._process
        if process is None or self._read:
            raise RuntimeError("a command is started once, and then read once")
        self._read = True
        try:
            events = self._events(process)
            over = False
            while not over:
                batch: list[NewEvent] = []
                size = 0
                pause = 0.0
                for event in events:
                    if not isinstance(event, NewEvent):
                        pause = event
                        break
                    batch.append(event)
                    size += event.size
                    if len(batch) == MAX_BATCH_EVENTS or size >= MAX_BATCH_BYTES:
                        break
                else:
                    over = True
                if batch or over:
                    yield Batch(batch, over=over)
                    await asyncio.sleep(0)  # a batch may be stored at once: others want their turn
                else:
                    await process.wait(pause)
        finally:
            try:
                await process.end()
            finally:
                process.close()

    async def stop(self, reason: str | None = None) -> None:
        """End the command and its group; return when they are gone, in bounded time.

        Its reader is given everything that was written before. ``reason``: a sentence
        that is told as a failure.
        """
        self._stopped = True
        self._reason = self._reason or reason
        if self._process is not None:
            await self._process.end()
            if not self._read:
                self._process.close()

    def _events(self, process: Process) -> Iterator[NewEvent | float]:
        """Give all events in order; in between, how many seconds to wait when there is none."""
        if process.pid is not None:
            name = {"name": self._name} if self._name is not None else {}
            end = {"ends_at": self._ends_at} if self._ends_at is not None else {}
            yield _event("started", {**name, "pid": process.pid, "time": _now(), **end})
        channels = {name: _Channel(name, self._max_line_bytes) for name in CHANNELS}
        while not process.is_over:
            chunk = process.take()
            if chunk is not None:
                yield from channels[chunk.channel].feed(chunk)
            for channel in channels.values():
                yield from channel.flush_overdue()
            if chunk is None and not process.is_over:
                yield min(channel.patience() for channel in channels.values())
        for channel in channels.values():
            yield from channel.end()
        if self._reason is not None:
            yield _event("failure", {"error": self._reason, "time": _now()})
        assert process.returncode is not None
        self.exit = Exit.of(process.returncode)
        yield _event("exit", {"code": self.exit.code, "signal": self.exit.signal, "time": _now()})


class _Channel:
    """Makes one channel's chunks into events, and sees that no text waits for long."""

    def __init__(self, name: Channel, max_line_bytes: int) -> None:
        self._name = name
        self._lines = LineSplitter(max_line_bytes)
        self._waits_since: float | None = None

    def feed(self, chunk: Chunk) -> Iterator[NewEvent]:
        pieces = self._lines.feed(chunk.data)
        if not self._lines.has_rest:
            self._waits_since = None
        elif pieces or self._waits_since is None:
            self._waits_since = monotonic()
        return self._events(pieces, chunk.time)

    def patience(self) -> float:
        """Return the seconds until there is something to flush, unless a chunk comes before."""
        if self._waits_since is None:
            return LONGEST_WAIT
        return max(0.0, self._waits_since + QUIET_SECONDS - monotonic())

    def flush_overdue(self) -> Iterator[NewEvent]:
        if self._waits_since is None or self.patience() > 0:
            return iter(())
        self._waits_since = None
        return self._events(self._lines.flush(), _now())

    def end(self) -> Iterator[NewEvent]:
        return self._events(self._lines.end(), _now())

    def _events(self, pieces: list[Piece], time: int) -> Iterator[NewEvent]:
        for text, open in pieces:
            tail = ',"open":true}' if open else "}"
            yield NewEvent(self._name, f'{{"text":{_json(text)},"time":{time}{tail}')


def _event(type: str, fields: dict[str, object]) -> NewEvent:
    return NewEvent(type, _json(fields))


def _now() -> int:
    return int(time() * 1000)


def parse_commands(text: str) -> dict[str, CommandSpec]:
    """Read ``name=command line; other=command line``; raise ConfigError.

    Command lines are split as a POSIX shell would (shlex), and run without one: quotes and
    backslashes count, also before a semicolon; variables, pipes and the like are not understood.
    """
    commands: dict[str, CommandSpec] = {}
    for entry in _entries(text):
        name, equals, line = entry.partition("=")
        name = name.strip()
        if not equals or not _NAME.fullmatch(name):
            raise ConfigError(
                f"{entry.strip()[:60]!r} is not NAME=COMMAND LINE with a name of A-Z a-z 0-9 . _ - "
                "(join several by semicolons)"
            )
        if name in commands:
            raise ConfigError(f"the name {name} stands there twice")
        argv = tuple(shlex.split(line))
        if not argv:
            raise ConfigError(f"{name} has no command: write {name}=COMMAND LINE")
        commands[name] = CommandSpec(argv)
    return commands


def _entries(text: str) -> Iterator[str]:
    """Split at the semicolons that are neither quoted nor escaped."""
    position = 0
    while position < len(text):
        found = _ENTRY.match(text, position)
        assert found is not None  # it matches the empty text too
        if found.end() < len(text) and text[found.end()] != ";":
            raise ConfigError("a quote is not closed, or a backslash stands at the very end")
        if found[0].strip():
            yield found[0]
        position = found.end() + 1
