"""What is followed from outside. The code for each is wanted only where it is configured."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lastevent.serve.settings.variables import said

if TYPE_CHECKING:
    from lastevent.sources.command import CommandSpec
    from lastevent.sources.job_upstream import JobUpstream

_JOBS = {
    "url": ("JOBS_UPSTREAM_URL", "MONITOR_PRICE_APP_HOST"),
    "key": ("JOBS_UPSTREAM_KEY", "PRICE_MONITOR_API_KEY"),
    "mode": ("JOBS_UPSTREAM_MODE",),
    "header": ("JOBS_UPSTREAM_HEADER",),
    "join": ("JOBS_JOIN_MESSAGE",),
    "replays": ("JOBS_UPSTREAM_REPLAYS",),
    "fields": ("JOBS_FIELDS",),
    "types": ("JOBS_TYPES",),
    "poll_seconds": ("JOBS_POLL_SECONDS",),
    "check_url": ("JOBS_CHECK_URL",),
}
"""What is said of the external service of jobs, and the variables that say it."""


def commands(value: str) -> "Mapping[str, CommandSpec]":
    """Return the commands of previews, by name."""
    from lastevent.sources.command import parse_commands

    return parse_commands(value)


def jobs(environ: Mapping[str, str]) -> "JobUpstream | None":
    """Return the external service of jobs: its settings are checked as a whole."""
    found: dict[str, tuple[str, str]] = {}
    for name, variables in _JOBS.items():
        for variable in variables:
            if text := said(environ, variable):
                found[name] = (variable, text)
                break
    if not found:
        return None
    from lastevent.sources.job_upstream import parse_upstream

    return parse_upstream(found)
