"""How the text of one variable is understood.

Each function returns the value, or raises ConfigError with a sentence that says what to write. It
never shows the text itself where that may be a secret.
"""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from lastevent.core.errors import ConfigError, InvalidName
from lastevent.core.policy import POLICIES
from lastevent.core.topic import stream_pattern
from lastevent.serve.settings.place import is_loopback
from lastevent.services.rates import Rate

SHORTEST_SECRET = 32
SHORTEST_KEY = 16


def text(value: str) -> str:
    """Return any text."""
    return value


def number(low: float, high: float) -> Callable[[str], float]:
    """Return what reads a number of a range, both ends included."""

    def parse(value: str) -> float:
        try:
            found = float(value)
        except ValueError:
            found = float("nan")
        if not low <= found <= high:
            raise ConfigError(f"write a number from {low:g} to {high:g}")
        return found

    return parse


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return what reads a whole number of a range, both ends included."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,15}", value) or not low <= int(value) <= high:
            raise ConfigError(f"write a whole number from {low} to {high}")
        return int(value)

    return parse


def switch(value: str) -> bool:
    """Return whether it is 1 and not 0."""
    if value not in ("0", "1"):
        raise ConfigError("write 1 for yes or 0 for no")
    return value == "1"


def on_or_off(value: str) -> bool:
    """Return whether it is on and not off."""
    if value not in ("on", "off"):
        raise ConfigError("write on or off")
    return value == "on"


def policy(value: str) -> str:
    """Return the name of a policy."""
    if value not in POLICIES:
        raise ConfigError(f"write one of {', '.join(POLICIES)}")
    return value


def rate(value: str) -> Rate:
    """Return how many in how many seconds, as ``60/60``."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,4})", value)
    if found is None:
        raise ConfigError("write how many in how many seconds, such as 60/60")
    return Rate(int(found[1]), float(found[2]))


def secret(value: str) -> str:
    """Return what signs or encrypts."""
    if len(value) < SHORTEST_SECRET:
        raise ConfigError(
            f"write at least {SHORTEST_SECRET} characters, for example from: openssl rand -hex 32"
        )
    return value


def key(value: str) -> str:
    """Return what somebody shows to come in."""
    if len(value) < SHORTEST_KEY:
        raise ConfigError(f"write at least {SHORTEST_KEY} characters, of ASCII")
    return value


def token(value: str) -> str:
    """Return what we show to an outside service, in a header."""
    if not re.fullmatch(r"[!-~]{8,512}", value):
        raise ConfigError("write it as it is: visible ASCII characters, no spaces")
    return value


def webhook_secret(value: str) -> bytes:
    """Return the key in ``whsec_`` and base64."""
    from lastevent.services.webhook import parse_secret

    return parse_secret(value)


def vercel_team(value: str) -> str:
    """Return the id of a team at Vercel."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", value):
        raise ConfigError("write the id of a team, which begins with team_")
    return value


def shopify_shop(value: str) -> str:
    """Return a shop's name at its vendor."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,60}\.myshopify\.com", value.lower()):
        raise ConfigError("write the shop's name as the vendor has it: example.myshopify.com")
    return value.lower()


def https_url(value: str) -> str:
    """Return an address that is asked by TLS, or on loopback."""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port  # a port that is none is a ValueError
    except ValueError:
        host = None
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        raise ConfigError("write an https:// address")
    return value


def origins(value: str) -> tuple[str, ...]:
    """Return the origins of sites, by commas."""
    found = tuple(part.rstrip("/") for part in _listed(value))
    for origin in found:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path:
            raise ConfigError("write origins such as https://app.example.com, joined by commas")
    return found


def hosts(value: str) -> tuple[str, ...]:
    """Return the whole names of hosts, by commas."""
    found = _listed(value.lower())
    for host in found:
        if not re.fullmatch(r"(?=.{1,253}\Z)(?:[a-z0-9-]{1,63}\.)+[a-z0-9-]{1,63}", host):
            raise ConfigError("write host names such as cdn.example.com, joined by commas")
    return found


def image_hosts(value: str) -> tuple[str, ...]:
    """Return hosts by commas: also all below a name, and with a port."""
    found = _listed(value.lower())
    for host in found:
        if not re.fullmatch(r"(?:\*\.)?[a-z0-9.-]{1,253}(?::[0-9]{1,5})?", host):
            raise ConfigError("write hosts such as cdn.example.com or *.example.com, by commas")
    return found


def patterns(value: str) -> tuple[str, ...]:
    """Return stream patterns, by commas."""
    try:
        return tuple(stream_pattern(part.strip()) for part in value.split(","))
    except InvalidName as error:
        raise ConfigError(str(error)) from error


def entries(value: str) -> list[str]:
    """Return what semicolons join."""
    return [entry.strip() for entry in value.split(";") if entry.strip()]


def _listed(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())
