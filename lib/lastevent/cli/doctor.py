"""``lastevent doctor``: checks this machine, the settings, the store and a server."""

import argparse
import asyncio
import platform
import secrets
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from time import perf_counter, time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from lastevent.cli.environment import add_store, settings
from lastevent.cli.target import Commands, add_command
from lastevent.core.errors import ConfigError, LastEventError
from lastevent.core.event import NewEvent

if TYPE_CHECKING:
    import httpx

    from lastevent.serve.settings import Settings
    from lastevent.stores.base import Store

DESCRIPTION = """\
Check the settings, the store and, with --url, a server. Each line is ok, warn or FAIL and says what
to do; ends with 1 if anything FAILs. The store is tried with a stream of its own, deleted at once.
"""

STORE_SECONDS = 10.0
SERVER_SECONDS = 10.0
SLOW_SECONDS = 1.0
SKEW_WARNING = 5.0
"""Seconds that clocks may differ: tokens are accepted this long after they expire."""

SKEW_FAILURE = 60.0


class Finding(NamedTuple):
    """One line: ``level`` is ok, warn or FAIL."""

    level: str
    subject: str
    text: str


def ok(subject: str, text: str) -> Finding:
    """Return a finding that needs nothing done."""
    return Finding("ok", subject, text)


def warn(subject: str, text: str) -> Finding:
    """Return a finding that may matter."""
    return Finding("warn", subject, text)


def fail(subject: str, text: str) -> Finding:
    """Return a finding that keeps something from working."""
    return Finding("FAIL", subject, text)


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, "doctor", "check the settings, the store and a server", description=DESCRIPTION
    )
    add_store(parser)
    parser.add_argument("--url", metavar="URL", help="a server to check too")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Print the findings; return 1 if one of them is a FAIL."""
    failed = False
    for level, subject, text in _findings(args):
        failed = failed or level == "FAIL"
        print(f"{level:<4}  {subject:<8}  {text}", flush=True)
    return 1 if failed else 0


def _findings(args: argparse.Namespace) -> Iterator[Finding]:
    yield from _machine()
    try:
        chosen = settings(args.store)
    except ConfigError as error:
        yield fail("settings", str(error))
    else:
        yield ok("settings", "every value can be used")
        yield from _secrets(chosen)
        yield from asyncio.run(_store(chosen))
    if args.url:
        yield from asyncio.run(_server(args.url.rstrip("/")))


def _machine() -> Iterator[Finding]:
    yield ok("python", platform.python_version())
    missing = [name for name in ("uvicorn", "uvloop", "httptools") if find_spec(name) is None]
    if missing:
        yield warn(
            "python",
            f"without {', '.join(missing)} `lastevent serve` does not work: "
            "pip install 'lastevent[server]'",
        )


def _secrets(chosen: "Settings") -> Iterator[Finding]:
    if chosen.development:
        yield warn(
            "secret",
            "none, so a server here is for development and binds to loopback only: "
            "set LASTEVENT_AUTH_SECRET (openssl rand -hex 32)",
        )
    elif chosen.auth_secret is not None:
        yield ok("secret", f"{len(chosen.auth_secret)} characters")
    if chosen.jwks_url is not None:
        yield ok("secret", f"public keys from {urlsplit(chosen.jwks_url).hostname}")
    if chosen.nextauth_secrets:
        yield ok("secret", "reads the session cookies of a site with NextAuth")
    if chosen.api_keys:
        yield ok("secret", f"{len(chosen.api_keys)} API keys")


async def _store(chosen: "Settings") -> list[Finding]:
    from lastevent.stores.url import open_store

    try:
        store, other = (
            open_store(chosen.store_url, chosen.retention, wakeup_url=chosen.wakeup_url)
            for _ in range(2)
        )
    except ConfigError as error:
        return [fail("store", str(error))]
    try:
        async with asyncio.timeout(STORE_SECONDS):
            took = await _round_trip(store, other if store.shared else store)
    except TimeoutError:
        return [fail("store", f"{store.name}: no answer within {STORE_SECONDS:g} s: is it up?")]
    except LastEventError as error:
        return [fail("store", f"{store.name}: {error}")]
    finally:
        await store.close()
        await other.close()
    said = f"{store.name}: wrote, read back and deleted an event in {took * 1000:.0f} ms"
    speed = warn("store", f"{said}: slow") if took > SLOW_SECONDS else ok("store", said)
    return [speed, _durability(store)]


def _durability(store: "Store") -> Finding:
    if not store.durable:
        return warn(
            "store", "what is acknowledged does not survive the process: try sqlite:///FILE"
        )
    if not store.shared:
        return warn("store", "only one process sees it")
    return ok("store", "what is acknowledged survives the process, and all processes see it")


async def _round_trip(store: "Store", other: "Store") -> float:
    """Write, read through the ``other`` opening of the same store, repeat, delete.

    Returns the seconds it took. Raises LastEventError.
    """
    await store.prepare()
    stream = f"doctor:{secrets.token_hex(8)}"
    began = perf_counter()
    try:
        key = secrets.token_hex(8)
        event = NewEvent("note", key)
        first = await store.log.append(stream, [event], key=key, close=True)
        again = await store.log.append(stream, [event], key=key, close=True)
        page = await other.log.read(stream, None)
    finally:
        await store.log.delete(stream)
    if [event.data for event in page.events] != [key] or not page.closed:
        raise LastEventError("what was written did not come back: do not use this store")
    if again.ids != first.ids:
        raise LastEventError("a repeated append was not recognised: do not use this store")
    return perf_counter() - began


async def _server(url: str) -> list[Finding]:
    from lastevent.client.transport import check_url, open_client, passing_trouble
    from lastevent.serve.settings import is_loopback

    try:
        host = urlsplit(check_url(url)).hostname or ""
        async with await open_client(url) as client, asyncio.timeout(SERVER_SECONDS):
            began, asked = perf_counter(), time()
            with passing_trouble(host):
                answer = await client.get(f"{url}/api/health")
            took = perf_counter() - began
    except TimeoutError:
        return [fail("server", f"no answer within {SERVER_SECONDS:g} s: is it up?")]
    except LastEventError as error:
        return [fail("server", f"{error}: is it up, and the address right?")]
    found = [_health(answer, took), _skew(answer.headers.get("date"), asked + took / 2)]
    if url.startswith("http:") and not is_loopback(host):
        found.append(warn("server", "without https:// tokens can be read on the way"))
    return found


def _health(answer: "httpx.Response", took: float) -> Finding:
    try:
        health = answer.json()
        status, store, version = health["status"], health["store"], health["version"]
    except (ValueError, KeyError, TypeError):
        return fail("server", f"answers {answer.status_code}, and not as Lastevent does")
    if answer.status_code != 200:
        return fail("server", f"{status} ({store}): run lastevent doctor where it runs")
    return ok("server", f"version {version}, {store} store, in {took * 1000:.0f} ms")


def _skew(date: str | None, middle: float) -> Finding:
    """Judge the clocks by the server's ``Date``, which counts whole seconds."""
    try:
        theirs = parsedate_to_datetime(date or "").timestamp() + 0.5
    except ValueError:
        return warn("clock", "the server does not say its time")
    skew = max(0.0, abs(theirs - middle) - 0.5)
    if skew > SKEW_WARNING:
        text = (
            f"{skew:.0f} s apart from the server's: set both by a time server, tokens depend on it"
        )
        return fail("clock", text) if skew > SKEW_FAILURE else warn("clock", text)
    return ok("clock", f"within {skew + 0.5:.0f} s of the server's")
