"""What is known of a deployment, and what can be published. No IO."""

from urllib.parse import parse_qs, urlsplit

import pytest

from lastevent.core.errors import InvalidRequest
from lastevent.core.topic import stream_name
from lastevent.services.deployment import (
    CODE_MARGIN_SECONDS,
    Deployment,
    Site,
    SiteFile,
    deployment_id,
    stream_of,
)
from lastevent.sources.vercel.snapshot import Snapshot

NOW = 1_800_000_000_000
BUILDING = Snapshot("dpl_a", "shop", "BUILDING", "prj_a", "https://a.vercel.app", created=NOW)
READY = Snapshot("dpl_a", "shop", "READY", "prj_a", "https://a.vercel.app", ended=NOW + 5)


@pytest.mark.parametrize(
    ("ready_state", "state", "is_final"),
    [
        ("QUEUED", "building", False),
        ("INITIALIZING", "building", False),
        ("BUILDING", "building", False),
        ("READY", "ready", True),
        ("ERROR", "error", True),
        ("CANCELED", "canceled", True),
        ("BLOCKED", "blocked", False),
        ("TOMORROW", "building", False),
    ],
)
def test_states(ready_state: str, state: str, is_final: bool) -> None:
    deployment = Deployment.of(Snapshot("dpl_a", "shop", ready_state))
    assert (deployment.state, deployment.is_final) == (state, is_final)


def test_a_record_is_read_as_it_was_written() -> None:
    deployment = Deployment.of(BUILDING, "ada").with_code("c", NOW).returning("https://b.example")
    assert Deployment.parse(deployment.text) == deployment
    assert "transfer_code" not in repr(deployment)
    assert "claim" not in repr(deployment)


def test_what_is_final_stays_and_what_was_known_too() -> None:
    ready = Deployment.of(BUILDING, "ada").seen(READY)
    assert (ready.ready_state, ready.created, ready.ended) == ("READY", NOW, NOW + 5)
    assert ready.publisher == "ada"
    assert ready.seen(BUILDING) == ready


def test_a_code_is_good_until_shortly_before_its_end() -> None:
    deployment = Deployment.of(READY)
    assert not deployment.has_code(NOW)
    deployment = deployment.with_code("c", NOW)
    assert not deployment.has_code(NOW - CODE_MARGIN_SECONDS * 1000)
    assert deployment.has_code(NOW - CODE_MARGIN_SECONDS * 1000 - 1)


def test_the_page_that_takes_a_code() -> None:
    deployment = Deployment.of(READY).with_code("a-b", NOW)
    assert deployment.returning(None).claim_url == "https://vercel.com/claim-deployment?code=a-b"
    url = deployment.returning("https://c.example/x?y=1&z=2").claim_url
    assert url is not None
    query = parse_qs(urlsplit(url).query)
    assert query == {"code": ["a-b"], "returnUrl": ["https://c.example/x?y=1&z=2"]}


@pytest.mark.parametrize("text", ["dpl_9aB", "dpl_" + "x" * 64])
def test_ids(text: str) -> None:
    assert deployment_id(text) == text
    assert stream_name(stream_of(text)) == f"deploy:{text}"


@pytest.mark.parametrize("text", ["shop-a1.vercel.app", "www.example.com", "a.io"])
def test_host_names(text: str) -> None:
    assert deployment_id(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "dpl_", "dpl_a/b", "dpl_" + "x" * 65, "dpl_a\n", "shop", "a..b", "../x.y", "a.b/c"),
        *("Shop.vercel.app", "-a.example.com", "a b.com", "a.c", f"{'x' * 64}.com"),
        f"{'a.' * 130}com",
    ],
)
def test_what_is_neither(text: str) -> None:
    with pytest.raises(InvalidRequest):
        deployment_id(text)


@pytest.mark.parametrize("path", ["index.html", "a/b.txt", ".well-known/x", "ü/ä b.txt"])
def test_paths(path: str) -> None:
    assert SiteFile(path, b"x").inline == {"file": path, "data": "eA==", "encoding": "base64"}


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "a\\b", "a\nb"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(InvalidRequest):
        SiteFile(path, b"")


FILE = SiteFile("index.html", b"<h1>Hi</h1>")
GIT = {"type": "github", "org": "o", "repo": "r", "ref": "main"}


def test_what_creates_a_deployment() -> None:
    site = Site("shop", (FILE,), target="production", settings={"framework": None})
    assert site.request([FILE.inline]) == {
        "name": "shop",
        "files": [FILE.inline],
        "target": "production",
        "projectSettings": {"framework": None},
    }
    assert Site("shop", git=GIT, project="prj_a").request([]) == {
        "name": "shop",
        "gitSource": GIT,
        "project": "prj_a",
    }
    assert FILE.uploaded("abc") == {"file": "index.html", "sha": "abc", "size": 11}


def test_what_cannot_be_published() -> None:
    for name in ("", "Shop", "a---b", "x" * 101, "a b"):
        with pytest.raises(InvalidRequest, match="name"):
            Site(name, (FILE,))
    with pytest.raises(InvalidRequest, match="either"):
        Site("shop")
    with pytest.raises(InvalidRequest, match="either"):
        Site("shop", (FILE,), GIT)
    with pytest.raises(InvalidRequest, match="twice"):
        Site("shop", (FILE, FILE))
