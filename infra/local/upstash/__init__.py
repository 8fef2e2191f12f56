"""An emulator of the Upstash Redis REST API over a real Valkey, for developers and tests.

What it does follows Upstash's documentation (REST API, Read Your Writes, Key-Based Locking,
Troubleshooting, the pages of the commands) and what Upstash's own clients expect; tests run those
clients against it. What the documentation leaves open is decided for the stricter side, and is
marked "not documented" where it is decided.

`UpstashServer` (server.py) runs it as a process of its own. Faults on demand: faults.py.
"""

from infra.local.upstash.server import UpstashServer

__all__ = ["UpstashServer"]
