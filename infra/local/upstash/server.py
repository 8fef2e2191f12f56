"""`UpstashServer`: the emulator as a process of its own, and what a test can do to it."""

import secrets
import sys
from pathlib import Path

from infra.local.child import Child, free_port
from infra.local.controlled import Faulty, faulting
from infra.local.upstash.control import PREFIX
from infra.local.upstash.faults import Rule
from infra.local.upstash.subscriptions import Channels


class UpstashServer(Faulty):
    """The emulator with its Valkey on ``directory``, in another process and on free ports.

    Without ``durable`` nothing is written to the disk, and
    `kill_store` loses it all. ``replica``: reads may be served by a replica that lags.
    ``channels``: what becomes of several channels in one subscription's path.
    """

    prefix = PREFIX
    fault = faulting(Rule)

    def __init__(
        self,
        directory: Path,
        *,
        faults: bool = False,
        durable: bool = True,
        replica: bool = False,
        channels: Channels = "many",
    ) -> None:
        super().__init__()
        self.store_port = free_port()
        """Where the Valkey behind it listens, for clients of the Redis protocol."""
        self.token = secrets.token_urlsafe(24)
        self.read_only_token = secrets.token_urlsafe(24)
        self._directory = directory
        self._options = [
            *(["--faults"] if faults else []),
            *(["--replica"] if replica else []),
            *([] if durable else ["--memory"]),
            *("--channels", channels),
        ]

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which clients find it."""
        return {"UPSTASH_REDIS_REST_URL": self.url, "UPSTASH_REDIS_REST_TOKEN": self.token}

    def start(self) -> None:
        """Start it on the data that is there; return when it serves. Raises ServerFailed."""
        self._child = Child(
            [
                *(sys.executable, "-m", "infra.local.upstash"),
                *("--data", str(self._directory), "--port", str(self.port)),
                *("--valkey-port", str(self.store_port)),
                # In one word each: a token may begin with a dash.
                *(f"--token={self.token}", f"--read-only-token={self.read_only_token}"),
                *self._options,
            ],
            self._directory / "upstash.log",
            self._serves,
        )

    async def cut_subscriptions(self) -> None:
        """Break all connections that are subscribed."""
        await self._request("POST", "/subscriptions", {"cut": True})

    async def mute_subscriptions(self, muted: bool = True) -> None:
        """Let subscriptions stand but bring nothing; what they miss is gone."""
        await self._request("POST", "/subscriptions", {"muted": muted})

    async def lag(self, seconds: float) -> None:
        """Let the replica have what is written that much later."""
        await self._request("POST", "/replica", {"lag": seconds})

    async def kill_store(self) -> None:
        """Kill the Valkey behind it (SIGKILL); requests get 503 until it is started again."""
        await self._request("POST", "/store", {"running": False})

    async def start_store(self) -> None:
        """Start the Valkey again, on the same port and the same data."""
        await self._request("POST", "/store", {"running": True})

    async def commands(self) -> dict[str, int]:
        """Return how many commands were served so far, by their names in capitals."""
        counts: dict[str, int] = await self._request("GET", "/commands")
        return counts
