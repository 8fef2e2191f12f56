"""Measure cold starts: python benchmarks/cold_start.py [--rounds N]

From the start of a process to the first byte of a subscription, in-process: no server, no platform.
The subjects take turns in each round; figures are medians, beside a bare Starlette application's
(the control) and the import of every dependency. Each is measured with the bytecode of what is
deployed at hand, and without, as where a platform ships sources only; the standard library's is
always there. Stores are local servers that run already.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path
from shutil import copytree, rmtree
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic_ns
from typing import NamedTuple

from benchmarks import grounds
from benchmarks.grounds import Ground, Opener
from benchmarks.peers.servers import node
from benchmarks.processes import ROOT
from benchmarks.report import lined_up, machine
from benchmarks.rig import publish_straight
from benchmarks.subjects import TOKEN_SECONDS
from infra.local.aws.managed import BROUGHT
from lastevent.serve.auth import mint

ROUNDS = 9
START_SECONDS = 60.0
CHILD = Path(__file__).with_name("first_byte.py")
REQUIREMENTS = ROOT / "requirements" / "runtime.txt"
BESIDES = (*BROUGHT, "mangum", "redis", "upstash-redis")
"""Distributions that only some functions need, or none: what is not imported costs nothing."""

OWN = ("functions", "benchmarks", "lib/lastevent")
SECRET = "a secret of thirty-two characters"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is started: first_byte.py's kind and target, on a store perhaps.

    The kind "node" is a program of its own, which tells the same.
    """

    name: str
    kind: str
    target: str
    store: str = ""


def _on_each(name: str, kind: str, target: str) -> tuple[Subject, ...]:
    stores = (("upstash", "Upstash"), ("dynamodb", "DynamoDB"))
    return tuple(Subject(f"{name}, {title}", kind, target, store) for store, title in stores)


PYTHON = Subject("an interpreter, nothing else", "import", "sys")
CONTROL = Subject("control: Starlette, one chunk", "asgi", "benchmarks.bare:app")
EVERYTHING = Subject("every dependency imported", "import", "benchmarks.everything")
REALTIME = Subject("node: @upstash/realtime", "node", "benchmarks/peers/realtime.mjs", "upstash")
SUBJECTS = (
    PYTHON,
    CONTROL,
    *_on_each("functions/streams.py", "asgi", "functions.streams:app"),
    *_on_each("functions/app.py", "asgi", "functions.app:app"),
    *_on_each("its handler on Lambda, buffered", "handler", "functions.streams:handler"),
    REALTIME,
    EVERYTHING,
)
OPENERS: Mapping[str, Opener] = {"upstash": grounds.upstash, "dynamodb": grounds.dynamodb}


class Start(NamedTuple):
    """One cold start: milliseconds until the first byte, of a processor too, and MB of memory."""

    milliseconds: float
    cpu_milliseconds: float
    megabytes: float


@dataclass(frozen=True, slots=True)
class Bench:
    """A directory with what would be deployed, and with bytecode of it (``compiled``) or without.

    ``stores``: the settings of each.
    """

    tree: Path
    compiled: Path
    plain: Path
    stores: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def laid_out(
        cls,
        directory: Path,
        stores: Mapping[str, Mapping[str, str]],
        subjects: Sequence[Subject] = SUBJECTS,
    ) -> "Bench":
        """Link the tree, and compile what ``subjects`` import by starting each of them once."""
        directory = directory.resolve()
        bench = cls(directory / "tree", directory / "compiled", directory / "plain", stores)
        bench.tree.mkdir()
        for source in (*(ROOT / name for name in OWN), *_packages()):
            (bench.tree / source.name).symlink_to(source.resolve())
        for subject in subjects:
            bench.start(subject, compiled=True, writes=True)
        copytree(bench.compiled, bench.plain)
        rmtree(bench.plain / bench.tree.relative_to("/"))
        return bench

    def start(self, subject: Subject, *, compiled: bool, writes: bool = False) -> Start:
        """Start ``subject`` in a fresh process; raise RuntimeError if it gives no first byte."""
        token = mint(SECRET, {"sub": "bench", "read": ["*"]}, TOKEN_SECONDS)
        environ = {
            "PATH": os.defpath,
            "PYTHONPATH": str(self.tree),
            "PYTHONPYCACHEPREFIX": str(self.compiled if compiled else self.plain),
            "LASTEVENT_AUTH_SECRET": SECRET,
            **self.stores.get(subject.store, {}),
        }
        if not writes:
            environ["PYTHONDONTWRITEBYTECODE"] = "1"
        if subject.kind == "node":
            command = [node(), str(ROOT / subject.target)]
        else:
            # Without site: nothing is found that is installed here and not in the tree.
            command = [_interpreter(), "-S", "-P", str(CHILD), subject.kind, subject.target, token]
        began = monotonic_ns()
        ended = subprocess.run(
            command,
            env=environ,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )
        if ended.returncode != 0:
            raise RuntimeError(f"{subject.name} did not start: {ended.stderr[-2000:]}")
        instant, cpu, kib = map(int, ended.stdout.split())
        return Start((instant - began) / 1e6, cpu / 1e6, kib / 1024)


def _interpreter() -> str:
    """Return the interpreter that this environment stands on, which has nothing installed."""
    return str(Path(sysconfig.get_config_var("BINDIR"), f"python{sysconfig.get_python_version()}"))


def _packages() -> Iterable[Path]:
    """Yield the modules of the distributions that a function may have."""
    pinned = [
        line.partition("==")[0] for line in REQUIREMENTS.read_text().splitlines() if "==" in line
    ]
    found: set[Path] = set()
    for name in (*pinned, *BESIDES):
        installed = distribution(name)
        tops = {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}
        found |= {Path(str(installed.locate_file(top))) for top in tops}
    return sorted(path for path in found if path.suffix in ("", ".py", ".so"))


Starts = Mapping[str, Sequence[Start]]
"""By the name of the subject."""


def measure(bench: Bench, rounds: int, *, compiled: bool) -> Starts:
    """Start all subjects in turn, ``rounds`` times."""
    starts: dict[str, list[Start]] = {subject.name: [] for subject in SUBJECTS}
    for _ in range(rounds):
        for subject in SUBJECTS:
            starts[subject.name].append(bench.start(subject, compiled=compiled))
    return starts


def table(compiled: Starts, plain: Starts) -> str:
    """Return the medians; in brackets the ratios to the control's and to every dependency's."""
    kinds = (("compiled", compiled), ("sources only", plain))
    lines = [["", *(f"{kind}, {unit}" for kind, _ in kinds for unit in ("ms", "CPU ms")), "MB"]]
    for subject in SUBJECTS:
        cells = [
            _cell([_median(starts, other, figure) for other in (subject, CONTROL, EVERYTHING)])
            for _, starts in kinds
            for figure in ("milliseconds", "cpu_milliseconds")
        ]
        lines.append([subject.name, *cells, f"{_median(compiled, subject, 'megabytes'):.0f}"])
    return lined_up(lines)


def _cell(values: Sequence[float]) -> str:
    own, control, everything = values
    return f"{own:,.0f} (×{own / control:.2f}, ×{own / everything:.2f})"


def _median(starts: Starts, subject: Subject, figure: str) -> float:
    values: list[float] = [getattr(start, figure) for start in starts[subject.name]]
    return median(values)


def _settings(ground: Ground) -> dict[str, str]:
    return {**ground.environ, "LASTEVENT_STORE_URL": ground.url}


async def run(rounds: int) -> str:
    """Start the stores, measure, and return the table."""
    with TemporaryDirectory(prefix="lastevent-cold-") as name:
        async with AsyncExitStack() as stack:
            stores = {}
            for store, opener in OPENERS.items():
                ground = await stack.enter_async_context(opener(Path(name, store)))
                await publish_straight(ground, events=1)
                stores[store] = _settings(ground)
            bench = await asyncio.to_thread(Bench.laid_out, Path(name), stores)
            compiled = await asyncio.to_thread(measure, bench, rounds, compiled=True)
            plain = await asyncio.to_thread(measure, bench, rounds, compiled=False)
    return table(compiled, plain)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    print("\n".join(f"{key}: {value}" for key, value in machine().items()), end="\n\n")
    print(asyncio.run(run(arguments.rounds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
