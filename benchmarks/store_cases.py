"""The cases of the stores, in turn: events that another process writes to the store.

Every case starts a fresh server on a fresh store, and checks what was delivered.
"""

from statistics import median

from benchmarks.cases import SATURATING, Case, Measured, Run, Scale, latency, tool
from benchmarks.marks import Verdict
from benchmarks.rig import STREAM, Rig, fresh, grounded, heard, publish_straight
from benchmarks.subjects import STORES, Subject
from benchmarks.usage import Usage

PACE = 20.0
"""Events a second, each appended alone."""

SETTLE_SECONDS = 0.5
"""After the subscribers are live, until a subscription of theirs to the store stands."""

PROCESSES = 4
BATCH = 100
BATCHES = 4
"""Batches on their way at once."""

MOST = 90_000
"""Events in one stream: of more than 100,000, a store keeps the newest only."""


def _crossing(subscribers: int) -> Run:
    """Latency, and what the server and the publisher ask of the store, by event."""

    async def run(subject: Subject, scale: Scale) -> Measured:
        async with fresh(subject) as rig:
            followed = await rig.followed(
                subscribers,
                lambda: rig.publish_straight(rate=PACE, seconds=scale.paced_seconds),
                timed=1,
                settle=SETTLE_SECONDS,
            )
        events = followed.events
        appended = Usage.parse(followed.published["usage"])
        figures = {
            **latency(followed, f"latency_{subscribers}"),
            **(appended / events).figures("append"),
            **(followed.usage / events).figures(f"delivery_{subscribers}"),
            f"delivery_{subscribers}_cpu": followed.cpu_seconds / events * 1e3,
        }
        return Measured(figures, followed.verdict, tool(followed))

    return run


APPENDS = {
    "append_singles": {"workers": SATURATING},
    "append_batches": {"workers": BATCHES, "batch": BATCH},
    "append_processes": {"workers": SATURATING // PROCESSES, "processes": PROCESSES},
}


async def appending(subject: Subject, scale: Scale) -> Measured:
    """Appends as fast as they are answered, each kind to a stream of its own; nobody reads yet."""
    figures: dict[str, float] = {}
    verdict = Verdict()
    async with fresh(subject) as rig:
        for key, task in APPENDS.items():
            published = await rig.publish_straight(
                stream=f"{STREAM}-{key}",
                seconds=scale.saturated_seconds,
                events=MOST // task.get("processes", 1),
                **task,
            )
            events = len(published["order"])
            used = Usage.parse(published["usage"]) / events
            figures |= {key: published["events_per_second"], **used.figures(key)}
            verdict += await rig.read_back(published["order"], f"{STREAM}-{key}")
    return Measured(figures, verdict)


async def replay(subject: Subject, scale: Scale) -> Measured:
    """A history read from the store, by a server that was not there when it was written."""
    async with grounded(subject) as ground:
        assert ground is not None
        first = await publish_straight(ground, events=1)
        published = await publish_straight(ground, events=scale.history, batch=500, first=1)
        async with (
            Rig.of(subject, ground) as rig,
            rig.subscribers(replays=scale.replays) as audience,
        ):
            before = await rig.usage()
            got = await heard(audience, published["order"], first["last_id"])
            used = (await rig.usage() - before) / scale.replays
    figures = {
        "replay": len(published["order"]) / median(got["seconds"]),
        "replay_first": median(got["first"]) * 1e3,
        **used.figures("replay"),
    }
    return Measured(figures, Verdict(**got["verdict"]))


async def churn(subject: Subject, scale: Scale) -> Measured:
    """A hundred clients that are cut two hundred times a second, and what coming back takes."""
    async with fresh(subject) as rig:
        before, cpu = await rig.usage(), rig.server.cpu_seconds()
        got = await rig.churned(
            lambda: rig.publish_straight(rate=PACE, seconds=scale.paced_seconds),
            seconds=scale.paced_seconds,
        )
        used, cpu = await rig.usage() - before, rig.server.cpu_seconds() - cpu
    figures = {
        "churn_cuts": got["cuts"] / got["seconds"],
        "churn_p50": got["wait_p50"],
        "churn_p99": got["wait_p99"],
        "churn_cpu": cpu / got["cuts"] * 1e3,
        **(used / got["cuts"]).figures("churn"),
    }
    tool = {"subscribers_cpu": got["cpu_seconds"] / got["seconds"]}
    return Measured(figures, Verdict(**got["verdict"]), tool)


CASES = (
    Case("latency to 1", _crossing(1), STORES),
    Case("latency to 100", _crossing(100), STORES),
    Case("appending", appending, STORES),
    Case("replay", replay, STORES),
    Case("churn", churn, STORES),
)
