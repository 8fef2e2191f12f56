"""Imports run one way: functions → adapters → serve → services → sources → stores → core.

The client stands on the core alone; the command line on everything but the functions. The core
does no IO, so it imports no clock, loop, environment, log, thread, socket or source of chance.
"""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.project.tree import code_files, module_name, where

STACK = ("core", "stores", "sources", "services", "serve", "adapters", "functions")
MAY_IMPORT: dict[str, frozenset[str]] = {
    "": frozenset(),  # the package itself, which everyone imports
    **{layer: frozenset(STACK[:height]) for height, layer in enumerate(STACK)},
    "client": frozenset({"core"}),
    "cli": frozenset({*STACK[:-1], "client"}),
}
NOT_IN_CORE = frozenset(
    {"asyncio", "logging", "os", "random", "secrets", "socket", "threading", "time"}
)
MODULE_TEXT = re.compile(r"lastevent(?:\.\w+)+(?::\w+)?")
"""A path in a table of modules imported on use. What serves the functions may name them so."""


def layer_of(module: str) -> str | None:
    """The layer that a dotted name belongs to; None for another project's module."""
    first, _, rest = module.partition(".")
    if first == "lastevent":
        return rest.partition(".")[0]
    return "functions" if first == "functions" else None


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import, wherever it stands, and of each import path in a text.

    A name imported from the root package may itself be a layer, so it is given in full.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                parts = module.split(".")
                kept = len(parts) - node.level + is_package
                source = ".".join([*parts[:kept], *filter(None, [node.module])])
            for alias in node.names:
                yield node.lineno, f"{source}.{alias.name}"
        elif isinstance(node, ast.Constant) and MODULE_TEXT.fullmatch(str(node.value)):
            yield node.lineno, str(node.value).partition(":")[0]


def violations(source: str, module: str, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """Line and fault of each import that `module` may not make."""
    own = layer_of(module)
    assert own is not None
    for line, name in imports(ast.parse(source), module, is_package):
        first = name.partition(".")[0]
        target = layer_of(name)
        if own == "core" and first in NOT_IN_CORE:
            yield line, f"core imports {first}"
        # What the root package defines itself, such as its version, is not a layer.
        if target in MAY_IMPORT and target not in MAY_IMPORT[own] | {own, ""}:
            yield line, f"{own or 'the package'} imports {name}"


def test_every_module_is_in_a_known_layer() -> None:
    unknown = [name for name in map(module_name, code_files()) if layer_of(name) not in MAY_IMPORT]
    assert unknown == []


def test_imports_run_one_way() -> None:
    assert code_files(), "no code found"
    faults = [
        f"{where(path, line)}: {fault}"
        for path in code_files()
        for line, fault in violations(
            path.read_text(), module_name(path), is_package=path.stem == "__init__"
        )
    ]
    assert faults == [], "\n".join(faults)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lastevent.core.leg", "import time"),
        ("lastevent.core.leg", "from os.path import join"),
        ("lastevent.core.leg", "def f():\n    import asyncio"),
        ("lastevent.core.leg", "from lastevent.stores import base"),
        ("lastevent.core.leg", "from lastevent import stores"),
        ("lastevent.core.leg", "from ..stores import base"),
        ("lastevent.core.leg", "from .. import stores"),
        ("lastevent.stores.url", "if TYPE_CHECKING:\n    import lastevent.serve.tail"),
        ("lastevent.stores.url", "TABLE = {'x': 'lastevent.serve.tail:open'}"),
        ("lastevent.sources.command", "from lastevent.services.messaging import Message"),
        ("lastevent.serve.app", "from functions import streams"),
        ("lastevent.client", "from lastevent.stores.url import open_store"),
        ("functions.app", "from lastevent.client import Stream"),
        ("functions.app", "from lastevent.cli import main"),
        ("lastevent.cli", "from functions.app import app"),
        ("lastevent", "from lastevent.core.event import Event"),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str) -> None:
    assert list(violations(source, module))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lastevent.core.leg", "from lastevent.core.event import Event\nimport re"),
        ("lastevent.core.leg", "'''Imports of lastevent.serve are wrong here.'''"),
        ("lastevent.stores.url", "TABLE = {'x': 'lastevent.stores.sqlite:open'}\nimport time"),
        ("lastevent.cli.main", "from lastevent import __version__\nimport lastevent.client"),
        ("lastevent.cli.serve", "uvicorn.run('functions.app:app')"),
    ],
)
def test_a_right_import_passes(module: str, source: str) -> None:
    assert list(violations(source, module)) == []
