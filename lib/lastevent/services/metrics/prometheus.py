"""Everything that was counted, as text for a scraper.

In Prometheus's text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/), or
in OpenMetrics 1.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/) for those who would
rather have that: there a counter's family goes without ``_total``, and the text has an end.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lastevent.services.metrics.bucket import DELIVERY, ENDS, PAGE_COUNTS, TRANSPORTS, Bucket
from lastevent.services.metrics.histogram import Histogram

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

type _Sample = tuple[str, float]
"""Labels as they are written, perhaps none, and the value."""


@dataclass(frozen=True, slots=True)
class Now:
    """What is so at present: ``minute``, the last one that all servers have told of, None if none
    has. ``store`` and ``version`` are names."""

    minute: Bucket | None
    store: str
    version: str


def accepted(accept: str) -> str:
    """Return the content type that an Accept header asks for (RFC 9110 §12.5.1): plain text, unless
    OpenMetrics is preferred."""
    wishes = {"text/plain": 0.0, "application/openmetrics-text": 0.0}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((it[2:] for it in parameters if it.startswith("q=")), "1")
        if kind in wishes:
            wishes[kind] = max(wishes[kind], _weight(weight))
    plain, open_metrics = wishes.values()
    return OPEN_METRICS if open_metrics > plain else TEXT


def exposition(total: Bucket, now: Now, content_type: str) -> str:
    """Return the text of ``content_type``."""
    is_open = content_type == OPEN_METRICS
    lines = [*_families(total, now, is_open), *(["# EOF"] if is_open else [])]
    return "\n".join(lines) + "\n"


def _families(total: Bucket, now: Now, is_open: bool) -> Iterator[str]:
    counts = total.counts

    def counter(name: str, help: str, samples: list[_Sample]) -> Iterator[str]:
        family = name if is_open else f"{name}_total"
        yield from _head(family, "counter", help)
        yield from (f"{name}_total{labels} {_number(value)}" for labels, value in samples)

    yield from _head("lastevent_build", "gauge", "What is running, always 1.")
    labels = _labels(version=now.version, store=now.store)
    yield f"lastevent_build{labels} 1"

    yield from counter(
        "lastevent_legs", "Responses to event streams begun.", [("", counts["opened"])]
    )
    yield from counter(
        "lastevent_legs_resumed",
        "Those of clients that had been here before.",
        [("", counts["resumed"])],
    )
    yield from counter(
        "lastevent_legs_ended",
        "Responses to event streams ended, by reason; left: the client went.",
        [(_labels(reason=reason), counts[f"ended.{reason}"]) for reason in ENDS],
    )
    yield from counter(
        "lastevent_connected_seconds",
        "How long connections were open, all together.",
        [("", counts["connected"] / 1000)],
    )
    yield from counter("lastevent_polls", "Answers of the JSON face.", [("", counts["polls"])])
    yield from counter(
        "lastevent_events_published", "Events appended to streams.", [("", counts["published"])]
    )
    yield from counter(
        "lastevent_events_delivered", "Events sent to readers.", [("", counts["delivered"])]
    )
    if "commands" in counts:
        yield from counter(
            "lastevent_store_commands",
            "What the store was asked for.",
            [("", counts["commands"])],
        )
    yield from counter(
        "lastevent_client_requests",
        "What pages counted, by their transport.",
        [
            (_labels(transport=transport, kind=kind), counts[f"{transport}.{kind}"])
            for transport in TRANSPORTS
            for kind in PAGE_COUNTS
        ],
    )
    yield from _histogram(
        "lastevent_delivery_latency_seconds",
        "From the store's acknowledgement to the readers' connections.",
        [("", total.latency(DELIVERY))],
    )
    yield from _histogram(
        "lastevent_client_latency_seconds",
        "From the store's acknowledgement to the page, as pages measured.",
        [(f'transport="{name}"', total.latency(name)) for name in TRANSPORTS],
    )
    yield from _now(now)


def _now(now: Now) -> Iterator[str]:
    """Yield what the last minute says: nothing where there was none."""
    minute = now.minute
    if minute is None:
        return
    gauges: list[tuple[str, str, Callable[[Bucket], list[_Sample]]]] = [
        (
            "lastevent_connections",
            "Connections open on average in the last minute.",
            lambda it: [("", it.counts["connected"] / 60_000)],
        ),
        (
            "lastevent_reconnects_per_minute",
            "Clients that came back in the last minute though nobody sent them away.",
            lambda it: [("", it.reconnects())],
        ),
        (
            "lastevent_servers",
            "Processes that told of the last minute.",
            lambda it: [("", len(it.servers))],
        ),
        (
            "lastevent_users",
            "Users whose pages told of the last minute, by transport.",
            lambda it: [(_labels(transport=name), it.user(name).count) for name in TRANSPORTS],
        ),
    ]
    for name, help, samples in gauges:
        yield from _head(name, "gauge", help)
        yield from (f"{name}{labels} {_number(value)}" for labels, value in samples(minute))


def _histogram(name: str, help: str, series: list[tuple[str, Histogram]]) -> Iterator[str]:
    yield from _head(name, "histogram", help)
    for label, latencies in series:
        for end, count in latencies.up_to():
            labels = ",".join(filter(None, [label, f'le="{_number(end / 1000)}"']))
            yield f"{name}_bucket{{{labels}}} {count}"
        braces = f"{{{label}}}" if label else ""
        yield f"{name}_sum{braces} {_number(latencies.sum / 1000)}"
        yield f"{name}_count{braces} {latencies.count}"


def _head(family: str, kind: str, help: str) -> Iterator[str]:
    yield f"# HELP {family} {help}"
    yield f"# TYPE {family} {kind}"


def _labels(**labels: str) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return f"{value:.15g}"


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
