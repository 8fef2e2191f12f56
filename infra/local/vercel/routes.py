"""Where a path leads: the phases of config.json's routes, with a look at the files after each.

https://vercel.com/docs/build-output-api/configuration#routes
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.local.child import ServerFailed
from infra.local.vercel.output import Function, Output

PHASES = ("", "filesystem", "resource", "miss", "rewrite")
"""In the order of their turn; ``error`` comes when all have failed, ``hit`` is not emulated."""

KNOWN_KEYS = {"src", "dest", "headers", "status", "continue", "transforms"}


@dataclass(frozen=True, slots=True)
class Target:
    """What answers a request: a redirect (``status`` 3xx), a file, a function, or nothing (404).

    ``path`` is what a function is asked for; ``headers`` go on the answer.
    """

    status: int = 200
    file: Path | None = None
    function: Function | None = None
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Route:
    source: re.Pattern[str]
    dest: str | None
    shown: str | None
    headers: Mapping[str, str]
    status: int | None
    goes_on: bool

    @classmethod
    def parse(cls, route: Mapping[str, Any]) -> "_Route":
        transforms = route.get("transforms", [])
        shown = None
        for transform in transforms:
            if (transform["type"], transform["op"]) != ("request.path", "set"):
                raise ServerFailed(f"a route transforms in a way not emulated: {transform}")
            shown = transform["args"]
        if route.keys() - KNOWN_KEYS:
            raise ServerFailed(f"a route has what is not emulated: {dict(route)}")
        return cls(
            re.compile(route["src"], re.IGNORECASE),
            route.get("dest"),
            shown,
            route.get("headers", {}),
            route.get("status"),
            route.get("continue", False),
        )


class Routes:
    """The routes of an output."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._phases: dict[str, list[_Route]] = {}
        phase = ""
        for route in output.routes:
            if "handle" in route:
                phase = route["handle"]
                if phase not in (*PHASES, "error"):
                    raise ServerFailed(f"the phase {phase} of the routes is not emulated")
            else:
                self._phases.setdefault(phase, []).append(_Route.parse(route))

    def resolve(self, path: str) -> Target:
        """Return what answers ``path``."""
        shown = path
        headers: dict[str, str] = {}
        for phase in PHASES:
            for route in self._phases.get(phase, ()):
                found = route.source.match(path)
                if found is None:
                    continue
                headers |= {name: _filled(text, found) for name, text in route.headers.items()}
                if route.status is not None and 300 <= route.status < 400:
                    return Target(route.status, headers=headers)
                if route.dest is not None:
                    shown = _filled(route.shown, found) if route.shown else shown
                    path = _filled(route.dest, found)
                if not route.goes_on:
                    break
            if path in self._output.files:
                return Target(file=self._output.files[path], headers=headers)
            if path in self._output.functions:
                return Target(function=self._output.functions[path], path=shown, headers=headers)
        return self._nowhere(path, headers)

    def _nowhere(self, path: str, headers: Mapping[str, str]) -> Target:
        routes: Sequence[_Route] = self._phases.get("error", ())
        for route in routes:
            if route.status == 404 and route.dest and route.source.match(path):
                return Target(404, file=self._output.files.get(route.dest), headers=headers)
        return Target(404, headers=headers)


def _filled(template: str, found: re.Match[str]) -> str:
    """Return a template with ``$1`` and the like replaced; a group without a match is empty."""
    return re.sub(r"\$(\d)", lambda number: found[int(number[1])] or "", template)
