"""What is vendored is what the lock pins, to the byte, and comes with its licence."""

import json

import pytest

from infra.vendor import FILES, MODULES, RECORD, VENDOR, copied_name, locked_version, sha256

RECORDED = json.loads(RECORD.read_text())


def test_every_file_is_as_recorded() -> None:
    there = {
        package.name: {path.name: sha256(path) for path in package.iterdir()}
        for package in VENDOR.iterdir()
        if package.is_dir()
    }
    assert there == {package: entry["sha256"] for package, entry in RECORDED.items()}


@pytest.mark.parametrize("package", FILES)
def test_the_recorded_version_is_the_locked_one(package: str) -> None:
    assert RECORDED[package]["version"] == locked_version(package)


@pytest.mark.parametrize("package", FILES)
def test_a_licence_comes_with_it(package: str) -> None:
    assert "Permission is hereby granted" in (VENDOR / package / "LICENSE").read_text()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("package", "name"), [(package, name) for package, names in FILES.items() for name in names]
)
def test_the_files_are_the_packages(package: str, name: str) -> None:
    vendored = VENDOR / package / copied_name(name)
    assert vendored.read_bytes() == (MODULES / package / name).read_bytes()
