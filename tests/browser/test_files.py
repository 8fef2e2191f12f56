"""The files of the pages: one header in all of them, and nothing that no page needs."""

import json
import re
from pathlib import Path

import pytest

from infra.scenes import SCENES, Scene
from infra.screenshots import IMAGES, LARGEST_BYTES, SCHEMES, SIZES
from tests.project.tree import ROOT

pytestmark = pytest.mark.browser

PUBLIC = ROOT / "public"
HEADER = re.compile(r'<header class="site">.*?</header>', re.DOTALL)
OWN = ' aria-current="page"'


def html_of(path: str) -> Path:
    """Return the file that a path is served from."""
    return PUBLIC / f"{path.strip('/') or 'index'}.html"


def test_all_pages_are_visited() -> None:
    assert {html_of(scene.page) for scene in SCENES} == set(PUBLIC.rglob("*.html"))


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.page)
def test_the_header_is_the_same_everywhere(scene: Scene) -> None:
    def header(file: Path) -> str:
        (found,) = HEADER.findall(file.read_text())
        return str(found)

    own = header(html_of(scene.page))
    assert own.replace(OWN, "") == header(PUBLIC / "index.html").replace(OWN, "")
    path = scene.page
    assert re.findall(rf'href="([^"]+)"{OWN}', own) == [path]


def test_every_module_and_sheet_is_used() -> None:
    """From the pages, and from what the package offers to others; in one file, too."""
    exports = json.loads((ROOT / "package.json").read_text())["exports"]
    reached = {ROOT / path for path in re.findall(r"public/[^\"]+\.js", json.dumps(exports))}
    reached |= {PUBLIC / "lastevent.min.js"}
    to_read = [*PUBLIC.rglob("*.html"), *reached]
    while to_read:
        file = to_read.pop()
        for found in _references(file) - reached:
            assert found.exists(), f"{file} names {found}"
            reached.add(found)
            to_read.append(found)
    own = {*PUBLIC.rglob("*.js"), *PUBLIC.rglob("*.css")}
    assert own - reached == set()


def test_every_page_has_its_pictures_and_they_are_shown() -> None:
    names = {
        f"{scene.name}-{size}-{it}.png" for scene in SCENES for size in SIZES for it in SCHEMES
    }
    assert len(names) == 4 * len(SCENES)
    assert {picture.name for picture in IMAGES.iterdir()} == names
    assert set(re.findall(r"images/([^\"]+)", (ROOT / "docs" / "pages.md").read_text())) == names
    assert all(picture.stat().st_size <= LARGEST_BYTES for picture in IMAGES.iterdir())


def _references(file: Path) -> set[Path]:
    text = file.read_text()
    if file.suffix == ".html":
        found = re.findall(r'(?:src|href)="(/[^"]+\.(?:js|css))"', text)
    elif file.suffix == ".css":
        found = re.findall(r'url\("([^"]+\.css)"\)', text)
    else:
        found = re.findall(
            r"""^(?:import|export|\}) [^"']*["']([./][^"']+\.js)["']""", text, re.MULTILINE
        )
        found += re.findall(r'import\("([./][^"]+\.js)"\)', text)
    return {
        (PUBLIC / name.lstrip("/") if name.startswith("/") else (file.parent / name).resolve())
        for name in found
    }
