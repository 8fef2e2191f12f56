"""Nothing in the project names the machine it was written on, or a package registry's host."""

import re
from collections.abc import Iterator

import pytest

from tests.project.tree import tracked_files, where

MACHINE_PATH = re.compile(r"(?<![\w.}~/-])/(?:work|root|home|Users)/\w|C:\\\\?Users\b")
REGISTRY_HOST = re.compile(
    r"\b(?:pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|yarnpkg\.com|npmmirror\.com)\b"
)


def faults(text: str) -> Iterator[tuple[int, str]]:
    """Line and text of every machine path and registry host."""
    for number, line in enumerate(text.splitlines(), 1):
        for pattern in (MACHINE_PATH, REGISTRY_HOST):
            if found := pattern.search(line):
                yield number, found[0]


def test_no_file_names_a_machine_path_or_a_registry() -> None:
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or a font
        found += [f"{where(path, line)}: {fault}" for line, fault in faults(text)]
    assert found == [], "\n".join(found)


@pytest.mark.parametrize(
    "parts",
    [
        ("open('/ro", "ot/data')"),
        ("see /ho", "me/someone/code"),
        ("/Us", "ers/someone"),
        ("https://py", "pi.org/simple"),
        ("https://registry.np", "mjs.org/vercel"),
    ],
)
def test_a_fault_is_found(parts: tuple[str, str]) -> None:
    # In two parts, so that this file is not found itself.
    assert list(faults("".join(parts)))


@pytest.mark.parametrize(
    "text", ["GET /api/home/items", "~/home/x", "https://example.com/home/x", "$HOME/.pyenv"]
)
def test_an_innocent_text_passes(text: str) -> None:
    assert list(faults(text)) == []
