"""``lastevent token``: a token for a reader or a publisher."""

import argparse
import re
import sys

from lastevent.cli.environment import settings
from lastevent.cli.target import Commands, add_command
from lastevent.core.errors import ConfigError, InvalidName
from lastevent.core.topic import stream_pattern

DESCRIPTION = """\
Print a token (a JWT, HS256), signed by LASTEVENT_AUTH_SECRET or NEXTAUTH_SECRET, or without them by
this checkout's development secret, which only a development server accepts.

A PATTERN is a stream's name, or its beginning followed by *, in quotes: 'build:*'.
"""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 366 * 86400


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, "token", "print a token for a reader or a publisher", description=DESCRIPTION
    )
    parser.add_argument("--sub", required=True, metavar="WHO", help="the identity it stands for")
    for name, what in (("read", "streams it may read"), ("append", "streams it may append to")):
        parser.add_argument(
            f"--{name}", nargs="+", action="extend", default=[], type=_pattern, metavar="PATTERN",
            help=what,
        )  # fmt: skip
    parser.add_argument("--name", help="the person's name, where a function shows it")
    parser.add_argument("--role", help="the person's role, such as client or professional")
    parser.add_argument("--merchant", help="the merchant whose events it is for")
    parser.add_argument(
        "--expires", type=_seconds, default="1h", metavar="TIME",
        help="how long it lives, such as 90s, 5m, 1h, 30d (%(default)s)",
    )  # fmt: skip
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Print the token, and nothing else, on stdout."""
    from lastevent.serve.auth import development_secret, mint

    chosen = settings()
    secret = chosen.auth_secret
    if chosen.development:
        secret = development_secret(chosen.data_dir)
        print("Signed by the development secret of this directory.", file=sys.stderr)
    if secret is None:
        raise ConfigError(
            "tokens come from the issuer of LASTEVENT_JWKS_URL: set LASTEVENT_AUTH_SECRET to sign "
            "some here too"
        )
    claims: dict[str, object] = {"sub": args.sub, "read": args.read, "append": args.append}
    for name in ("name", "role", "merchant"):
        if getattr(args, name) is not None:
            claims[name] = getattr(args, name)
    print(mint(secret, claims, args.expires))
    return 0


def _pattern(text: str) -> str:
    try:
        return stream_pattern(text)
    except InvalidName as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _seconds(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 0 < seconds <= _LONGEST:
        raise argparse.ArgumentTypeError("write a time such as 90s, 5m, 1h or 30d, up to 366d")
    return seconds
