"""A setting: a field of a dataclass that knows the variables that say it, and how they are read."""

from collections.abc import Callable, Mapping
from dataclasses import field, fields
from typing import Any

from lastevent.core.errors import ConfigError


def setting(
    parse: Callable[[str], Any],
    default: Any,
    *variables: str,
    secret: bool = False,
    beside: str | None = None,
) -> Any:
    """Return a field: what ``parse`` makes of the first of ``variables`` that is set, or
    ``default``.

    ``parse`` raises ConfigError with a sentence that says what to write. ``secret``: no ``repr``
    shows it. ``beside``: a variable without which this means nothing; that it is missing would
    show much later.
    """

    def read(environ: Mapping[str, str]) -> Any:
        for variable in variables:
            if text := said(environ, variable):
                if beside and not said(environ, beside):
                    raise ConfigError(f"{variable}: {beside} is missing beside it")
                return parsed(parse, variable, text)
        return None

    return field(default=default, repr=not secret, metadata={"read": read})


def several(read: Callable[[Mapping[str, str]], Any], default: Any) -> Any:
    """Return a field that several variables say together: ``read`` makes it of the environment, or
    None if they say nothing. No ``repr`` shows it: there may be secrets in it."""
    return field(default=default, repr=False, metadata={"read": read})


def given(kind: type, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a dataclass of settings that ``environ`` says; raise ConfigError."""
    found = {
        item.name: item.metadata["read"](environ)
        for item in fields(kind)
        if "read" in item.metadata
    }
    return {name: value for name, value in found.items() if value is not None}


def said(environ: Mapping[str, str], variable: str) -> str:
    """Return the text of a variable; one that is empty is unset."""
    return environ.get(variable, "").strip()


def parsed(parse: Callable[[str], Any], variable: str, text: str) -> Any:
    """Return what ``parse`` makes of a text; its ConfigError names the variable then."""
    try:
        return parse(text)
    except ConfigError as error:
        raise ConfigError(f"{variable}: {error}") from error
