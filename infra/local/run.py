"""What `make run` runs: the server on loopback, and a preview whose log can be watched.

    python infra/local/run.py --store sqlite --as uvicorn [--port 8000] [--data .lastevent]

As uvicorn, the server is this checkout's, for development; as another platform, what is built for
it runs on its emulator (deployment.py).

The preview is a real process that looks through this checkout (examples/preview.py). Legs are short
here, so that planned ends happen while one looks on. A store that is a service elsewhere has its
local server started, and ended, with it.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra.local import deployment
from infra.local.child import ServerFailed
from infra.local.deployment import BUILT_PLATFORMS
from infra.local.dynamodb import REGION, RotoServer
from infra.local.upstash import UpstashServer

ROOT = Path(__file__).resolve().parent.parent.parent
PLATFORMS = ("uvicorn", *BUILT_PLATFORMS)
PREVIEW = "checkout"
PROFILES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
START_SECONDS = 20.0
STOP_SECONDS = 15.0
LEG_SECONDS = "20"


@dataclass(frozen=True, slots=True)
class Store:
    """A store that is ready: its URL, the variables that go with it, and whether data stays."""

    url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    durable: bool = True


@contextmanager
def _sqlite(data: Path) -> Iterator[Store]:
    yield Store(f"sqlite:///{data}/lastevent.db")


@contextmanager
def _upstash(data: Path) -> Iterator[Store]:
    with UpstashServer(data / "upstash") as server:
        yield Store("upstash://", server.environment)


@contextmanager
def _dynamodb(data: Path) -> Iterator[Store]:
    with RotoServer(data / "dynamodb") as server:
        yield Store(f"dynamodb://lastevent?region={REGION}", server.environment, durable=False)


STORES: dict[str, Callable[[Path], AbstractContextManager[Store]]] = {
    "sqlite": _sqlite,
    "upstash": _upstash,
    "dynamodb": _dynamodb,
}


def main() -> int:
    """Start the store, the server and the preview; return when the server has ended."""
    arguments = _arguments()
    if _is_taken(arguments.port):
        print(f"Port {arguments.port} is taken: end what runs there, or make run PORT=8001")
        return 1
    if arguments.platform != "uvicorn" and arguments.store == "sqlite":
        print("Functions share no file: make run STORE=upstash, or STORE=dynamodb")
        return 1
    try:
        with STORES[arguments.store](arguments.data) as store:
            if arguments.platform == "uvicorn":
                return _serve(store, arguments.port)
            own = {name: os.environ[name] for name in os.environ if name.startswith("LASTEVENT_")}
            environment = {**own, **store.environment, "LASTEVENT_STORE_URL": store.url}
            return deployment.serve(arguments.platform, environment, arguments.data, arguments.port)
    except KeyboardInterrupt:
        return 0
    except ServerFailed as error:
        print(error)
        return 1


def _serve(store: Store, port: int) -> int:
    """Run the server on a store until it ends."""
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "lastevent.cli", "serve"),
            *("--host", "127.0.0.1", "--port", str(port), "--store", store.url),
        ],
        cwd=ROOT,
        env=_environment(store),
    )
    try:
        if not _is_up(url, server):
            print("The server did not start; what it said is above.")
            return 1
        preview = _start_preview(url)
        print(_welcome(url, preview, store), flush=True)
        return server.wait()
    finally:
        _stop(server)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--as", choices=PLATFORMS, default="uvicorn", dest="platform")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--data", type=Path, default=ROOT / ".lastevent")
    return parser.parse_args()


def _environment(store: Store) -> dict[str, str]:
    """Return the server's environment; what the user has set counts before what is set here.

    But not where the store is, nor a profile of the AWS tools, which may be of an account.
    """
    own = {
        "LASTEVENT_MAX_LEG_SECONDS": LEG_SECONDS,
        "LASTEVENT_PREVIEW_COMMANDS": f"{PREVIEW}={sys.executable} examples/preview.py",
    }
    users = {name: value for name, value in os.environ.items() if name not in PROFILES}
    return own | users | dict(store.environment)


def _is_taken(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _is_up(url: str, server: "subprocess.Popen[bytes]") -> bool:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/api/health", timeout=2):
                return True
        except OSError:
            time.sleep(0.1)
    return False


def _start_preview(url: str) -> str | None:
    """Start the preview; return the path of the page that follows its log."""
    request = urllib.request.Request(
        f"{url}/api/previews",
        json.dumps({"name": PREVIEW}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(json.load(answer)["url"])
    except urllib.error.HTTPError as error:
        print(f"The preview did not start: {error.read().decode()}")
        return None


def _welcome(url: str, preview: str | None, store: Store) -> str:
    again = (
        "the rest. Stop the server and start it again: the log is still there, every line once."
        if store.durable
        else "the rest. This local store keeps all in memory: when it is stopped, the log is gone."
    )
    lines = [
        "",
        "  Lastevent runs. Stop it with Ctrl-C.",
        "",
        f"    a live log           {url}{preview or '/previews'}",
        f"    all pages            {url}/",
        f"    follow a stream      curl -N {url}/api/streams/hello",
        f"    publish to it        curl {url}/api/streams/hello "
        """-d '{"type":"note","data":{"n":1}}'""",
        "",
        f"  Every {LEG_SECONDS} s or less a response ends as planned, and the page comes back for",
        f"  {again}",
        "",
    ]
    return "\n".join(lines)


def _stop(server: "subprocess.Popen[bytes]") -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
