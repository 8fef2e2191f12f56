"""The external service that runs jobs: where it is, how it is asked, how it words its updates.

Made of settings, and checked as a whole, so that what cannot work stops the start. The key is sent
to this service only, and shown nowhere. No IO.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from lastevent import __version__
from lastevent.core.errors import ConfigError
from lastevent.sources.base import Replays
from lastevent.sources.job_updates import Mapper
from lastevent.sources.job_words import FIELDS, parse_fields, parse_types

Mode = Literal["websocket", "poll"]

DEFAULT_HEADER = "Authorization: Bearer {key}"
DEFAULT_JOIN = '{"type":"join","jobId":"{job}"}'
POLL_SECONDS = 2.0

_SCHEMES: Mapping[Mode, Mapping[str, str]] = {
    "websocket": {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"},
    "poll": {"http": "http", "https": "https", "ws": "http", "wss": "https"},
}
_HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+): *([!-~](?:[ -~]*[!-~])?)")  # RFC 9110 §5.6.2


Given = tuple[str, str]
"""The variable that a setting stands in, and its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobUpstream:
    """One service. Addresses hold ``{job}`` (and that of the check ``{user}``) for what is asked
    about; ``header`` and ``join`` hold ``{key}`` too."""

    mode: Mode
    url: str = field(repr=False)
    key: str | None = field(default=None, repr=False)
    header: tuple[str, str] | None = field(default=None, repr=False)
    join: Any = field(default=None, repr=False)
    mapper: Mapper = field(default_factory=Mapper, repr=False)
    replays: Replays = "none"
    poll_seconds: float = POLL_SECONDS
    check_url: str | None = field(default=None, repr=False)

    def address(self, job: str) -> str:
        """Return where ``job`` is followed: ws(s) to connect to, http(s) to poll."""
        return _filled_url(self.url, job=job)

    def check_address(self, job: str, user: str) -> str:
        """Return where it is asked whether ``user`` may see ``job``."""
        assert self.check_url is not None
        return _filled_url(self.check_url, job=job, user=user)

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        sent = {"User-Agent": f"lastevent/{__version__}"}
        if self.header is not None:
            name, value = self.header
            sent[name] = value.replace("{key}", self.key or "")
        return sent

    def join_message(self, job: str) -> str | None:
        """Return what is sent to join ``job``, None if connecting does."""
        return None if self.join is None else json.dumps(_filled(self.join, job, self.key or ""))

    def redacted(self, text: str) -> str:
        """Return ``text``, of the service, without the key."""
        return text.replace(self.key, "[redacted]") if self.key else text


def parse_upstream(given: Mapping[str, Given]) -> JobUpstream:
    """Return the service that settings describe, by their field.

    Raises ConfigError that begins with the variable at fault, and shows no value that may be
    secret.
    """
    if "url" not in given:
        variable, _ = next(iter(given.values()))
        raise ConfigError(f"{variable}: there is nothing to use it for: set JOBS_UPSTREAM_URL")
    url_variable, url = given["url"]
    mode = _read(given, "mode", _mode, "websocket")
    header = _read(given, "header", _header, _header(DEFAULT_HEADER))
    names_job = "{job}" in url
    join = _read(given, "join", _join, None if names_job else _join(DEFAULT_JOIN))
    if mode == "poll":
        join = None
    key = _read(given, "key", _key, None)
    sends_key = "{key}" in json.dumps([header, join])
    if key is not None and not sends_key:
        raise ConfigError(
            f"{given['key'][0]}: nothing sends it: write {{key}} into JOBS_UPSTREAM_HEADER "
            "or JOBS_JOIN_MESSAGE"
        )
    if key is None and sends_key:
        for name in ("header", "join"):
            variable, text = given.get(name, ("", ""))
            if "{key}" in text:
                raise ConfigError(f"{variable}: there is no key: set JOBS_UPSTREAM_KEY")
        header = None
    if not names_job and "{job}" not in json.dumps(join):
        raise ConfigError(f"{url_variable}: nothing names the job: write {{job}} into the address")
    fields, factor = _read(given, "fields", parse_fields, (dict(FIELDS), 1.0))
    if mode == "poll" and fields["type"] == FIELDS["type"]:
        # What a status document calls its type is what kind of job it is.
        fields |= {"type": ()}
    words = _read(given, "types", parse_types, parse_types(""))
    replays: Replays = "snapshot" if mode == "poll" else "none"
    return JobUpstream(
        mode=mode,
        url=_read(given, "url", lambda text: _address(text, mode, ("job",)), ""),
        key=key,
        header=header,
        join=join,
        mapper=Mapper(fields, words, factor, key),
        replays=_read(given, "replays", lambda text: _replays(text, mode), replays),
        poll_seconds=_read(given, "poll_seconds", _poll_seconds, POLL_SECONDS),
        check_url=_read(
            given, "check_url", lambda text: _address(text, "poll", ("job", "user")), None
        ),
    )


def _read(given: Mapping[str, Given], name: str, parse: Any, default: Any) -> Any:
    if name not in given:
        return default
    variable, text = given[name]
    try:
        return parse(text)
    except ConfigError as error:
        raise ConfigError(f"{variable}: {error}") from error


def _mode(text: str) -> Mode:
    if text not in ("websocket", "poll"):
        raise ConfigError("write websocket or poll")
    return text  # type: ignore[return-value]  # one of the two


def _replays(text: str, mode: Mode) -> Replays:
    if text not in ("none", "snapshot") or (mode == "poll" and text == "none"):
        raise ConfigError("write none, or snapshot if the service tells a job's state on joining")
    return text  # type: ignore[return-value]  # one of the two


def _poll_seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", text) or not 0.2 <= float(text) <= 60:
        raise ConfigError("write a number of seconds from 0.2 to 60")
    return float(text)


def _key(text: str) -> str:
    if not re.fullmatch(r"[!-~](?:[ -~]*[!-~])?", text):
        raise ConfigError("write the key in printable ASCII characters")
    return text


def _header(text: str) -> tuple[str, str] | None:
    if text == "none":
        return None
    found = _HEADER.fullmatch(text)
    if found is None:
        raise ConfigError("write NAME: VALUE with {key} in the value, or none")
    return found[1], found[2]


def _join(text: str) -> Any:
    if text == "none":
        return None
    try:
        message = json.loads(text)
    except ValueError:
        raise ConfigError(
            'write JSON with {job} in a text, such as {"join":"{job}"}, or none'
        ) from None
    if message is None:
        raise ConfigError("write none for no message")
    return message


def _address(text: str, mode: Mode, names: tuple[str, ...]) -> str:
    """Return an address with its scheme; one without is that of a host with TLS."""
    if "://" not in text:
        text = f"https://{text}"
    form = f"write https://HOST/PATH with {' and '.join(f'{{{name}}}' for name in names)} in it"
    try:
        parts = urlsplit(text)
        scheme = _SCHEMES[mode].get(parts.scheme)
        valid = bool(scheme and parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not re.fullmatch(r"[!-~]+", text) or parts.fragment:
        raise ConfigError(form)
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "write no credentials into an address: JOBS_UPSTREAM_KEY has the key, and "
            "JOBS_UPSTREAM_HEADER says how it is sent"
        )
    holders = set(re.findall(r"[{}][^{}]*[{}]?", parts._replace(scheme="").geturl()))
    allowed = {f"{{{name}}}" for name in names}
    if "{" in parts.netloc or not holders <= allowed:
        raise ConfigError(f"{form}: in the path or the query, and nothing else in braces")
    if "user" in names and "{job}" not in holders:
        raise ConfigError(form)
    return parts._replace(scheme=scheme or "").geturl()


def _filled_url(template: str, **values: str) -> str:
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", quote(value, safe=""))
    return template


def _filled(message: Any, job: str, key: str) -> Any:
    """Return a message with its placeholders filled, in texts only: so it stays JSON."""
    if isinstance(message, str):
        # In one pass: what is filled in is no template again.
        values = {"{job}": job, "{key}": key}
        return re.sub(r"\{(?:job|key)\}", lambda found: values[found[0]], message)
    if isinstance(message, list):
        return [_filled(item, job, key) for item in message]
    if isinstance(message, dict):
        return {name: _filled(item, job, key) for name, item in message.items()}
    return message
