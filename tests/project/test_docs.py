"""The documents name every setting, route and error, and their links lead somewhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project.tree import FUNCTIONS, LIBRARY, ROOT, tracked_files, where

DOCS = ROOT / "docs"
VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|VERCEL")
OURS = re.compile(r"\bLASTEVENT_[A-Z0-9_]+")
FENCED = re.compile(r"^ *(```+|~~~+).*?^ *\1", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"`[^`\n]+`")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)


def constants(path: Path) -> Iterator[str]:
    """Every text constant of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def settings_variables() -> set[str]:
    """The environment variables that the settings name."""
    modules = (LIBRARY / "serve" / "settings").glob("*.py")
    texts = (text for path in modules for text in constants(path))
    return {text for text in texts if VARIABLE.fullmatch(text)}


def routes(path: Path) -> Iterator[str]:
    """The paths of a module's routes, a parameter without its converter, as a document says it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else None
            name = node.func.id if isinstance(node.func, ast.Name) else name
            first = node.args[0].value
            if name in {"Route", "Mount"} and isinstance(first, str):
                yield re.sub(r"\{(\w+):\w+\}", r"{\1}", first)


def without_fences(markdown: str) -> str:
    """A document with its fenced code blanked, lines kept: nothing there is a link or heading."""
    return FENCED.sub(blank, markdown)


def blank(found: re.Match[str]) -> str:
    """Spaces in place of a match, with its line ends."""
    return re.sub(r"[^\n]", " ", found[0])


def anchors(markdown: str) -> set[str]:
    """The anchors that a forge makes of a document's headings, repeated ones numbered."""
    found: set[str] = set()
    for heading in HEADING.findall(without_fences(markdown)):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = 0
        while (anchor := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(anchor)
    return found


def broken_links(path: Path, markdown: str) -> Iterator[str]:
    """Every relative link of the document at `path` to an absent file or heading."""
    text = INLINE_CODE.sub(blank, without_fences(markdown))
    files = set(tracked_files())
    for found in LINK.finditer(text):
        target = found[1] or found[2]
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        goal = (path.parent / name).resolve() if name else path
        place = where(path, text.count("\n", 0, found.start()) + 1)
        if goal not in {path, *files} and not any(goal in file.parents for file in files):
            yield f"{place}: no file {target}"
        elif anchor and goal.suffix == ".md":
            known = anchors(markdown if goal == path else goal.read_text())
            if anchor not in known:
                yield f"{place}: no heading {target}"


def test_every_setting_is_documented() -> None:
    variables = settings_variables()
    assert "LASTEVENT_STORE_URL" in variables
    document = (DOCS / "settings.md").read_text()
    assert sorted(name for name in variables if not re.search(rf"\b{name}\b", document)) == []


def test_every_documented_setting_exists() -> None:
    document = (DOCS / "settings.md").read_text()
    assert sorted(set(OURS.findall(document)) - settings_variables()) == []


def test_every_route_is_documented() -> None:
    paths = {route for path in FUNCTIONS.glob("*.py") for route in routes(path)}
    assert paths
    document = (DOCS / "http.md").read_text()
    # The path ends where it does: /api/previews is not documented by /api/previews/{id}.
    assert (
        sorted(path for path in paths if not re.search(rf"{re.escape(path)}(?![\w/{{])", document))
        == []
    )


def test_every_error_is_documented() -> None:
    tree = ast.parse((LIBRARY / "core" / "errors.py").read_text())
    errors = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    assert errors
    document = (DOCS / "http.md").read_text()
    assert [name for name in errors if not re.search(rf"\b{name}\b", document)] == []


def test_links_resolve() -> None:
    documents = [path for path in tracked_files() if path.suffix == ".md"]
    assert ROOT / "README.md" in documents
    found = [fault for path in documents for fault in broken_links(path, path.read_text())]
    assert found == [], "\n".join(found)


@pytest.mark.parametrize(
    "markdown",
    [
        "[x](absent.md)",
        "![x](absent.png)",
        "[x]: absent.md",
        "[x](README.md#absent)",
        "# Here\n[x](#there)",
        "```\n# There\n```\n[x](#there)",
        "[x](.venv/bin/python)",
    ],
)
def test_a_broken_link_is_found(markdown: str) -> None:
    assert list(broken_links(ROOT / "page.md", markdown))


@pytest.mark.parametrize(
    "markdown",
    [
        "[x](LICENSE) ![x](tests) [x](https://example.com/y) [x](mailto:a@example.com)",
        "# A `b`, c!\n# A `b`, c!\n[x](#a-b-c) [x](#a-b-c-1)",
        "`[x](absent.md)`",
        "~~~\n[x](absent.md)\n~~~",
    ],
)
def test_a_good_link_passes(markdown: str) -> None:
    assert list(broken_links(ROOT / "page.md", markdown)) == []
