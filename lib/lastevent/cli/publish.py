"""``lastevent publish``: appends to a stream, from an argument or line by line."""

import argparse
import asyncio
import codecs
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lastevent.cli.target import ENVIRONMENT, Commands, add_command, add_target, publisher
from lastevent.core.errors import InvalidEvent, InvalidRequest, TooLarge

DESCRIPTION = """\
Append events to a stream and print their ids.

DATA is one event. Without it each line of stdin or of --file is one, sent on as it comes. --close
alone appends nothing and reads nothing.
Everything is retried in a way that appends nothing twice.
"""

EPILOG = (
    """\
examples:
  lastevent publish build:42 'compiling' --type note
  lastevent publish merchant:7 '{"progress":60}' --json --type progress
  make 2>&1 | lastevent publish build:42 --file - --close
  lastevent publish build:42 --close

"""
    + ENVIRONMENT
)

BATCH_EVENTS = 500
CHUNK_BYTES = 64 * 1024
MAX_LINE_BYTES = 4 * 1024 * 1024


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, "publish", "append events to a stream", description=DESCRIPTION, epilog=EPILOG
    )
    parser.add_argument("stream", metavar="STREAM", help="the stream's name")
    parser.add_argument("data", nargs="?", metavar="DATA", help="one event's data")
    parser.add_argument("--type", default="message", help="the events' type (%(default)s)")
    parser.add_argument(
        "--json", action="store_true", help="the data is JSON: an error if it is not"
    )
    parser.add_argument("--file", metavar="FILE", help="read lines from FILE, - for stdin")
    parser.add_argument(
        "--key",
        help="names this publish: again with the same key, it appends nothing. All lines are then "
        "sent at once",
    )
    parser.add_argument("--close", action="store_true", help="close the stream afterwards")
    add_target(parser)
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Publish, and print an id a line."""
    if args.data is not None and args.file is not None:
        raise InvalidRequest("give either DATA or --file")
    with asyncio.Runner() as runner:
        sender = publisher(args, args.stream)
        try:
            # Reading blocks this thread and not a loop, so that it can be interrupted at any time.
            for batch, last in _batches(args):
                close = args.close and last
                if batch or close:
                    events = [(args.type, data) for data in batch]
                    answer = runner.run(sender.publish_batch(events, close=close, key=args.key))
                    print("".join(f"{identifier}\n" for identifier in answer.ids), end="")
                    sys.stdout.flush()
        finally:
            runner.run(sender.aclose())
    return 0


def _batches(args: argparse.Namespace) -> Iterator[tuple[list[Any], bool]]:
    """Yield the data of the events of each publish, and whether it is known to be the last."""
    if args.data is not None:
        yield [_value(args, args.data, "DATA")], True
        return
    if args.file is None and args.close:
        # Not from stdin then: it may be somebody else's, as in a shell's loop.
        yield [], True
        return
    if args.file is None and sys.stdin.isatty():
        raise InvalidRequest("give DATA, or --file, or pipe lines in")
    values = _values(args)
    if args.key is not None:
        yield [value for part in values for value in part], True
        return
    for part in values:
        for begin in range(0, len(part), BATCH_EVENTS):
            yield part[begin : begin + BATCH_EVENTS], False
    yield [], True


def _values(args: argparse.Namespace) -> Iterator[list[Any]]:
    number = 0
    with _source(args.file) as descriptor:
        for lines in read_lines(descriptor):
            values = []
            for line in lines:
                number += 1
                if line or not args.json:
                    values.append(_value(args, line, f"line {number}"))
            yield values


def _value(args: argparse.Namespace, text: str, where: str) -> Any:
    if not args.json:
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidEvent(f"{where} is not JSON: {error}") from error


@contextmanager
def _source(name: str | None) -> Iterator[int]:
    if name is None or name == "-":
        yield sys.stdin.fileno()
        return
    try:
        descriptor = os.open(name, os.O_RDONLY)
    except OSError as error:
        raise InvalidRequest(f"cannot read {name}: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_lines(descriptor: int) -> Iterator[list[str]]:
    """Yield lines as they arrive, those that came together as one list; the last needs no end.

    What is not UTF-8 is replaced. Raises TooLarge for a line over MAX_LINE_BYTES.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    pieces: list[str] = []
    size = 0
    while chunk := os.read(descriptor, CHUNK_BYTES):
        *lines, rest = decoder.decode(chunk).split("\n")
        if lines:
            lines[0] = "".join([*pieces, lines[0]])
            pieces, size = [], 0
            yield [line.removesuffix("\r") for line in lines]
        pieces.append(rest)
        size += len(rest)
        if size > MAX_LINE_BYTES:
            raise TooLarge(f"a line is over {MAX_LINE_BYTES} bytes")
    if last := "".join([*pieces, decoder.decode(b"", final=True)]):
        yield [last.removesuffix("\r")]
