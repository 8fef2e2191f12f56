"""Buckets as points in time, and as one sum: what the page of the metrics shows.

Where nothing was told of a time there is no point, and where something was not measured there is
None: no data is not zero.
"""

from collections.abc import Mapping

from lastevent.services.metrics.bucket import DELIVERY, LEFT, PAGE_COUNTS, TRANSPORTS, Bucket

type Point = dict[str, object]

_MS = 1000


def points(buckets: Mapping[int, Bucket], bucket_seconds: int, step_seconds: int) -> list[Point]:
    """Return a point for each ``step_seconds`` of which there is something, by time.

    ``buckets`` are numbered by ``bucket_seconds`` since 1970, of which a step is a multiple.
    """
    steps: dict[int, Bucket] = {}
    for number, bucket in sorted(buckets.items()):
        steps.setdefault(number * bucket_seconds // step_seconds, Bucket()).follow(bucket)
    return [
        {"time": number * step_seconds * _MS, **rates(bucket)} for number, bucket in steps.items()
    ]


def rates(bucket: Bucket) -> Point:
    """Return what was counted: connections on average, the rest a minute or, of events, a second;
    latencies in ms. Minutes of which nothing was told are not among those that count."""
    counts = bucket.counts
    minutes = counts["minutes"] or 1
    seconds = 60 * minutes
    return {
        "connections": _round(counts["connected"] / (seconds * _MS)),
        "opened": _round(counts["opened"] / minutes),
        "planned": _round(bucket.planned() / minutes),
        "left": _round(counts[f"ended.{LEFT}"] / minutes),
        "reconnects": _round(bucket.reconnects() / minutes),
        "published": _round(counts["published"] / seconds),
        "delivered": _round(counts["delivered"] / seconds),
        "commands": _round(counts["commands"] / minutes) if "commands" in counts else None,
        **_latency(bucket, DELIVERY),
        **{name: _latency(bucket, name) for name in TRANSPORTS},
    }


def compared(bucket: Bucket) -> dict[str, Point]:
    """Return what pages told of each transport: users, what they asked for, how late they heard."""
    everybody = sum(bucket.user(name).count for name in TRANSPORTS)
    return {name: _of_transport(bucket, name, everybody) for name in TRANSPORTS}


def _of_transport(bucket: Bucket, transport: str, everybody: int) -> Point:
    users = bucket.user(transport).count
    counts = {name: bucket.counts[f"{transport}.{name}"] for name in PAGE_COUNTS}
    spent = bucket.counts[f"{transport}.userMinutes"]
    asked = counts["legs"] + counts["polls"]
    return {
        "users": users,
        "share": _round(users / everybody) if everybody else None,
        "events": bucket.latency(transport).count,
        "requests": _round(asked / spent) if spent else None,
        **_latency(bucket, transport),
        **counts,
    }


def _latency(bucket: Bucket, name: str) -> Point:
    latencies = bucket.latency(name)
    return {"p50": _round(latencies.quantile(0.5)), "p95": _round(latencies.quantile(0.95))}


def _round(number: float | None) -> float | None:
    """Return a number with as many digits as anybody reads."""
    return None if number is None else float(f"{number:.4g}")
