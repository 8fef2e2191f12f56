"""``lastevent run``: a command whose output becomes a stream."""

import argparse
import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress

from lastevent.cli.target import ENVIRONMENT, Commands, add_command, add_target, publisher

DESCRIPTION = """\
Run a command and append its output to a stream, as it comes, then close the stream.

The events are started, stdout and stderr with {"text","time"}, and exit with {"code","signal"}. The
command gets no input. It is held back while the server does not keep up, and ended if the server
stays away for a minute or refuses. The exit code is the command's own, 128 and the signal's number
if a signal ended it. Interrupting ends the command first.
"""

EPILOG = (
    """\
example:
  lastevent run --stream build:42 -- make -j2 all

"""
    + ENVIRONMENT
)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "run",
        "append a command's output to a stream",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("--stream", required=True, metavar="NAME", help="the stream's name")
    add_target(parser)
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="after --, what to run")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Run the command to its end; return its exit code."""
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    from lastevent.sources.command import SIGNAL_CODE, Command, CommandSpec

    command = Command(CommandSpec(tuple(args.command)))
    async with publisher(args, args.stream) as sender:

        async def pump() -> None:
            await command.start()
            async with aclosing(command.read()) as batches:
                async for batch in batches:
                    said = [(event.type, event.data) for event in batch.events]
                    await sender.publish_batch(said, close=batch.over)

        interruption = _Interruption(asyncio.create_task(pump()), command.stop)
        number = await interruption.wait()
    if number is not None:
        return SIGNAL_CODE + number
    assert command.exit is not None
    return command.exit.shell_code


class _Interruption:
    """Ends the command at the first signal, and everything at the second."""

    def __init__(self, pump: asyncio.Task[None], stop: Callable[[], Awaitable[None]]) -> None:
        self._pump = pump
        self._stop = stop
        self._stopping: asyncio.Future[None] | None = None
        self._number: int | None = None
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._take, number)

    def _take(self, number: int) -> None:
        if self._number is None:
            self._number = number
            self._stopping = asyncio.ensure_future(self._stop())
        else:
            self._pump.cancel()

    async def wait(self) -> int | None:
        """Wait for the pump's end; return the number of the signal that came, if one did."""
        with suppress(asyncio.CancelledError):
            await self._pump
        if self._stopping is not None:
            await self._stopping
        return self._number
