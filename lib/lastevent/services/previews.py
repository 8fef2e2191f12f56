"""Previews: commands that run here, the output of each a stream, and what becomes of them.

The log is the truth; a record says what lists show, and follows from the log. The server that runs
a preview holds its stream's lease. When that server dies its command dies too (sources/guard), and
nobody is left to say so: whoever looks at the preview next, in a list or at its log, finds the
lease free and ends the log with a ``failure`` (RULES 16). Should that one die in between, the next
does the rest.
"""

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from time import time

from lastevent.core.errors import Conflict, Fenced, NotFound, StreamClosed, Transient
from lastevent.services.preview import Preview, failure, stream_of
from lastevent.sources.base import PATIENCE_SECONDS, Host, patiently
from lastevent.sources.command import Command, CommandSpec
from lastevent.stores.base import Store

log = logging.getLogger("lastevent")

KIND = "previews"
RECORD_SECONDS = 7 * 24 * 3600
"""How long the record of an ended preview is kept: as long as events are by default."""

MAX_LISTED = 100
SHUTDOWN_SECONDS = 5.0

PRIVATE_PREFIXES = ("LASTEVENT_", "UPSTASH_", "KV_", "AWS_")
PRIVATE_NAMES = frozenset({"NEXTAUTH_SECRET", "AUTH_SECRET", "VERCEL_TOKEN", "CRON_SECRET"})
"""Variables of the server's own, its stores' and its platforms': most of them are secrets."""
"""How long, beyond the grace, the last words of a preview may take when the server goes."""

GONE = "The server that ran this preview is gone; its process was ended. Start it again."
SHUT_DOWN = "The server was shut down, and this preview with it. Start it again."


@dataclass(slots=True)
class _Running:
    """A preview of this server. ``tasks``: its life first, then what stops it."""

    command: Command
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


@dataclass(slots=True)
class _Watch:
    """The one check of a preview for all its viewers in this process."""

    task: asyncio.Task[None]
    viewers: int = 0


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
        self._store = store
        self._lease_seconds = lease_seconds
        self._grace_seconds = grace_seconds
        self._max_running = max_running
        self._patience_seconds = patience_seconds
        self._host = secrets.token_hex(4)
        self._running: dict[str, _Running] = {}
        self._watches: dict[str, _Watch] = {}
        self._closing = False

    async def start(self, name: str) -> Preview:
        """Start the command of this name; return its preview, running or failed.

        Raises NotFound for a name that the settings do not have, Conflict when enough run here.
        """
        spec = self._commands.get(name)
        if spec is None:
            known = ", ".join(self.names) or "none"
            raise NotFound(
                f"there is no command {name[:80]!r} to preview; the settings name {known}"
            )
        if self._closing:
            raise Transient("this server is shutting down")
        # One whose command has ended has only its lease left to give back.
        if sum(it.command.exit is None for it in self._running.values()) >= self._max_running:
            raise Conflict(
                f"{self._max_running} previews run on this server: stop one of them first"
            )
        preview = Preview.new(name, self._host, _now())
        running = _Running(Command(_private(spec), name=name, grace_seconds=self._grace_seconds))
        self._running[preview.id] = running
        begun: asyncio.Future[Preview] = asyncio.get_running_loop().create_future()
        running.tasks.append(asyncio.create_task(self._live(preview, running, begun)))
        # It is a task's, so that a caller who leaves does not leave half a preview behind.
        return await asyncio.shield(begun)

    async def list(self) -> list[Preview]:
        """Return the newest previews, at most MAX_LISTED, newest first."""
        records = await self._store.records.query(KIND, limit=MAX_LISTED)
        return [await self._truth(Preview.parse(record.value)) for record in records]

    async def get(self, id: str) -> Preview:
        """Return a preview as it truly is; raise NotFound."""
        return await self._truth((await self._read(id))[0])

    async def stop(self, id: str) -> Preview:
        """Have a preview end, wherever it runs; return it, as a rule ``stopping``.

        Another server hears of it when it next renews the lease.
        """
        preview = await self.get(id)
        if preview.is_active:
            preview = await self._change(id, Preview.stopping)
        running = self._running.get(id)
        if running is not None and preview.is_active:
            running.tasks.append(asyncio.create_task(running.command.stop()))
        return preview

    @contextlib.asynccontextmanager
    async def watch(self, id: str) -> AsyncIterator[None]:
        """See, as long as this is held, that the log ends when the preview's server is gone."""
        watch = self._watches.get(id)
        if watch is None:
            watch = self._watches[id] = _Watch(asyncio.create_task(self._check(id)))
        watch.viewers += 1
        try:
            yield
        finally:
            watch.viewers -= 1
            if not watch.viewers:
                del self._watches[id]
                watch.task.cancel()
                await asyncio.wait([watch.task])

    async def aclose(self) -> None:
        """End all that runs here, say so in the logs, and return in bounded time."""
        self._closing = True
        for watch in self._watches.values():
            watch.task.cancel()
        tasks = []
        for running in self._running.values():
            running.tasks.append(asyncio.create_task(running.command.stop(SHUT_DOWN)))
            tasks += running.tasks
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._grace_seconds + SHUTDOWN_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=SHUTDOWN_SECONDS)

    # A preview of this server.

    async def _live(
        self, preview: Preview, running: _Running, begun: asyncio.Future[Preview]
    ) -> None:
        id, command = preview.id, running.command
        host = Host(
            self._store,
            preview.stream,
            lease_seconds=self._lease_seconds,
            patience_seconds=self._patience_seconds,
        )
        try:
            # The lease before the record: who finds the record with a free lease finds a dead host.
            await host.acquire()
            await self._store.records.put(KIND, id, preview.text, expect=0)
            try:
                await command.start()
            except OSError as error:
                reason = f"The command could not be started: {error.strerror or error}."
                await host.append([failure(reason, _now())], close=True)
                begun.set_result(await self._change(id, lambda it: it.failed(_now())))
                return
            begun.set_result(await self._change(id, Preview.running))
            running.tasks.append(asyncio.create_task(self._obey(id, command)))
            await host.run(command)
            await patiently(lambda: self._catch_up(id), self._patience_seconds)
        except (Fenced, StreamClosed) as error:
            log.warning("preview %s was ended, since its log is not ours any more: %s", id, error)
        except Exception as error:
            if not begun.done():
                begun.set_exception(error)
            elif isinstance(error, Transient):
                log.warning("preview %s was ended, since the store stays away: %s", id, error)
            else:
                log.exception("preview %s failed", id)
        finally:
            if not begun.done():
                begun.set_exception(Transient("this server is shutting down"))
            for task in running.tasks[1:]:
                task.cancel()
            await command.stop()
            await host.release()
            del self._running[id]

    async def _obey(self, id: str, command: Command) -> None:
        """Stop the command once the record says so: another server was asked to."""
        while True:
            with contextlib.suppress(Transient, NotFound):
                if (await self._read(id))[0].state == "stopping":
                    await command.stop()
                    return
            await asyncio.sleep(self._lease_seconds / 3)

    # A preview of whatever server.

    async def _truth(self, preview: Preview) -> Preview:
        if preview.is_active and preview.id not in self._running:
            return await self._bury(preview.id) or preview
        return preview

    async def _check(self, id: str) -> None:
        with contextlib.suppress(NotFound):
            while True:
                with contextlib.suppress(Transient):
                    if id not in self._running and not (await self.get(id)).is_active:
                        return
                await asyncio.sleep(self._lease_seconds / 2)

    async def _bury(self, id: str) -> Preview | None:
        """End the log and the record if nobody holds the lease; return None if somebody does."""
        stream = stream_of(id)
        leases = self._store.leases
        lease = await leases.acquire(stream, secrets.token_hex(8), self._lease_seconds)
        if lease is None:
            return None
        try:
            preview, _ = await self._read(id)
            if not preview.is_active:
                return preview
            with contextlib.suppress(StreamClosed):  # only its record is not up to date
                await self._store.log.append(
                    stream, [failure(GONE, _now())], fence=lease.token, close=True
                )
            return await self._catch_up(id)
        finally:
            with contextlib.suppress(Transient):
                await leases.release(lease)

    # Logs and records.

    async def _catch_up(self, id: str) -> Preview:
        """Bring the record to the end that the log has; return it."""
        stream = stream_of(id)
        extent = await self._store.log.describe(stream)
        page = await self._store.log.read(stream, extent.newest(1))
        if not page.events:  # it expired
            return await self._change(id, lambda it: it.failed(_now()))
        return await self._change(id, lambda it: it.ended(page.events[-1]))

    async def _read(self, id: str) -> tuple[Preview, int]:
        record = await self._store.records.get(KIND, id)
        if record is None:
            raise NotFound(f"there is no preview {id[:80]!r}")
        return Preview.parse(record.value), record.version

    async def _change(self, id: str, change: Callable[[Preview], Preview]) -> Preview:
        """Write the record anew; return it. Others may write it meanwhile."""
        while True:
            before, version = await self._read(id)
            after = change(before)
            if after == before:
                return after
            # What is active stays, however long it runs: somebody will find its end.
            seconds = None if after.is_active else RECORD_SECONDS
            with contextlib.suppress(Conflict):
                await self._store.records.put(KIND, id, after.text, expect=version, seconds=seconds)
                return after


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
