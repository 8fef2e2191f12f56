"""Vercel's Python runtime: it serves ``app`` itself, and knows each request's deadline.

The runtime takes the header ``x-vercel-internal-deadline`` off the request and keeps what it said
for ``vercel_runtime.get_deadline`` (package vercel-runtime, ``deadline.py``), so what a client
sends under that name says nothing.
"""

import asyncio
import sys
from datetime import UTC, datetime

from lastevent.serve.invocation import Invocation


def bounds() -> Invocation:
    """Return the present request's bounds; nothing bounds it outside the runtime."""
    runtime = sys.modules.get("vercel_runtime")
    deadline = getattr(runtime, "get_deadline", lambda: None)()
    if not isinstance(deadline, datetime):
        return Invocation()
    left = (deadline - datetime.now(UTC)).total_seconds()
    return Invocation(deadline=asyncio.get_running_loop().time() + left)
