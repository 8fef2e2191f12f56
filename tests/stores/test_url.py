"""URLs of stores."""

from pathlib import Path

import pytest

from lastevent.core.errors import ConfigError
from lastevent.stores.url import open_store
from tests.stores.harness import append


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:////",
        "sqlite://relative.db",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=ro",
        "memory://name",
        "postgres://x",
        "x.db",
        "",
    ],
)
def test_a_url_that_names_no_store(url: str) -> None:
    with pytest.raises(ConfigError):
        open_store(url)


async def test_relative_and_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url, path in {
        "sqlite:///sub/relative.db": tmp_path / "sub" / "relative.db",
        f"sqlite:///{tmp_path}/deep/er/absolute.db": tmp_path / "deep" / "er" / "absolute.db",
    }.items():
        store = open_store(url)
        await append(store, "s", 1)
        await store.close()
        assert path.is_file()
