"""``lastevent serve``: the functions of this directory, under uvicorn."""

import argparse
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from lastevent.cli.environment import DEFAULT_HOST, add_store, settings
from lastevent.cli.target import Commands, add_command
from lastevent.core.errors import ConfigError

if TYPE_CHECKING:
    from lastevent.serve.app import App
    from lastevent.serve.settings import Settings

DESCRIPTION = """\
Serve the functions of the current directory, a checkout of Lastevent.

Without LASTEVENT_AUTH_SECRET it serves for development: to this machine only, and whoever is on it
needs no token. docs/settings.md lists all settings.
"""
APP = "functions.app"
BACKLOG = 2048


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, "serve", "serve streams on this machine", description=DESCRIPTION
    )
    parser.add_argument("--host", default=DEFAULT_HOST, help="the address to bind to (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=8000, help="the port; 0 for any that is free (%(default)s)"
    )
    add_store(parser)
    parser.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    try:
        import httptools  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise ConfigError(
            f"serving needs {error.name}: install it with  pip install 'lastevent[server]'"
        ) from error
    from lastevent.stores.url import open_store

    app = _app()
    chosen = settings_for(args)
    # Connects to nothing: refuses here what would be refused later.
    open_store(chosen.store_url, wakeup_url=chosen.wakeup_url)
    app.configure(chosen)
    listener = _listen(args.host, args.port)
    host, port = listener.getsockname()[:2]
    print(f"Serving on http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
    # No WebSocket is served: without this, uvicorn loads the library that the bridge has for them.
    server = uvicorn.Server(uvicorn.Config(app, http="httptools", ws="none", lifespan="on"))
    try:
        server.run([listener])
    finally:
        listener.close()
    return 0 if server.started else 1


def settings_for(args: argparse.Namespace) -> "Settings":
    """Return the settings for a server that binds to ``args.host`` itself; raise ConfigError."""
    return settings(args.store, args.host)


def _app() -> "App":
    # By its address, as the platforms load it: the functions stand above this package.
    package, _, _ = APP.partition(".")
    sys.path.insert(0, str(Path.cwd()))
    try:
        app: App = import_module(APP).app
    except ModuleNotFoundError as error:
        if error.name not in (package, APP):
            raise
        raise ConfigError(
            "there is no functions/app.py here: run this in a checkout of Lastevent"
        ) from error
    return app


def _listen(host: str, port: int) -> socket.socket:
    """Bind here, and not in uvicorn, which would end the process with a log line."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot listen on {host} port {port}: {reason}") from error
