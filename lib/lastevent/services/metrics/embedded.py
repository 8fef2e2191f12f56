"""A bucket as a line of CloudWatch's embedded metric format: CloudWatch makes metrics of what a
function writes to its log.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
from collections.abc import Mapping

from lastevent.services.metrics.bucket import DELIVERY, LEFT, Bucket
from lastevent.services.metrics.histogram import Histogram

NAMESPACE = "Lastevent"
MAX_VALUES = 100
"""Of one metric in one line, by the specification."""

_COUNT, _MS, _SECONDS = "Count", "Milliseconds", "Seconds"


def line(minute: int, bucket: Bucket, dimensions: Mapping[str, str]) -> str:
    """Return what one process counted in a minute since 1970, as a line of JSON.

    Latencies are at most MAX_VALUES of them, spread evenly over all, so that CloudWatch's own
    percentiles come out right; where there are none, the metric is left out.
    """
    counts = bucket.counts
    values: dict[str, tuple[str, float | list[float]]] = {
        "ConnectedSeconds": (_SECONDS, round(counts["connected"] / 1000, 3)),
        "LegsOpened": (_COUNT, counts["opened"]),
        "LegsResumed": (_COUNT, counts["resumed"]),
        "PlannedEnds": (_COUNT, bucket.planned()),
        "ClientsLeft": (_COUNT, counts[f"ended.{LEFT}"]),
        "EventsPublished": (_COUNT, counts["published"]),
        "EventsDelivered": (_COUNT, counts["delivered"]),
        "Polls": (_COUNT, counts["polls"]),
    }
    if "commands" in counts:
        values["StoreCommands"] = (_COUNT, counts["commands"])
    if sample := _sample(bucket.latency(DELIVERY)):
        values["DeliveryLatency"] = (_MS, sample)
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name, "Unit": unit} for name, (unit, _) in values.items()],
    }
    whole = {
        "_aws": {"Timestamp": minute * 60_000, "CloudWatchMetrics": [directive]},
        **dimensions,
        **{name: value for name, (_, value) in values.items()},
    }
    return json.dumps(whole, separators=(",", ":"))


def _sample(latencies: Histogram) -> list[float]:
    size = min(latencies.count, MAX_VALUES)
    found = (latencies.quantile((number + 0.5) / size) for number in range(size))
    return [round(ms, 3) for ms in found if ms is not None]
