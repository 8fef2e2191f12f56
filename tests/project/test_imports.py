"""What an import brings along: nothing where it is not needed, no thread, no error.

Each import happens in a fresh interpreter, since one's own has everything loaded already.
"""

import json
import subprocess
import sys

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


# A __main__ runs the program when imported.
MODULES = [module_name(path) for path in code_files() if path.stem != "__main__"]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_imports_by_itself(module: str) -> None:
    assert module in loaded_by(module)


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
