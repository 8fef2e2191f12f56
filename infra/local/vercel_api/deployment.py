"""A deployment: a script that began at a time. All that it is follows from the time of asking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from infra.local.vercel_api.chaos import Chaos
from infra.local.vercel_api.entries import Entry, entries, event, in_order, random_id
from infra.local.vercel_api.script import FINAL, LOG_TYPES, Phase, ReadyState, Script

DEFAULT_LIMIT = 100
MAX_ECHOED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project, which belongs to ``owner``: a user or a team."""

    id: str
    name: str
    owner: str
    created: int
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events are asked for. ``since`` and ``until`` are in Unix ms and included."""

    since: float | None = None
    until: float | None = None
    limit: int = DEFAULT_LIMIT
    backward: bool = False
    delimiters: bool = False


class Deployment:
    """One deployment of a ``project``, begun at ``begun`` (Unix ms)."""

    def __init__(
        self,
        id: str,
        project: Project,
        script: Script,
        *,
        begun: int,
        speed: float = 1.0,
        chaos: Chaos,
        scope: str,
        target: str | None = None,
        meta: Mapping[str, str] | None = None,
    ) -> None:
        chance = Random(id)
        self.id = id
        self.project = project
        self.script = script
        self.begun = begun
        self.chaos = chaos
        self.target = target
        self.meta = dict(meta or {})
        self.url = f"{project.name}-{random_id(chance, 9).lower()}-{scope}.vercel.app"
        self.inspector = f"https://vercel.com/{scope}/{project.name}/{id.removeprefix('dpl_')}"
        self.aliases = [f"{project.name}.vercel.app"] if target == "production" else []
        self.build = f"bld_{random_id(chance, 9).lower()}"
        self.entries = entries(script, begun, speed, chaos, id)
        self._times = [begun + round(phase.at * 1000 / speed) for phase in script.phases]
        self._answers = Random(f"{chaos.seed} answers {id}")

    @property
    def over(self) -> int | None:
        """When it is over, in Unix ms; None: never."""
        return self._times[-1] if self.script.phases[-1].state in FINAL else None

    @property
    def drained(self) -> float | None:
        """When its whole log can be seen, in Unix ms."""
        if self.over is None:
            return None
        return max([float(self.over), *(entry.visible for entry in self.entries)])

    def state(self, now: float) -> ReadyState:
        """Return its state at ``now`` (Unix ms)."""
        return self._reached(now)[-1][1].state

    def gone(self, now: float) -> bool:
        """Return whether its log is not kept any more."""
        chaos, drained = self.chaos, self.drained
        return chaos.gone is not None and drained is not None and now >= drained + chaos.gone * 1000

    def lines(self) -> list[Entry]:
        """Return what is to be read in the end: every log line once, by date and serial."""
        return in_order([entry for entry in self.entries if entry.line.type in LOG_TYPES])

    def events(self, asked: Selection, now: float) -> list[dict[str, Any]]:
        """Return one answer: what is visible at ``now``, with what is wrong with this answer."""
        seen = [entry for entry in self.entries if entry.visible <= now]
        if not asked.delimiters:
            seen = [entry for entry in seen if entry.line.type != "delimiter"]
        found = in_order([entry for entry in seen if _is_within(entry, asked)])
        if asked.backward:
            found.reverse()
        if asked.limit >= 0:
            found = found[: asked.limit]
        found = self._disordered(found, seen, asked)
        answer = [self._event(entry) for entry in found]
        return [*answer, *self._alias_assigned(asked, now)]

    def fresh(self, known: set[str], asked: Selection, now: float) -> list[dict[str, Any]]:
        """Return what became visible since, by arrival, for an answer that follows; ``known``
        takes the ids that were given."""
        arrived = sorted(self.entries, key=lambda entry: entry.visible)
        new = [
            entry
            for entry in arrived
            if entry.visible <= now and entry.id not in known and _is_within(entry, asked)
        ]
        known.update(entry.id for entry in new)
        return [self._event(entry) for entry in new]

    def document(self, creator: Mapping[str, str], now: float) -> dict[str, Any]:
        """Return it as `GET /v13/deployments/{idOrUrl}` does."""
        state = self.state(now)
        ready = state == "READY"
        times = {phase.state: at for at, phase in self._reached(now)}
        changing: dict[str, Any] = {
            "buildingAt": times.get("BUILDING"),
            "bootedAt": times.get("INITIALIZING"),
            "ready": times.get("READY"),
            "canceledAt": times.get("CANCELED"),
            "aliasAssignedAt": times.get("READY"),
            "readySubstate": ("PROMOTED" if self.aliases else "STAGED") if ready else None,
        }
        if state == "ERROR":
            changing["errorCode"] = self.script.error_code
            changing["errorMessage"] = self.script.error_message
            changing["errorStep"] = self.script.error_step
        if state == "BLOCKED":
            changing["readyStateReason"] = self.script.reason
        return {
            "id": self.id,
            "name": self.project.name,
            "url": self.url,
            "inspectorUrl": self.inspector,
            "readyState": state,
            "status": state,
            "createdAt": self.begun,
            "projectId": self.project.id,
            "project": {"id": self.project.id, "name": self.project.name, "framework": "nextjs"},
            "projectSettings": dict(self.project.settings),
            "ownerId": self.project.owner,
            "creator": {"uid": creator["id"], "username": creator["username"]},
            "target": self.target,
            "meta": self.meta,
            "alias": self.aliases,
            "aliasAssigned": ready,
            "aliasError": None,
            "build": {"env": []},
            "buildSkipped": False,
            "createdIn": "iad1",
            "env": [],
            "isInConcurrentBuildsQueue": False,
            "isInSystemBuildsQueue": False,
            "plan": "hobby",
            "public": False,
            "regions": ["iad1"],
            "routes": None,
            "type": "LAMBDAS",
            "version": 2,
            **{name: value for name, value in changing.items() if value is not None},
        }

    def _reached(self, now: float) -> list[tuple[int, Phase]]:
        """Return the phases until ``now``, with their times; the first one always."""
        phases = list(zip(self._times, self.script.phases, strict=True))
        return [phases[0], *((at, phase) for at, phase in phases[1:] if at <= now)]

    def _event(self, entry: Entry) -> dict[str, Any]:
        shape = self.chaos.shape
        if shape == "mixed":
            # The same line has now the one and now the other shape.
            shape = "flat" if self._answers.random() < 0.5 else "wrapped"
        return event(entry, self.id, self.build, shape)

    def _disordered(
        self, found: Sequence[Entry], seen: Sequence[Entry], asked: Selection
    ) -> list[Entry]:
        chaos, chance = self.chaos, self._answers
        result = []
        for entry in found:
            result.append(entry)
            if chance.random() < chaos.duplicates:
                result.insert(chance.randrange(len(result)), entry)
        if asked.since is not None and chance.random() < chaos.echo:
            older = [entry for entry in in_order(seen) if entry.date < asked.since]
            result = older[-MAX_ECHOED:] + result
        if chaos.shuffled:
            chance.shuffle(result)
        return result

    def _alias_assigned(self, asked: Selection, now: float) -> list[dict[str, Any]]:
        """Return the third shape, which has no id: it is in every answer that reaches so far."""
        over = self.over
        if over is None or now < over or self.state(now) != "READY":
            return []
        if asked.since is not None and asked.since > over:
            return []
        return [
            {
                "type": "alias-assigned",
                "deploymentId": self.id,
                "date": over,
                "alias": self.aliases or [self.url],
                "aliasError": None,
                "aliasWarning": None,
            }
        ]


def _is_within(entry: Entry, asked: Selection) -> bool:
    return (asked.since is None or entry.date >= asked.since) and (
        asked.until is None or entry.date <= asked.until
    )
