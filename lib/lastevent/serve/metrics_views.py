"""What all servers counted, as the page of the metrics and scrapers ask for it.

Read from the store, never from this process: who asks hears the same from every server. An answer
is kept for KEEP_SECONDS, for all who look at the same time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import time
from typing import TYPE_CHECKING, TypeVar, cast

from lastevent import __version__
from lastevent.core.errors import NotFound
from lastevent.serve.metrics import SETTLED_SECONDS, Metrics, metrics_of
from lastevent.serve.service import Service
from lastevent.services.metrics.bucket import Bucket
from lastevent.services.metrics.series import Point, compared, points, rates

if TYPE_CHECKING:
    from lastevent.services.incident import Incident

T = TypeVar("T")

KEEP_SECONDS = 10.0
MAX_KEPT = 16
RECENT_MINUTES = 5
"""Latencies of the present are those of so many minutes: one alone may be without an event."""

DAY_MINUTES = 1440
MAX_MINUTES = 30 * DAY_MINUTES
FINE_MINUTES = 180
"""Of more than this, points are of five minutes each; of more than a day, of an hour."""

MAX_INCIDENTS = 20


class Views:
    """Answers of one process. Belongs to one event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._kept: dict[object, tuple[float, asyncio.Future[object]]] = {}

    async def history(self, minutes: int) -> Point:
        """Return the points of the last so many minutes, their sum, and what is so at present.

        Raises NotFound where nothing is counted, and Transient.
        """
        metrics = self.metrics()
        return await self._shared(minutes, lambda: self._history(metrics, minutes))

    async def exposition(self, content_type: str) -> str:
        """Return everything that was counted, as text for scrapers. Raises as ``history`` does."""
        metrics = self.metrics()
        return await self._shared(content_type, lambda: self._exposition(metrics, content_type))

    def metrics(self) -> Metrics:
        """Return the counts of this process; raise NotFound where nothing is counted."""
        metrics = self._service.part(metrics_of)
        if metrics is None:
            raise NotFound("nothing is counted here: LASTEVENT_METRICS is off")
        return metrics

    async def _shared(self, key: object, read: Callable[[], Awaitable[T]]) -> T:
        """Return what is kept, or is being read just now, or read it; a failure is not kept."""
        now = time()
        expires, kept = self._kept.get(key, (0.0, None))
        if kept is None or now > expires:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            kept = asyncio.ensure_future(cast(Awaitable[object], read()))
            self._kept[key] = now + KEEP_SECONDS, kept
        try:
            return cast(T, await asyncio.shield(kept))
        except Exception:
            if self._kept.get(key, (0.0, None))[1] is kept:
                del self._kept[key]
            raise

    async def _history(self, metrics: Metrics, minutes: int) -> Point:
        last = _settled()
        step = 1 if minutes <= FINE_MINUTES else 5 if minutes <= DAY_MINUTES else 60
        # Whole steps only: one that is not over would look like a fall.
        end = (last + 1) // step * step
        first = end - minutes // step * step
        if step < 60:
            found = await metrics.minutes.minutes(first, last)
            recent: Mapping[int, Bucket] = found
            buckets = {minute: bucket for minute, bucket in found.items() if minute < end}
        else:
            buckets = await metrics.minutes.hours(first // 60, end // 60 - 1)
            recent = await metrics.minutes.minutes(last - RECENT_MINUTES + 1, last)
        whole = Bucket()
        for bucket in buckets.values():
            whole.follow(bucket)
        return {
            "from": first * 60_000,
            "to": end * 60_000,
            "step": step * 60,
            "points": points(buckets, 60 if step < 60 else 3600, step * 60),
            "now": _now(recent, last),
            "whole": rates(whole) if buckets else None,
            "transports": compared(whole),
            "store": self._service.store.name,
            **await self._alerts(),
        }

    async def _alerts(self) -> Point:
        """Return the thresholds in force, and the incidents that go on."""
        settings = self._service.settings
        if settings.alert_url is None:
            return {"thresholds": {"reconnects": None}, "incidents": []}
        from lastevent.serve.alerts import alerts_of

        alerts = self._service.part(alerts_of)
        going_on = [] if alerts is None else await alerts.going_on(MAX_INCIDENTS)
        return {
            "thresholds": {"reconnects": settings.alert_reconnects or None},
            "incidents": [_incident(it) for it in going_on],
        }

    async def _exposition(self, metrics: Metrics, content_type: str) -> str:
        from lastevent.services.metrics.prometheus import Now, exposition

        last = _settled()
        total = await metrics.minutes.total(last)
        minute = (await metrics.minutes.minutes(last, last)).get(last)
        return exposition(total, Now(minute, self._service.store.name, __version__), content_type)


def _settled() -> int:
    """Return the last minute that all servers have told of, by and large."""
    return int((time() - SETTLED_SECONDS) // 60) - 1


def _now(buckets: Mapping[int, Bucket], last: int) -> Point | None:
    if last not in buckets:
        return None
    recent = Bucket()
    for minute in range(last - RECENT_MINUTES + 1, last + 1):
        if minute in buckets:
            recent.follow(buckets[minute])
    latency = {name: rates(recent)[name] for name in ("p50", "p95")}
    return {**rates(buckets[last]), **latency, "servers": len(buckets[last].servers)}


def _incident(incident: "Incident") -> Point:
    return {
        "id": incident.id,
        "kind": incident.kind,
        "title": incident.title,
        "opened": incident.opened,
        "seen": incident.seen,
    }
