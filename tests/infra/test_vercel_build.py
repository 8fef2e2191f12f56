"""What `vercel build` makes of this project: one small function and the pages, and nothing else."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.vercel import build as building
from infra.vercel.build import BuildFailed, build
from lastevent.serve.pages import HEADERS
from tests.infra import pillow
from tests.project.test_locks import pinned
from tests.project.tree import LIBRARY, ROOT

MAX_BYTES = 57_000_000

pytestmark = [pytest.mark.node, pytest.mark.timeout(180)]

built = pytest.mark.slow


@pytest.fixture
def function(vercel_output: Path) -> Path:
    """The directory of the only function."""
    (path,) = (vercel_output / "functions").glob("**/*.func")
    return path


def names(directory: Path) -> set[str]:
    """The files in a directory, by their paths, without bytecode."""
    files = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return {path.as_posix() for path in files if path.suffix != ".pyc"}


@built
def test_one_function_has_its_limits(function: Path) -> None:
    config = json.loads((function / ".vc-config.json").read_text())
    assert config["maxDuration"] == 300
    assert config["runtime"] == f"python{(ROOT / '.python-version').read_text().strip()}"
    assert config["supportsResponseStreaming"] is True
    assert "functions.app" in (function / "vc__handler__python.py").read_text()


@built
def test_it_holds_the_routes_the_packages_and_nothing_else(function: Path) -> None:
    assert {path.name for path in function.iterdir()} == {
        *(".vc-config.json", "vc__handler__python.py", "functions", "_vendor")
    }
    assert names(function / "functions") == names(ROOT / "functions")
    packaged = names(function / "_vendor" / "lastevent")
    assert packaged == names(LIBRARY) - {"py.typed"}
    found = {
        path.name.removesuffix(".dist-info").rpartition("-")[::2]
        for path in (function / "_vendor").glob("*.dist-info")
    }
    # At the versions that were tested; the runtime's is the build tool's choice.
    wanted = [*pinned("runtime").values(), pinned("dev")["pillow"]]
    locked = {
        tuple(requirement.partition(" ")[0].replace("-", "_").split("=="))
        for requirement, _ in wanted
    }
    (lastevent,) = (pair for pair in found if pair[0] == "lastevent")
    assert found - locked - {lastevent} == {pair for pair in found if pair[0] == "vercel_runtime"}


@built
def test_it_is_small(function: Path) -> None:
    assert sum(path.stat().st_size for path in function.rglob("*")) < MAX_BYTES


@built
def test_the_libraries_of_pillow_are_those_that_something_needs(function: Path) -> None:
    assert pillow.linked(function / "_vendor") == pillow.libraries(function / "_vendor")


@built
def test_every_module_is_compiled_and_taken_as_it_is(function: Path) -> None:
    """Otherwise a cold start compiles what it imports; the file's times do not survive the way."""
    sources = [
        path
        for part in ("functions", "_vendor/lastevent", "_vendor/starlette", "_vendor/h11")
        for path in (function / part).rglob("*.py")
    ]
    assert sources
    for path in sources:
        (compiled,) = (path.parent / "__pycache__").glob(f"{path.stem}.cpython-*.pyc")
        flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
        assert flags == 0b01, f"{compiled} is not of the kind that is never checked (PEP 552)"


@built
def test_the_cdn_gets_the_pages_with_their_headers(vercel_output: Path) -> None:
    assert names(vercel_output / "static") == names(ROOT / "public")
    config = json.loads((vercel_output / "config.json").read_text())
    (headers,) = (route["headers"] for route in config["routes"] if route.get("continue"))
    # How long a page may be kept is the CDN's affair: it forgets all with each deployment.
    assert headers == {name: text for name, text in HEADERS.items() if name != "Cache-Control"}


@built
def test_the_sweep_is_on_a_schedule_that_the_free_plan_takes(vercel_output: Path) -> None:
    """https://vercel.com/docs/cron-jobs/usage-and-pricing: at most once a day, or it fails."""
    config = json.loads((vercel_output / "config.json").read_text())
    (cron,) = config["crons"]
    assert cron["path"] == "/api/cron/sweep"
    minute, hour, *days = cron["schedule"].split()
    assert days == ["*", "*", "*"]
    assert (int(minute), int(hour)) == (0, 5)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that puts a script in the place of Vercel's command line."""

    def put(script: str) -> Path:
        path = tmp_path / "vc.mjs"
        path.write_text(script)
        monkeypatch.setattr(building, "CLI", path)
        return path

    return put


def test_a_build_that_fails_says_why_and_leaves_the_last_one(
    cli: Callable[[str], Path], tmp_path: Path
) -> None:
    cli("console.log('no entrypoint was found'); process.exit(3)")
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "config.json").write_text("{}")
    with pytest.raises(BuildFailed, match=r"failed \(3\):\nno entrypoint was found"):
        build(tmp_path / "output")
    assert (tmp_path / "output" / "config.json").exists()


def test_a_build_without_a_function_is_none(cli: Callable[[str], Path], tmp_path: Path) -> None:
    cli("console.log('only pages')")
    with pytest.raises(BuildFailed, match="only pages"):
        build(tmp_path / "output")


def test_a_build_that_hangs_is_ended(
    cli: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "pid"
    cli(f"""
        import {{ spawn }} from 'node:child_process';
        import {{ writeFileSync }} from 'node:fs';
        const child = spawn('sleep', ['600'], {{ stdio: 'ignore' }});
        writeFileSync({json.dumps(str(seen))}, String(child.pid));
        setInterval(() => {{}}, 1000);
    """)
    monkeypatch.setattr(building, "BUILD_SECONDS", 3.0)
    with pytest.raises(BuildFailed, match="not done in 3 s"):
        build(tmp_path / "output")
    until = time.monotonic() + 10
    while Path(f"/proc/{seen.read_text()}/cmdline").exists() and time.monotonic() < until:
        time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(int(seen.read_text()), 0)


def test_the_command_line_must_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "CLI", tmp_path / "absent")
    with pytest.raises(BuildFailed, match="npm ci"):
        build(tmp_path / "output")


def test_it_works_on_a_copy_without_the_users_accounts(
    cli: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERCEL_TOKEN", "a token of the user's")
    monkeypatch.setenv("VIRTUAL_ENV", "an environment of the user's")
    cli("""
        import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
        const output = process.argv[process.argv.indexOf('--output') + 1];
        mkdirSync(output + '/functions', { recursive: true });
        writeFileSync('uv.lock', '');
        const files = ['vercel.json', 'functions/app.py', '.vercel/project.json', 'node_modules']
            .filter(name => existsSync(name));
        writeFileSync(output + '/seen.json', JSON.stringify({ env: process.env, files }));
    """)
    lock = ROOT / "uv.lock"  # of the user's own, perhaps
    before = lock.exists()
    build(tmp_path / "output", packages=["boto3"])
    seen = json.loads((tmp_path / "output" / "seen.json").read_text())
    assert seen["files"] == ["vercel.json", "functions/app.py", ".vercel/project.json"]
    assert seen["env"].keys().isdisjoint({"VERCEL_TOKEN", "VIRTUAL_ENV"})
    assert seen["env"]["VERCEL_TELEMETRY_DISABLED"] == "1"
    assert seen["env"]["VERCEL_PYTHON_COMPILEALL"] == "1"
    assert seen["env"]["BUNDLE_PACKAGES"] == "boto3"
    assert lock.exists() == before
