"""From an HTTP request to commands (REST API, "API Semantics")."""

import json
import re
from urllib.parse import parse_qsl, unquote_to_bytes

from starlette.datastructures import Headers

from infra.local.upstash.refusal import MAX_REQUEST_BYTES, Refused, too_large, unauthorized
from infra.local.upstash.resp import Command

_SURROGATE = re.compile("[\ud800-\udfff]")


def token_of(headers: Headers, query: bytes) -> str:
    """Return the token of a request: the header's, otherwise the parameter `_token`."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    for name, value in parse_qsl(query.decode("latin-1")):
        if name == "_token":
            return value
    raise unauthorized()


def segments(raw_path: bytes) -> list[bytes]:
    """Return the parts of a path, decoded one by one: an argument may hold an escaped slash."""
    return [unquote_to_bytes(part) for part in raw_path.removeprefix(b"/").split(b"/")]


def from_path(path: list[bytes], query: bytes, body: bytes) -> Command:
    """Return the command of a path: its parts, the body if there is one, then the parameters."""
    command = [*path, *([body] if body else [])]
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name != "_token":
            command += [name.encode(), *([value.encode()] if value else [])]
    return command


def from_body(body: bytes) -> Command:
    """Return the command that a JSON array is."""
    return _command(_json(body))


def from_bodies(body: bytes) -> list[Command]:
    """Return the commands of a pipeline or a transaction: an array of arrays."""
    commands = _json(body)
    if not isinstance(commands, list):
        raise Refused("ERR the body must be an array of commands")
    return [_command(command) for command in commands]


def check_size(size: int) -> None:
    """Refuse what is larger than a request or an answer may be."""
    if size > MAX_REQUEST_BYTES:
        raise too_large(size)


def _json(body: bytes) -> object:
    try:
        # Numbers stay as they were written: 1e3 is another argument than 1000.0.
        return json.loads(body, parse_int=_Number, parse_float=_Number)
    except ValueError:
        raise Refused("ERR the body is not valid JSON") from None


class _Number(str):
    pass


def _command(value: object) -> Command:
    if not isinstance(value, list) or not value:
        raise Refused("ERR empty command")
    return [_argument(part) for part in value]


def _argument(value: object) -> bytes:
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if not isinstance(value, str):
        # Not documented: clients encode objects before they send them.
        raise Refused("ERR a command's arguments must be strings or numbers")
    return _SURROGATE.sub("\ufffd", value).encode()
