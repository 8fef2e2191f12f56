"""From ``upstash://…`` and the environment to a database's address and token."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import parse_qsl, unquote, urlsplit

from lastevent.core.errors import ConfigError
from lastevent.stores.url import UPSTASH_VARIABLES

_PREFIX = re.compile(r"[A-Za-z0-9:._~-]{0,64}")

_FORMS = (
    "write upstash:// with UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN in the environment, "
    "upstash://HOST with the token there, or upstash://:TOKEN@HOST; ?prefix=NAME: keeps several "
    "applications apart in one database"
)


@dataclass(frozen=True, slots=True)
class Address:
    """``url`` is http(s)://host[:port]; ``prefix`` begins every key and channel."""

    url: str
    token: str = field(repr=False)
    prefix: str = ""


def address(url: str, environ: Mapping[str, str]) -> Address:
    """Return what ``url`` means; raise ConfigError that says what to write, without the token."""
    try:
        parts = urlsplit(url)
        host, port, token = parts.hostname, parts.port, unquote(parts.password or "")
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ConfigError(_FORMS) from None
    if parts.scheme != "upstash" or parts.path.strip("/") or parts.username or parts.fragment:
        raise ConfigError(_FORMS)
    if host is None:
        rest_url, token = _from(environ)
    else:
        name = f"[{host}]" if ":" in host else host
        rest_url = f"{'http' if _is_loopback(host) else 'https'}://{name}"
        rest_url += f":{port}" if port else ""
        token = token or _first(environ, 1)
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(f"the database's token is missing or damaged: {_FORMS}")
    return Address(rest_url, token, prefix_of(query))


def prefix_of(query: list[tuple[str, str]]) -> str:
    """Return the parameter ``prefix``, the only one there is; raise ConfigError."""
    options = dict(query)
    prefix = options.pop("prefix", "")
    if options:
        raise ConfigError(f"the store's URL has the one parameter prefix, not {min(options)[:40]}")
    if not _PREFIX.fullmatch(prefix):
        raise ConfigError("a prefix has at most 64 of A-Z a-z 0-9 : . _ ~ -")
    return prefix


def _from(environ: Mapping[str, str]) -> tuple[str, str]:
    for url_name, token_name in UPSTASH_VARIABLES:
        url, token = environ.get(url_name, "").strip(), environ.get(token_name, "").strip()
        if url and token:
            return _checked(url, url_name), token
    raise ConfigError(f"no database is named: {_FORMS}")


def _first(environ: Mapping[str, str], place: int) -> str:
    values = (environ.get(names[place], "").strip() for names in UPSTASH_VARIABLES)
    return next((value for value in values if value), "")


def _checked(url: str, variable: str) -> str:
    """Return the REST URL; the token goes there, so in the open it may only go to this machine."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or parts.path.strip("/") or parts.query or parts.username or parts.password:
        raise ConfigError(f"{variable}: write https://HOST, as the database's page shows it")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise ConfigError(f"{variable}: write https://HOST; http:// only to this machine itself")
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port else "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
