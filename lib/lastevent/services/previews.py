"""Previews: commands that run here, the output of each a stream, and what becomes of them.

Each is a run (runs.py). When its process dies its command dies too (sources/guard).
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from time import time

from lastevent.core.errors import NotFound
from lastevent.services.life import Limits, Term
from lastevent.services.preview import Preview
from lastevent.services.runs import Runs
from lastevent.sources.command import Command, CommandSpec
from lastevent.sources.lease import PATIENCE_SECONDS
from lastevent.stores.base import Store

KIND = "previews"

PRIVATE_PREFIXES = ("LASTEVENT_", "UPSTASH_", "KV_", "AWS_", "JOBS_", "SHOPIFY_", "AUTH_SECRET")
PRIVATE_NAMES = frozenset(
    {"NEXTAUTH_SECRET", "VERCEL_TOKEN", "CRON_SECRET", "PRICE_MONITOR_API_KEY"}
)
"""Variables of the server's own, its stores' and its platforms': most of them are secrets."""


class Previews:
    """The previews of a store, and those that this process runs: of ``commands`` only.

    ``lease_seconds``: how long after a server's death its previews are declared ended.
    ``grace_seconds`` lie between TERM and KILL; at most ``max_running`` run here at once.
    """

    def __init__(
        self,
        store: Store,
        commands: Mapping[str, CommandSpec],
        *,
        lease_seconds: float = 10.0,
        grace_seconds: float = 5.0,
        max_running: int = 8,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.names = tuple(commands)
        self._commands = commands
        self._grace_seconds = grace_seconds
        limits = Limits(
            lease_seconds, grace_seconds, max_running, patience_seconds=patience_seconds
        )
        self._runs = Runs(store, KIND, Preview.parse, limits)

    async def start(self, name: str) -> Preview:
        """Start the command of this name here; return its preview, running or failed.

        Raises NotFound for a name that the settings do not have, Conflict when enough run here.
        """
        spec = self._spec(name)
        preview = Preview.new(name, self._runs.host, _now())
        term = Term(None, self._grace_seconds)
        return await self._runs.start(preview, lambda it: _command(spec, it, term))

    async def announce(self, name: str) -> Preview:
        """Write down a preview that ``run`` is to begin, in whatever process.

        Raises NotFound for a name that the settings do not have.
        """
        self._spec(name)
        return await self._runs.ledger.add(Preview.new(name, "", _now()))

    async def run(self, id: str, deadline: float | None, leaving: asyncio.Event) -> Preview:
        """Run an announced preview here until its end; return it.

        It is ended in good time before ``deadline``, in the event loop's time, and once ``leaving``
        is set. Raises NotFound, and Conflict if it was begun or stopped already.
        """
        term = Term.before(deadline, self._grace_seconds)
        await self._runs.claim(id, lambda it: _command(self._spec(it.name), it, term), term.ends_at)
        await self._runs.attend(id, leaving)
        return await self._runs.ledger.get(id)

    async def list(self) -> list[Preview]:
        """Return the newest previews, newest first."""
        return await self._runs.ledger.list()

    async def sweep(self) -> tuple[Preview, ...]:
        """End those whose server is gone; return them."""
        return await self._runs.ledger.sweep()

    async def get(self, id: str) -> Preview:
        """Return a preview as it truly is; raise NotFound."""
        return await self._runs.ledger.get(id)

    async def stop(self, id: str) -> Preview:
        """Have a preview end, wherever it runs; return it, as a rule ``stopping``.

        Another server hears of it when it next looks, three times in the lease's length.
        """
        return await self._runs.stop(id)

    def watch(self, id: str) -> AbstractAsyncContextManager[None]:
        """See, as long as this is held, that the log ends when the preview's server is gone."""
        return self._runs.watch(id)

    async def aclose(self) -> None:
        """End all that runs here, say so in the logs, and return in bounded time."""
        await self._runs.aclose()

    def _spec(self, name: str) -> CommandSpec:
        spec = self._commands.get(name)
        if spec is None:
            known = ", ".join(self.names) or "none"
            raise NotFound(
                f"there is no command {name[:80]!r} to preview; the settings name {known}"
            )
        return spec


def _command(spec: CommandSpec, preview: Preview, term: Term) -> Command:
    return Command(
        _private(spec), name=preview.name, grace_seconds=term.grace_seconds, ends_at=term.ends_at
    )


def _private(spec: CommandSpec) -> CommandSpec:
    """Return ``spec`` with an environment that keeps the server's own settings, secrets among them.

    What a command prints is read by others.
    """
    if spec.env is not None:
        return spec
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PRIVATE_PREFIXES) and name not in PRIVATE_NAMES
    }
    return CommandSpec(spec.argv, spec.cwd, environment)


def _now() -> int:
    return int(time() * 1000)
