"""What `sam build` makes of the checkout: all that the functions need, and nothing else."""

import filecmp
import importlib.util
import json
import math
import os
import re
import struct
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from infra.local.aws.managed import ManagedRuntime
from lastevent.services.purchase_orders.images import MAX_BYTES
from lastevent.services.purchase_orders.stages import PICTURES_AT_ONCE
from lastevent.services.purchase_orders.thumbnails import MAX_PIXELS
from tests.infra import pillow, sam
from tests.project.tree import ROOT, code_files, module_name

pytestmark = [pytest.mark.slow, pytest.mark.timeout(sam.BUILD_SECONDS + 60)]

MEGABYTE = 1024 * 1024
NOT_FOR_FUNCTIONS = ("lastevent.cli", "lastevent.client")


def files(directory: Path) -> set[str]:
    """The paths of a directory's files, relative to it."""
    return {str(it.relative_to(directory)) for it in directory.rglob("*") if it.is_file()}


def test_both_functions_have_the_same(sam_build: Path) -> None:
    """So it is uploaded once."""
    one, other = (sam_build / function for function in sam.FUNCTIONS)
    names = files(one)
    assert names == files(other)
    assert filecmp.cmpfiles(one, other, names, shallow=False)[1:] == ([], [])


def test_ours_is_all_there(bundle: Path) -> None:
    wanted = {
        path.relative_to(ROOT / "lib" if name.startswith("lastevent") else ROOT)
        for path in code_files()
        if not (name := module_name(path)).startswith(NOT_FOR_FUNCTIONS)
    }
    wanted |= {it.relative_to(ROOT) for it in (ROOT / "public").rglob("*") if it.is_file()}
    assert {str(path) for path in wanted} - files(bundle) == set()
    for path in wanted:
        source = ROOT / "lib" / path if path.parts[0] == "lastevent" else ROOT / path
        assert (bundle / path).read_bytes() == source.read_bytes(), path


def test_nothing_else_is_there(bundle: Path) -> None:
    locked = (ROOT / "requirements" / "lambda.txt").read_text()
    packages = {name.replace("-", "_") for name in re.findall(r"^([\w-]+)==", locked, re.M)}
    imported = {"pyjwt": "jwt", "pillow": "PIL"}
    modules = {imported.get(name, name) for name in packages}
    beside = {
        "pillow.libs",
        *(f"_cffi_backend.cpython-312-{it}-linux-gnu.so" for it in ("aarch64", "x86_64")),
    }
    found = {it.name for it in bundle.iterdir()}
    metadata = {name for name in found if name.endswith(".dist-info")}
    assert {name.partition("-")[0] for name in metadata} == packages
    ours = {"functions", "lastevent", "public", "lambda-stream", "__pycache__"}
    modules = (modules - {"typing_extensions"}) | {"typing_extensions.py"}
    assert found - metadata == modules | beside | ours
    assert {it.name for it in (bundle / "lastevent").iterdir()}.isdisjoint({"cli", "client"})


def test_it_is_small(bundle: Path) -> None:
    """The documents say 80 MB; Lambda's own limit is 250."""
    assert sum(it.stat().st_size for it in bundle.rglob("*") if it.is_file()) < 82_000_000


def test_the_libraries_of_pillow_are_those_that_something_needs(bundle: Path) -> None:
    assert pillow.linked(bundle) == pillow.libraries(bundle)


def test_the_wrapper_can_be_run(bundle: Path) -> None:
    wrapper = bundle / "lambda-stream"
    assert os.access(wrapper, os.X_OK)
    assert wrapper.read_bytes() == (ROOT / "infra" / "lambda" / "lambda-stream").read_bytes()


def test_compiled_code_is_there_for_both_architectures(bundle: Path) -> None:
    binaries = {path for path in files(bundle) if path.endswith(".so")}
    machines = {re.search(r"cpython-312-(\w+)-linux", path) for path in binaries}
    assert {found[1] for found in machines if found} == {"x86_64", "aarch64"}
    for path in binaries:
        header = (bundle / path).read_bytes()[:20]
        machine = {62: "x86_64", 183: "aarch64"}[struct.unpack_from("<H", header, 18)[0]]
        assert machine in path


def test_every_module_is_compiled_for_good(bundle: Path) -> None:
    """Lambda cannot write __pycache__, and unpacks with times of its own: PEP 552's unchecked."""
    modules = {path for path in files(bundle) if path.endswith(".py")}
    compiled = {str(it.relative_to(bundle)): it.read_bytes()[:8] for it in bundle.rglob("*.pyc")}
    tag = "cpython-312"
    assert compiled.keys() == {
        str(Path(path).parent / "__pycache__" / f"{Path(path).stem}.{tag}.pyc") for path in modules
    }
    unchecked_hash = struct.pack("<I", 0b01)
    magic = importlib.util.MAGIC_NUMBER
    assert set(compiled.values()) == {magic + unchecked_hash}


def run(bundle: Path, directory: Path, script: str, *arguments: str) -> str:
    """Run a script on the bundle and on what Lambda itself brings; return what it prints."""
    runtime = ManagedRuntime(directory)
    done = subprocess.run(
        [runtime.interpreter, "-W", "error", "-c", script, *arguments],
        cwd=bundle,
        env={"PYTHONPATH": f"{bundle}:{runtime.runtime}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_functions_need_nothing_more(bundle: Path, tmp_path: Path) -> None:
    """All of them, and each store that a function can have, with what Lambda itself brings."""
    names = [module_name(path) for path in code_files()]
    functions = [name for name in names if name.startswith("functions")]
    assert "functions.streams" in functions
    script = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
from lastevent.stores.url import open_store
open_store("upstash://:token@127.0.0.1:1")
open_store("dynamodb://table?region=eu-west-1", wakeup_url="upstash://:token@127.0.0.1:1")
import boto3, mangum, lastevent.serve.bodies, lastevent.serve.pages
boto3.client("dynamodb", region_name="eu-west-1")
modules = [module for module in sys.modules.values() if getattr(module, "__file__", None)]
print(json.dumps({module.__name__: module.__file__ for module in modules}))
"""
    loaded: dict[str, str] = json.loads(run(bundle, tmp_path, script, *functions))
    bundled = {name for name, file in loaded.items() if Path(file).is_relative_to(bundle)}
    assert {"functions.app", "lastevent", "mangum", "pydantic_core", "starlette"} <= bundled
    assert not any(Path(file).is_relative_to(ROOT / "lib") for file in loaded.values())
    assert "botocore" in loaded.keys() - bundled


def test_the_largest_pictures_fit_the_memory(bundle: Path, tmp_path: Path) -> None:
    """Beside all that a function has loaded, and the others that are fetched meanwhile."""
    pictures = largest_pictures(tmp_path)
    script = """
import re, sys
import functions.app, functions.cron, functions.realtime
import lastevent.serve.bodies, lastevent.serve.orders
import boto3
for service in ("dynamodb", "lambda"):
    boto3.client(service, region_name="eu-west-1")
from lastevent.services.purchase_orders.thumbnails import make
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        assert set(make(file.read())) == {96, 480}, path
with open("/proc/self/status") as status:  # what getrusage says begins with the parent's
    print(re.search(r"VmHWM:\\s+([0-9]+) kB", status.read())[1])
"""
    kilobytes = int(run(bundle, tmp_path, script, *map(str, pictures)))
    memory = sam.source()["Parameters"]["StreamMemory"]["Default"] * MEGABYTE
    assert kilobytes * 1024 + PICTURES_AT_ONCE * MAX_BYTES < memory


def largest_pictures(directory: Path) -> list[Path]:
    """Write a picture of the most pixels in each format, with what takes more memory yet."""
    made = []
    for format, pixels in MAX_PIXELS.items():
        side = math.isqrt(pixels)
        mode = {"JPEG": "RGB", "GIF": "P"}.get(format, "RGBA")
        option = {"JPEG": "progressive", "GIF": "transparency"}.get(format, "exact")
        made.append(directory / format)
        Image.new(mode, (side, side)).save(made[-1], format, **{option: True})
    return made
