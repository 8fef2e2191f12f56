"""Where a process runs: on a platform, or where only this machine reaches it."""

import ipaddress
from collections.abc import Mapping

PLATFORM_VARIABLES = ("VERCEL", "AWS_LAMBDA_FUNCTION_NAME", "AWS_EXECUTION_ENV")
"""Set by the platforms themselves: where one is present, this is not a development machine."""


def platform(environ: Mapping[str, str]) -> str | None:
    """Return the variable by which a platform shows; None where none does."""
    return next((name for name in PLATFORM_VARIABLES if environ.get(name)), None)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own loopback."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
