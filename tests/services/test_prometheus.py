"""The text for scrapers, read by the rules of its two formats.

https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

import math
import re

import pytest

from lastevent.services.metrics.bucket import ENDS, Bucket
from lastevent.services.metrics.prometheus import OPEN_METRICS, TEXT, Now, accepted, exposition

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)")
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}

type Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: str, content_type: str) -> Samples:
    """Return the samples of an exposition; fail wherever a scraper might."""
    assert text.endswith("\n")
    assert "\r" not in text
    lines = text.removesuffix("\n").split("\n")
    if content_type == OPEN_METRICS:
        assert lines.pop() == "# EOF"
    suffixes = SUFFIXES | {"counter": ("_total",) if content_type == OPEN_METRICS else ("",)}
    families: dict[str, str] = {}
    samples: Samples = {}
    family, described = "", ""
    for line in lines:
        if line.startswith("# HELP "):
            described = line.split(" ", 3)[2]
        elif line.startswith("# TYPE "):
            family, kind = line.split(" ")[2:]
            assert family == described
            assert family not in families, "a family is all in one place"
            families[family] = kind
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            name, labels, value = found.groups()
            kind = families[family]
            assert name in {family + suffix for suffix in suffixes[kind]}, line
            if kind == "counter":
                assert name.endswith("_total")
            pairs = tuple(LABEL.findall(labels or ""))
            assert ",".join(f'{key}="{text}"' for key, text in pairs) == (labels or "")
            assert (name, pairs) not in samples
            samples[name, pairs] = float(value.replace("+Inf", "inf"))
    return samples


def total() -> Bucket:
    bucket = Bucket()
    bucket.counts.update(
        {"opened": 10, "resumed": 7, "ended.duration": 6, "ended.left": 2, "connected": 90_500}
        | {"published": 5, "delivered": 50, "polls": 3, "commands": 40, "stream.legs": 9}
    )
    for ms in (0.5, 3, 3, 90, 10**6):
        bucket.latency("delivery").observe(ms)
    return bucket


@pytest.mark.parametrize("kind", [TEXT, OPEN_METRICS])
def test_everything_is_there_in_the_form_that_scrapers_read(kind: str) -> None:
    minute = Bucket()
    minute.counts["connected"] = 120_000
    minute.user("stream").add("anna")
    minute.servers = {"a", "b"}
    samples = read(exposition(total(), Now(minute, "sqlite", '1.0"\\\n'), kind), kind)
    assert samples["lastevent_legs_total", ()] == 10
    assert samples["lastevent_connected_seconds_total", ()] == 90.5
    ended = {labels: value for (name, labels), value in samples.items() if "legs_ended" in name}
    assert ended[("reason", "duration"),] == 6
    assert ended[("reason", "left"),] == 2
    assert len(ended) == len(ENDS)
    assert samples["lastevent_store_commands_total", ()] == 40
    labels = (("transport", "stream"), ("kind", "legs"))
    assert samples["lastevent_client_requests_total", labels] == 9
    assert samples["lastevent_connections", ()] == 2
    assert samples["lastevent_servers", ()] == 2
    assert samples["lastevent_users", (("transport", "stream"),)] == 1
    build = (("version", r"1.0\"\\\n"), ("store", "sqlite"))
    assert samples["lastevent_build", build] == 1


@pytest.mark.parametrize("kind", [TEXT, OPEN_METRICS])
def test_a_histogram_is_cumulative_and_ends_in_infinity(kind: str) -> None:
    samples = read(exposition(total(), Now(None, "x", "1"), kind), kind)
    name = "lastevent_delivery_latency_seconds"
    buckets = [
        (float(dict(labels)["le"].replace("+Inf", "inf")), value)
        for (found, labels), value in samples.items()
        if found == f"{name}_bucket"
    ]
    ends, counts = [end for end, _ in buckets], [count for _, count in buckets]
    assert ends == sorted(set(ends))
    assert counts == sorted(counts)
    assert (ends[-1], counts[-1]) == (math.inf, 5)
    assert samples[f"{name}_count", ()] == 5
    assert samples[f"{name}_sum", ()] == pytest.approx(1000.0965)
    assert dict(buckets)[0.004] == 3, "of 4 ms at most"


def test_no_data_is_no_sample() -> None:
    samples = read(exposition(Bucket(), Now(None, "sqlite", "1"), TEXT), TEXT)
    names = {name for name, _ in samples}
    assert "lastevent_connections" not in names
    assert "lastevent_store_commands_total" not in names
    assert samples["lastevent_legs_total", ()] == 0


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain", TEXT),
        ("text/html,application/xhtml+xml,*/*;q=0.8", TEXT),
        ("application/openmetrics-text", OPEN_METRICS),
        ("application/openmetrics-text; version=1.0.0", OPEN_METRICS),
        ("text/plain;q=0.5, application/openmetrics-text;q=0.4", TEXT),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,"
            "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            OPEN_METRICS,
        ),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=x,text/plain;q=", TEXT),
    ],
)
def test_who_asks_says_which_form(accept: str, kind: str) -> None:
    assert accepted(accept) == kind
