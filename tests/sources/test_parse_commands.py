"""The setting that names commands."""

import pytest

from lastevent.core.errors import ConfigError
from lastevent.sources.command import CommandSpec, parse_commands


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("", {}),
        (" ; ;", {}),
        ("site=npm run dev", {"site": ("npm", "run", "dev")}),
        ("a=x; b=y z;", {"a": ("x",), "b": ("y", "z")}),
        ("a = x=1 y", {"a": ("x=1", "y")}),
        (
            "a=echo 'one; two' \"three; four\" five\\;six",
            {"a": ("echo", "one; two", "three; four", "five;six")},
        ),
        (
            "a=sh -c 'for i in 1 2; do echo \"$i\"; done'; b=true",
            {"a": ("sh", "-c", 'for i in 1 2; do echo "$i"; done'), "b": ("true",)},
        ),
        ("a=x\nb", {"a": ("x", "b")}),
    ],
)
def test_what_it_reads(text: str, commands: dict[str, tuple[str, ...]]) -> None:
    expected = {name: CommandSpec(argv) for name, argv in commands.items()}
    assert parse_commands(text) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("npm run dev", "NAME=COMMAND"),
        ("=true", "NAME=COMMAND"),
        ("a b=true", "NAME=COMMAND"),
        ("../x=true", "NAME=COMMAND"),
        ("a=", "a has no command"),
        ("a=''", "name of a program"),
        ("a=true; a=false", "twice"),
        ("a=echo 'open", "not closed"),
        ('a=echo "open; b=true', "not closed"),
        ("a=echo \\", "backslash"),
        ("a=x\0y", "NUL"),
    ],
)
def test_what_it_refuses(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse_commands(text)
