"""What serve, init, token and doctor share: the settings of this machine, and its store."""

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastevent.serve.settings import Settings

DEFAULT_HOST = "127.0.0.1"


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the store."""
    parser.add_argument(
        "--store", metavar="URL", help="the store, such as sqlite:///FILE (LASTEVENT_STORE_URL)"
    )


def settings(store: str | None = None, host: str = DEFAULT_HOST) -> "Settings":
    """Return the settings of the environment, with another ``store`` if one is named.

    ``host`` is what a server here would bind to. Raises ConfigError.
    """
    from lastevent.serve.settings import Settings

    environ = dict(os.environ)
    if store is not None:
        environ["LASTEVENT_STORE_URL"] = store
    return Settings.from_env(environ, bind_host=host)
