"""A script's lines as the entries of one deployment's log: dated, numbered, seen at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from infra.local.vercel_api.chaos import Chaos
from infra.local.vercel_api.script import Line, Script

ID_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. ``date`` is in Unix ms; ``visible`` is when the API first has it, in Unix ms.

    Entries sort by their dates, and within a millisecond by ``serial``; ``id`` has no order.
    """

    id: str
    date: int
    serial: str
    visible: float
    line: Line


def entries(
    script: Script, begun: int, speed: float, chaos: Chaos, deployment: str
) -> tuple[Entry, ...]:
    """Return the log of a deployment that began at ``begun`` (Unix ms), in its order.

    At a ``speed`` of 10 a minute of the script passes in six seconds.
    """
    chance = Random(f"{chaos.seed} {deployment}")
    over = begun + round(script.phases[-1].at * 1000 / speed)
    dates = [begun + round(line.at * 1000 / speed) for line in script.lines]
    if chaos.same_ms > 1:
        # The first of a group lends the others its date.
        dates = [dates[number - number % chaos.same_ms] for number in range(len(dates))]
    tail = len(dates) - chaos.tail_lines if chaos.tail else len(dates)
    made = []
    for number, (line, date) in enumerate(zip(script.lines, dates, strict=True)):
        visible = float(date)
        if chaos.late and chance.random() < chaos.late_share:
            visible += chance.uniform(0, chaos.late) * 1000
        if number >= tail:
            part = (number + 1 - tail) / (len(dates) - tail)
            visible = max(visible, over + chaos.tail * 1000 * part)
        serial = f"{date:013d}{number:015d}"
        made.append(Entry(f"evt_{random_id(chance, 20)}", date, serial, visible, line))
    return tuple(made)


def random_id(chance: Random, length: int) -> str:
    """Return letters and digits that are not easily taken for one another."""
    return "".join(chance.choices(ID_LETTERS, k=length))


def event(
    entry: Entry, deployment: str, build: str, shape: Literal["wrapped", "flat"]
) -> dict[str, Any]:
    """Return an entry as the API gives it (SDK, `getDeploymentEvents`, the first two shapes)."""
    line = entry.line
    info = {
        "type": "build",
        "name": build,
        "entrypoint": line.entrypoint,
        "step": line.step,
        "readyState": line.ready_state,
    }
    common = {
        "deploymentId": deployment,
        "info": {name: value for name, value in info.items() if value is not None},
        "id": entry.id,
        "date": entry.date,
        "serial": entry.serial,
        **({} if line.text is None else {"text": line.text}),
    }
    if shape == "wrapped":
        return {"type": line.type, "created": entry.date, "payload": common}
    level = {} if line.level is None else {"level": line.level}
    return {"type": line.type, "created": entry.date, **common, **level}


def in_order(found: Sequence[Entry]) -> list[Entry]:
    """Return entries by date and serial."""
    return sorted(found, key=lambda entry: (entry.date, entry.serial))
