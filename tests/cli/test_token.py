import stat
from pathlib import Path
from time import time

import jwt
import pytest

from tests.cli.command import lastevent

SECRET = "a secret of more than thirty-two characters"


def test_all_claims(tmp_path: Path) -> None:
    ended = lastevent(
        "token", "--sub", "anna", "--read", "build:*", "deploy:1", "--read", "log",
        "--append", "log", "--name", "Anna A.", "--role", "client", "--merchant", "42",
        "--expires", "5m",
        cwd=tmp_path, LASTEVENT_AUTH_SECRET=SECRET,
    )  # fmt: skip
    assert ended.stderr == ""
    assert ended.stdout.count("\n") == 1
    claims = jwt.decode(ended.stdout.strip(), SECRET, ["HS256"])
    issued, expires = claims.pop("iat"), claims.pop("exp")
    assert expires - issued == 300
    assert abs(issued - time()) < 60
    assert claims == {
        "sub": "anna",
        "read": ["build:*", "deploy:1", "log"],
        "append": ["log"],
        "name": "Anna A.",
        "role": "client",
        "merchant": "42",
    }


def test_what_is_not_given_is_not_claimed(tmp_path: Path) -> None:
    ended = lastevent("token", "--sub", "x", cwd=tmp_path, NEXTAUTH_SECRET=SECRET)
    claims = jwt.decode(ended.stdout.strip(), SECRET, ["HS256"])
    assert claims.keys() == {"sub", "read", "append", "iat", "exp"}
    assert claims["exp"] - claims["iat"] == 3600


def test_the_development_secret_is_kept_and_private(tmp_path: Path) -> None:
    first, second = (lastevent("token", "--sub", "x", cwd=tmp_path) for _ in range(2))
    kept = tmp_path / ".lastevent" / "development-secret"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    for ended in (first, second):
        assert jwt.decode(ended.stdout.strip(), kept.read_text(), ["HS256"])["sub"] == "x"
        assert "development" in ended.stderr
        assert kept.read_text() not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"LASTEVENT_AUTH_SECRET": "short"}, "at least 32"),
        ({"VERCEL": "1"}, "VERCEL is set"),
        ({"LASTEVENT_JWKS_URL": "https://issuer.example/keys"}, "issuer"),
    ],
)
def test_without_a_secret_that_counts(variables: dict[str, str], said: str, tmp_path: Path) -> None:
    ended = lastevent("token", "--sub", "x", cwd=tmp_path, **variables)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert said in ended.stderr
    assert "short" not in ended.stderr
