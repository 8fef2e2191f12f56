"""What publish, tail and run share: the server they talk to, and how they prove who they are."""

import argparse
import os
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from lastevent.core.topic import stream_name

if TYPE_CHECKING:
    from lastevent.client import Publisher

DEFAULT_URL = "http://127.0.0.1:8000"

type Commands = argparse._SubParsersAction[argparse.ArgumentParser]
"""What add_subparsers returns; argparse gives it no public name."""

ENVIRONMENT = """\
environment:
  LASTEVENT_URL      the server, for --url
  LASTEVENT_TOKEN    a token, for --token: others on this machine can see arguments
  LASTEVENT_API_KEY  a publisher's key, used by publish and run unless --token is given
"""


def add_command(
    commands: Commands, name: str, help: str, *, description: str, epilog: str | None = None
) -> argparse.ArgumentParser:
    """Return a new subcommand's parser, whose texts keep their lines."""
    return commands.add_parser(
        name,
        help=help,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=epilog,
    )


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the server is and who calls."""
    parser.add_argument("--url", metavar="URL", help=f"the server (default: {DEFAULT_URL})")
    parser.add_argument("--token", metavar="TOKEN", help="proves who you are")


def stream_url(args: argparse.Namespace, *streams: str) -> str:
    """Return the address of ``streams``: names of the server's, or one whole URL."""
    if len(streams) == 1 and streams[0].startswith(("http://", "https://")):
        return streams[0]
    base = (args.url or os.environ.get("LASTEVENT_URL") or DEFAULT_URL).rstrip("/")
    names = [stream_name(stream) for stream in streams]
    if len(names) == 1:
        return f"{base}/api/streams/{names[0]}"
    return f"{base}/api/streams?{urlencode([('stream', name) for name in names])}"


def token(args: argparse.Namespace) -> str | None:
    """Return the token to read with, None if there is none."""
    return args.token or os.environ.get("LASTEVENT_TOKEN") or None


def publisher(args: argparse.Namespace, stream: str) -> "Publisher":
    """Return a publisher to ``stream``, by the token given, else the key, else any token."""
    from lastevent.client import Publisher

    api_key = None if args.token else os.environ.get("LASTEVENT_API_KEY") or None
    return Publisher(
        stream_url(args, stream), token=None if api_key else token(args), api_key=api_key
    )
