"""Vercel's Python runtime: it serves ``app`` itself, and knows each request's deadline.

The runtime takes the header ``x-vercel-internal-deadline`` off the request and keeps what it said
for ``vercel_runtime.get_deadline`` (package vercel-runtime, ``deadline.py``), so what a client
sends under that name says nothing.

An instance is kept awake until each of its requests is over, which the runtime says once the
application has returned and what was given to ``wait_until`` is done (package vercel-runtime,
``vc_init.py``): after the response, in this order, at the same place. ``wait_until`` is reached
through a package of the vendor's that the function would have to bring along, so a task holds its
request by the other way: the application returns when it is done (serve/tasks.holding).
"""

import asyncio
import sys
from datetime import UTC, datetime

from lastevent.serve.invocation import Invocation


def bounds() -> Invocation:
    """Return the present request's bounds; nothing bounds it outside the runtime."""
    runtime = sys.modules.get("vercel_runtime")
    if runtime is None:
        return Invocation()
    deadline = getattr(runtime, "get_deadline", lambda: None)()
    if not isinstance(deadline, datetime):
        return Invocation(may_freeze=True)
    left = (deadline - datetime.now(UTC)).total_seconds()
    return Invocation(deadline=asyncio.get_running_loop().time() + left, may_freeze=True)
