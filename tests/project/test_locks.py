"""Dependencies are pinned with hashes, agree with each other, and name no download address."""

import json
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.project.tree import ROOT, tracked_files

LOCKS = ("runtime", "lambda", "dev", "sam")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pinned(name: str) -> dict[str, tuple[str, list[str]]]:
    """Requirement without its hashes, and the hashes, by package of requirements/`name`.txt."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    found = {}
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            requirement, *hashes = re.split(r"\s+--hash=", line.strip())
            found[Requirement(requirement).name] = (requirement, hashes)
    return found


def wanted() -> list[Requirement]:
    """What pyproject.toml asks for: dependencies, extras and development tools."""
    project = PROJECT["project"]
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    tools = PROJECT["dependency-groups"]["dev"]
    return [Requirement(line) for line in [*project["dependencies"], *extras, *tools]]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_exact_and_hashed(lock: str) -> None:
    assert pinned(lock)
    for requirement, hashes in pinned(lock).values():
        assert re.match(r"[a-z0-9-]+==[0-9][^ ;*]*( ;|$)", requirement), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_no_address_and_no_option_stands_in_a_lock(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    assert "://" not in text
    assert re.search(r"^\s*-(?!-hash=)", text, re.MULTILINE) is None


def test_the_locks_fit_the_project() -> None:
    development = pinned("dev")
    for requirement in wanted():
        exact, _ = development[requirement.name.lower()]
        (specifier,) = Requirement(exact).specifier
        assert requirement.specifier.contains(Version(specifier.version)), (requirement, exact)


@pytest.mark.parametrize("lock", ["lambda", "dev"])
def test_the_runtime_versions_are_used(lock: str) -> None:
    runtime, other = pinned("runtime"), pinned(lock)
    assert {name: other.get(name) for name in runtime} == runtime


def test_what_is_deployed_on_lambda_was_tested() -> None:
    deployed, development = pinned("lambda"), pinned("dev")
    assert {name: development.get(name) for name in deployed} == deployed


def test_the_constraints_are_the_runtime_lock() -> None:
    """A platform that builds from pyproject.toml gets the versions that were tested here."""
    constraints = PROJECT["tool"]["uv"]["constraint-dependencies"]
    assert [Requirement(line) for line in constraints] == [
        Requirement(requirement) for requirement, _ in pinned("runtime").values()
    ]


def test_no_lock_that_holds_addresses_is_tracked() -> None:
    names = {path.name for path in tracked_files()}
    assert names.isdisjoint({"uv.lock", "pylock.toml", "poetry.lock", "yarn.lock"})


def test_npm_locks_hold_hashes_and_no_addresses() -> None:
    for path in tracked_files():
        if path.name in {"package-lock.json", "npm-shrinkwrap.json"}:
            for name, package in json.loads(path.read_text())["packages"].items():
                assert "resolved" not in package, f"{path.relative_to(ROOT)}: {name}"
                if name and not package.get("link"):
                    assert package.get("integrity"), f"{path.relative_to(ROOT)}: {name}"


def test_every_npm_project_has_a_lock() -> None:
    files = set(tracked_files())
    for path in files:
        if path.name == "package.json" and "ependencies" in path.read_text():
            assert path.with_name("package-lock.json") in files, path.relative_to(ROOT)
