"""What is told of a deployment, as batches of events, each with the position after it. No IO.

    log        {"time": "HH:MM:SS.mmm" (UTC), "date", "level", "text", "step", "id"}
    progress   {"percent", "text": "Building 45 %"}: only when it changed
    state      {"state", "readyState", "url", "error"?}: when it changed, and once more, with
               "over": true, as the last event
    failure    {"error", "time"}: the vendor has no log any more

A position is JSON: the window of what has been told, the progress, the state told last, and the
times by which the end of the log is known.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from lastevent.core.event import Event, NewEvent
from lastevent.sources.base import MAX_BATCH_BYTES, Batch
from lastevent.sources.vercel.events import LogEvent
from lastevent.sources.vercel.progress import Progress, Took
from lastevent.sources.vercel.snapshot import ENDING, Snapshot
from lastevent.sources.vercel.window import Window
from lastevent.stores.base import MAX_BATCH_EVENTS

MAX_LINES = MAX_BATCH_EVENTS - 10
"""Lines of a batch: room is left for what goes with them."""

NO_LOG = "Vercel has no log of this deployment any more."


class Telling:
    """What has been told so far, and what is told next.

    ``news``: when something new came last; ``over``: when the deployment was first known to be
    over. Both are in Unix ms, for whoever goes on from the position; None if it never was.
    """

    def __init__(self, window: Window, progress: Progress, state: str | None) -> None:
        self.window = window
        self.progress = progress
        self.news: int | None = None
        self.over: int | None = None
        self._state_told = state
        self._progress_told: str | None = None

    @classmethod
    def parse(cls, position: str | None) -> "Telling":
        """Go on from a position; None is the beginning."""
        if position is None:
            return cls(Window(), Progress(), None)
        it = json.loads(position)
        window = Window.parse(it["since"], it["told"])
        telling = cls(window, Progress(**it["progress"]), it["state"])
        telling.news, telling.over = it["news"], it["over"]
        telling._progress_told = telling.progress.text  # with what led to the position
        return telling

    @property
    def position(self) -> str:
        """Where to go on, once all that was returned so far is stored."""
        known = {
            "since": self.window.since,
            "told": self.window.told,
            "progress": asdict(self.progress),
            "state": self._state_told,
            "news": self.news,
            "over": self.over,
        }
        return json.dumps(known, separators=(",", ":"))

    def batches(
        self,
        fresh: Sequence[LogEvent],
        now: Snapshot,
        took: Took | None = None,
        quiet_seconds: float = 0.0,
    ) -> Iterator[Batch]:
        """Yield what is new: events of the log that have not been told, in order, and the state.

        ``took`` and ``quiet_seconds`` are for the progress, as Progress.at has them.
        """
        events: list[NewEvent] = []
        size = told = 0
        if now.ready_state not in ENDING:
            events += self._state(now)
        for index, event in enumerate(fresh):
            progress = self.progress.after(event)
            if event.text is not None:
                line = _line(event, progress)
                if len(events) >= MAX_LINES or size + line.size > MAX_BATCH_BYTES:
                    # Until all is told it is not ready.
                    events += self._percent("BUILDING", took, quiet_seconds)
                    self.window.tell(fresh[told:index], before=event)
                    yield Batch(events, self.position)
                    events, size, told = [], 0, index
                    progress = self.progress.after(event)
                events.append(line)
                size += line.size
            self.progress = progress
        self.window.tell(fresh[told:])
        if now.ready_state in ENDING:
            events += self._state(now)
        events += self._percent(now.ready_state, took, quiet_seconds)
        if events:
            yield Batch(events, self.position)

    def last(self, now: Snapshot, *, lost: bool) -> Batch:
        """Return the batch with which it ends. ``lost``: the log, or its rest, cannot be had."""
        said: list[NewEvent] = []
        if lost:
            time = int(datetime.now(UTC).timestamp() * 1000)
            said.append(_event("failure", {"error": NO_LOG, "time": time}))
        said.append(_event("state", {**_described(now), "over": True}))
        return Batch(said, self.position, over=True)

    def _state(self, now: Snapshot) -> list[NewEvent]:
        if now.ready_state == self._state_told:
            return []
        self._state_told = now.ready_state
        return [_event("state", _described(now))]

    def _percent(self, state: str, took: Took | None, quiet_seconds: float) -> list[NewEvent]:
        self.progress = self.progress.at(state, took, quiet_seconds)
        text = self.progress.text
        if text == self._progress_told:
            return []
        self._progress_told = text
        return [_event("progress", {"percent": self.progress.percent, "text": text})]


def ended_blocked(last: Event) -> bool:
    """Whether a log that ends with this event does so because its deployment was blocked."""
    if last.type == "state":
        with suppress(ValueError, TypeError, KeyError):  # whoever may append may have closed it
            return bool(json.loads(last.data)["readyState"] == "BLOCKED")
    return False


def _line(event: LogEvent, progress: Progress) -> NewEvent:
    told = {
        "time": clock(event.date),
        "date": event.date,
        "level": event.level,
        "text": event.text,
        "step": event.step or progress.step,
        "id": event.id,
    }
    return _event("log", told)


def _described(now: Snapshot) -> dict[str, Any]:
    told = {"state": now.state, "readyState": now.ready_state, "url": now.url}
    return told if now.error is None else {**told, "error": now.error}


def clock(ms: int) -> str:
    """Return a time in Unix ms as ``HH:MM:SS.mmm``, in UTC."""
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds % 86_400, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}.{ms:03}"


def _event(type: str, told: dict[str, Any]) -> NewEvent:
    return NewEvent(type, json.dumps(told, ensure_ascii=False, separators=(",", ":")))
