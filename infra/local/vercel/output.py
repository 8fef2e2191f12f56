"""A built output: its function, its static files, its routes (Build Output API v3).

https://vercel.com/docs/build-output-api
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.child import ServerFailed

KNOWN_KEYS = {"version", "routes", "overrides", "crons"}


@dataclass(frozen=True, slots=True)
class Function:
    """A built function. ``max_duration`` in seconds; ``environment`` is what the build sets."""

    directory: Path
    handler: str
    runtime: str
    max_duration: float
    environment: Mapping[str, str]

    @property
    def module(self) -> str:
        """The module whose import starts the function."""
        return self.handler.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Output:
    """What a build made: functions and static files by their paths, and the routes as written.

    ``crons``: the paths that are called on a schedule.
    """

    functions: Mapping[str, Function]
    files: Mapping[str, Path]
    routes: Sequence[Mapping[str, Any]]
    crons: Sequence[str] = ()


def load(directory: Path) -> Output:
    """Read the output in ``directory``; raise ServerFailed for what this emulator cannot run."""
    try:
        config: dict[str, Any] = json.loads((directory / "config.json").read_text())
        functions = {
            f"/{path.parent.relative_to(directory / 'functions').with_suffix('')}": _function(path)
            for path in sorted((directory / "functions").rglob(".vc-config.json"))
        }
    except (OSError, ValueError, KeyError) as error:
        raise ServerFailed(
            f"{directory} holds no built output ({error!r}): python -m infra.vercel.build"
        ) from error
    if config["version"] != 3 or config.keys() - KNOWN_KEYS:
        raise ServerFailed(f"config.json says what is not emulated: {', '.join(config)}")
    overrides: Mapping[str, Mapping[str, str]] = config.get("overrides", {})
    return Output(
        functions,
        _files(directory / "static", overrides),
        config.get("routes", []),
        [cron["path"] for cron in config.get("crons", [])],
    )


def _function(path: Path) -> Function:
    config: dict[str, Any] = json.loads(path.read_text())
    if "filePathMap" in config:
        raise ServerFailed("the function's files are elsewhere: build with --standalone")
    if not config["supportsResponseStreaming"]:
        raise ServerFailed("a function that does not stream is not emulated")
    return Function(
        path.parent,
        config["handler"],
        config["runtime"],
        float(config["maxDuration"]),
        config["environment"],
    )


def _files(directory: Path, overrides: Mapping[str, Mapping[str, str]]) -> dict[str, Path]:
    """Return the static files by the paths of their URLs; an index is its directory's own."""
    files = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            name = path.relative_to(directory).as_posix()
            name = overrides.get(name, {}).get("path", name)
            if name == "index" or name.endswith("/index"):
                name = name.removesuffix("index").rstrip("/")
            files[f"/{name}"] = path
    return files
