"""The control on Lambda behind a function URL: bare.py on the runtime that ours runs on too.

Only the loop that speaks to the Runtime API: no settings, no App, no store.
"""

import asyncio
import os

from benchmarks.bare import app
from lastevent.adapters.lambda_stream.loop import Runtime


async def _nothing(*_: object) -> None:
    pass


async def run() -> None:
    """Serve until the process is ended."""
    address = os.environ["AWS_LAMBDA_RUNTIME_API"]
    runtime = Runtime(app, address, os.environ, rest=_nothing, perform=_nothing)
    await runtime.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(run())
