"""``lastevent tail``: follows streams, and resumes."""

import argparse
import asyncio
import json
import re
import sys

from lastevent.cli.target import ENVIRONMENT, Commands, add_command, add_target, stream_url, token

DESCRIPTION = """\
Print a stream's events as they come, until the stream ends. Cuts and planned ends are resumed
without losing or repeating an event. Several streams may be named; so may the URL of any function
that streams.
"""

EPILOG = (
    """\
formats:
  text  one event a line, its type before its data; further lines of data are indented
  json  one event a line as {"id":…,"type":…,"data":…}; data is text
  data  the data alone

"""
    + ENVIRONMENT
)


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "tail", "follow streams", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("streams", nargs="+", metavar="STREAM", help="a stream's name, or a URL")
    parser.add_argument(
        "--from", dest="start", type=_start, default="start", metavar="WHERE",
        help="start, now, or last:N for the newest N events (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--cursor", metavar="ID", help="go on after this event instead")
    parser.add_argument(
        "--types", type=_types, metavar="TYPE,TYPE", help="only events of these types"
    )
    parser.add_argument(
        "--format", choices=("text", "json", "data"), default="text", help="(%(default)s)"
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true",
        help="say on stderr when the connection changes, also when that is no terminal",
    )  # fmt: skip
    add_target(parser)
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Print until the end."""
    asyncio.run(_follow(args))
    return 0


async def _follow(args: argparse.Namespace) -> None:
    from lastevent.client import State, Stream

    talkative = args.verbose or sys.stderr.isatty()

    def say_state(state: State, reason: str) -> None:
        if talkative:
            print(f"[{state}{f': {reason}' if reason else ''}]", file=sys.stderr, flush=True)

    stream = Stream(
        stream_url(args, *args.streams),
        token=token(args),
        start=args.start,
        cursor=args.cursor,
        types=args.types,
        on_state=say_state,
        on_reset=_say_loss,
    )
    render = _FORMATS[args.format]
    try:
        async with stream:
            async for event in stream:
                sys.stdout.write(render(event.id, event.type, event.data) + "\n")
                sys.stdout.flush()
    finally:
        if stream.trimmed:
            print("[the beginning of the stream is no longer kept]", file=sys.stderr)
        if talkative and stream.cursor is not None and stream.state is not State.ENDED:
            print(f"[to go on: --cursor {stream.cursor}]", file=sys.stderr)


def _say_loss(lost_after: str, position: str) -> None:
    # Also when nobody watches: loss is said.
    print(f"[events after {lost_after} are lost; going on after {position}]", file=sys.stderr)


def _text(identifier: str, type: str, data: str) -> str:
    return f"{type} " + data.replace("\n", "\n" + " " * (len(type) + 1))


def _json(identifier: str, type: str, data: str) -> str:
    return json.dumps({"id": identifier, "type": type, "data": data}, ensure_ascii=False)


def _data(identifier: str, type: str, data: str) -> str:
    return data


_FORMATS = {"text": _text, "json": _json, "data": _data}


def _start(text: str) -> str:
    if not re.fullmatch(r"start|now|last:[0-9]{1,6}", text):
        raise argparse.ArgumentTypeError("write start, now, or last:N")
    return text


def _types(text: str) -> list[str]:
    return [name for name in text.split(",") if name]
