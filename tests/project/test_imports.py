"""What an import brings along: nothing where it is not needed, no thread, no error.

Each import happens in a fresh interpreter, since one's own has everything loaded already; or in a
fork of one that has only the libraries.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.tree import FUNCTIONS, ROOT, code_files, module_name

HEAVY = frozenset(
    {"PIL", "boto3", "botocore", "httpx", "joserfc", "playwright", "upstash_redis", "websockets"}
)

REPORT = """
import importlib, json, sys, threading
for name in sys.argv[1:]:
    if "://" in name:
        importlib.import_module("lastevent.stores.url").open_store(name)
    else:
        importlib.import_module(name)
print(json.dumps({"modules": sorted(sys.modules), "threads": threading.active_count()}))
"""


def loaded_by(*modules: str) -> set[str]:
    """The modules that are loaded once `modules` are, and stores at those that are URLs are open.

    Warnings are errors, no thread may have been started, and the environment is empty, since an
    import needs no setting.
    """
    run = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", REPORT, *modules],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["threads"] == 1
    return set(report["modules"])


EACH = """
import importlib, os, sys, threading, traceback
def load(name):
    importlib.import_module(name)
    assert threading.active_count() == 1, "a thread was started"
names = sys.argv[1:]
for name in names:
    try:
        load(name)
    except Exception:
        pass  # it is told of below
ours = {name.partition(".")[0] for name in names}
for name in [name for name in sys.modules if name.partition(".")[0] in ours]:
    del sys.modules[name]
for name in names:
    child = os.fork()
    if not child:
        try:
            load(name)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        print(name)
"""


def broken_by_themselves(*modules: str) -> list[str]:
    """Those of ``modules`` that cannot be imported before any other of the same packages."""
    run = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", EACH, *modules],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


# A __main__ runs the program when imported.
MODULES = [module_name(path) for path in code_files() if path.stem != "__main__"]


def test_every_module_imports_by_itself() -> None:
    assert len(MODULES) > 200
    assert broken_by_themselves(*MODULES) == []


def test_a_module_that_needs_another_first_would_be_seen(tmp_path: Path) -> None:
    """Two modules that import from each other work in one order only."""
    (tmp_path / "first.py").write_text("import second\nname = second.name\n")
    (tmp_path / "second.py").write_text("name = 1\nfrom first import name as again\n")
    (tmp_path / "busy.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    (tmp_path / "fine.py").write_text("")
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{EACH}"
    names = ["first", "second", "busy", "fine"]
    run = subprocess.run(
        [sys.executable, "-I", "-c", script, *names], capture_output=True, text=True
    )
    assert set(run.stdout.split()) == {"first", "busy"}, run.stderr


def test_the_subscribe_path_loads_nothing_heavy() -> None:
    functions = [module_name(path) for path in FUNCTIONS.glob("*.py")]
    assert "functions.streams" in functions
    assert loaded_by(*functions) & HEAVY == set()


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("sqlite:///x.db", "sqlite3"),
        ("upstash://:token@127.0.0.1:1", "h11"),
        ("redis://127.0.0.1:1", "redis"),
        ("dynamodb://table", "lastevent.stores.dynamodb.log"),
    ],
)
def test_a_store_loads_its_own_client_only(url: str, wanted: str) -> None:
    loaded = loaded_by("functions.app", "functions.streams", url)
    clients = {"sqlite3", "h11", "redis", *HEAVY}
    assert wanted in loaded
    assert loaded & clients == {wanted} & clients


def test_the_application_alone_loads_no_validation() -> None:
    assert "pydantic" not in loaded_by("functions.app")


def test_a_heavy_import_would_be_seen() -> None:
    assert {"httpx", "pydantic"} <= loaded_by("httpx", "pydantic")
    assert {"PIL", "joserfc"} <= loaded_by("PIL.Image", "joserfc.jwe")
