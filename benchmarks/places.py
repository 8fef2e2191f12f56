"""Where functions are measured: the platforms' emulators, with ours and with the control on each.

The control is bare.py in the place of ours: the built artefacts are linked, only what is in
``functions`` is another.
"""

import compileall
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local.platforms import (
    LambdaBuffered,
    LambdaStream,
    Platform,
    Server,
    Uvicorn,
    Vercel,
    build_for_vercel,
    bundle_for_lambda,
    fresh,
)

BENCHMARKS = Path(__file__).parent
BUILT = BENCHMARKS.parent / "dist"
BARE = ("__init__.py", "bare.py", "bare_buffered.py", "bare_runtime.py")
FUNCTION = Path("functions") / "python.func"
RUNTIME = "lastevent.adapters.lambda_stream"
WRITES = {"PYTHONDONTWRITEBYTECODE": ""}
"""A server of one's own finds its bytecode after its first start, whatever this shell says."""


@dataclass(frozen=True, slots=True)
class Built:
    """What is deployed: ours, and the control beside it."""

    vercel: Path
    on_lambda: Path
    bare_vercel: Path
    bare_lambda: Path

    @classmethod
    def made(cls, directory: Path) -> "Built":
        """Build ours, unless nothing has changed, and the control in ``directory``."""
        return cls.beside(
            fresh(BUILT / "vercel", build_for_vercel),
            fresh(BUILT / "lambda", bundle_for_lambda),
            directory,
        )

    @classmethod
    def beside(cls, vercel: Path, on_lambda: Path, directory: Path) -> "Built":
        """Make in ``directory`` the control of what is built."""
        return cls(
            vercel,
            on_lambda,
            bare_vercel(vercel, directory / "bare-vercel"),
            bare_lambda(on_lambda, directory / "bare-lambda"),
        )


Make = Callable[[Built, Mapping[str, str], Path], Platform]


@dataclass(frozen=True, slots=True)
class Place:
    """A platform. ``starts``: its process is started, and not by the first request."""

    name: str
    ours: Make
    bare: Make
    is_lambda: bool = False
    starts: bool = False


class BareServer(Server):
    """The control under uvicorn."""

    def __init__(self, directory: Path) -> None:
        arguments = ["-m", "uvicorn", "benchmarks.bare:app", "--no-access-log"]
        super().__init__(arguments, WRITES, directory / "bare.log")


PLACES = (
    Place(
        "uvicorn",
        lambda built, environment, directory: Uvicorn({**environment, **WRITES}, directory),
        lambda built, environment, directory: BareServer(directory),
        starts=True,
    ),
    Place(
        "vercel",
        lambda built, environment, directory: Vercel(environment, directory, built.vercel),
        lambda built, environment, directory: Vercel({}, directory, built.bare_vercel),
    ),
    Place(
        "lambda-stream",
        lambda built, environment, directory: LambdaStream(environment, directory, built.on_lambda),
        lambda built, environment, directory: LambdaStream({}, directory, built.bare_lambda),
        is_lambda=True,
    ),
    Place(
        "lambda-buffered",
        lambda built, environment, directory: LambdaBuffered(
            environment, directory, built.on_lambda
        ),
        lambda built, environment, directory: LambdaBuffered({}, directory, built.bare_lambda),
        is_lambda=True,
    ),
)


def bare_vercel(built: Path, directory: Path) -> Path:
    """Make of a built output one whose function is the control; return where it is."""
    function, bare = built / FUNCTION, directory / FUNCTION
    bare.mkdir(parents=True)
    _link(function, bare)
    _add(bare, {"app.py": "from benchmarks.bare import app as app\n"})
    shutil.copy(built / "config.json", directory)
    return directory


def bare_lambda(built: Path, directory: Path) -> Path:
    """Make of a bundle one whose functions are the control; return where it is."""
    directory.mkdir()
    _link(built, directory)
    _add(directory, {"streams.py": "from benchmarks.bare_buffered import handler as handler\n"})
    wrapper = directory / "lambda-stream"
    text = wrapper.read_text()
    wrapper.unlink()
    wrapper.write_text(text.replace(f"-m {RUNTIME}", "-m benchmarks.bare_runtime"))
    wrapper.chmod(0o755)
    return directory


def megabytes(directory: Path, kind: str = "*") -> float:
    """Return the size of the files in ``directory`` that match ``kind``."""
    return sum(path.stat().st_size for path in directory.rglob(kind) if path.is_file()) / 1e6


def _link(source: Path, target: Path) -> None:
    for path in source.iterdir():
        if path.name not in ("functions", "__pycache__"):
            (target / path.name).symlink_to(path.resolve())


def _add(target: Path, functions: Mapping[str, str]) -> None:
    """Put the control, and ``functions`` by their files' names, into what is to be deployed."""
    (target / "functions").mkdir()
    for name, text in {"__init__.py": "", **functions}.items():
        (target / "functions" / name).write_text(text)
    (target / "benchmarks").mkdir()
    for name in BARE:
        shutil.copy(BENCHMARKS / name, target / "benchmarks")
    for name in ("functions", "benchmarks"):
        compileall.compile_dir(target / name, quiet=2)
