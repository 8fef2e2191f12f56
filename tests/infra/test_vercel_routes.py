"""Where a path leads on the emulated edge, by routes like those that the build makes."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.local.child import ServerFailed
from infra.local.vercel.output import Output, load
from infra.local.vercel.routes import Routes, Target

FUNCTION = {
    "handler": "vc__handler__python.vc_handler",
    "runtime": "python3.12",
    "maxDuration": 300,
    "environment": {"PYTHONPATH": "_vendor"},
    "supportsResponseStreaming": True,
}
ROUTES: list[dict[str, Any]] = [
    {"src": r"^/(.*)\.html/?$", "headers": {"Location": "/$1"}, "status": 308},
    {"src": r"^/(?!api/).*$", "headers": {"X-Page": "yes"}, "continue": True},
    {"handle": "error"},
    {"status": 404, "src": "^(?!/api).*$", "dest": "/404"},
    {"handle": "rewrite"},
    {
        "src": "/api/(.*)",
        "dest": "/python",
        "transforms": [{"type": "request.path", "op": "set", "args": "/api/$1"}],
    },
]
OVERRIDES = {"index.html": {"path": "index"}, "page.html": {"path": "page"}}


def output(directory: Path, **config: Any) -> Path:
    """A built output in ``directory``."""
    for name in ("index.html", "page.html", "style.css", "404"):
        (directory / "static").mkdir(exist_ok=True)
        (directory / "static" / name).write_text(name)
    function = directory / "functions" / "python.func"
    function.mkdir(parents=True)
    (function / ".vc-config.json").write_text(json.dumps(FUNCTION))
    whole = {"version": 3, "routes": ROUTES, "overrides": OVERRIDES, "crons": [], **config}
    (directory / "config.json").write_text(json.dumps(whole))
    return directory


@pytest.fixture
def found(tmp_path: Path) -> Output:
    """An output with a page at its root, one beside it, and one function."""
    return load(output(tmp_path))


def test_a_function_is_read(found: Output) -> None:
    function = found.functions["/python"]
    assert (function.module, function.runtime) == ("vc__handler__python", "python3.12")
    assert function.max_duration == 300.0


@pytest.mark.parametrize(
    ("path", "name"), [("/", "index.html"), ("/page", "page.html"), ("/style.css", "style.css")]
)
def test_files_have_their_clean_addresses(found: Output, path: str, name: str) -> None:
    target = Routes(found).resolve(path)
    assert target.file is not None
    assert (target.status, target.file.name) == (200, name)
    assert target.headers == {"X-Page": "yes"}


def test_the_other_address_redirects(found: Output) -> None:
    assert Routes(found).resolve("/page.html") == Target(308, headers={"Location": "/page"})


def test_what_is_no_file_goes_to_the_function_under_its_own_path(found: Output) -> None:
    target = Routes(found).resolve("/api/streams/a")
    assert target.function is found.functions["/python"]
    assert (target.path, target.headers) == ("/api/streams/a", {})


def test_what_nobody_takes_is_not_found(found: Output) -> None:
    target = Routes(found).resolve("/absent")
    assert target.status == 404
    assert target.file is not None
    assert target.file.name == "404"


@pytest.mark.parametrize(
    "config",
    [
        {"version": 2},
        {"images": {}},
        {"routes": [{"handle": "hit"}]},
        {"routes": [{"src": "/", "middlewarePath": "edge"}]},
        {"routes": [{"src": "/", "transforms": [{"type": "request.query", "op": "set"}]}]},
    ],
)
def test_what_is_not_emulated_is_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    with pytest.raises(ServerFailed, match="emulated"):
        Routes(load(output(tmp_path, **config)))


def test_a_directory_without_an_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match=r"infra\.vercel\.build"):
        load(tmp_path)
