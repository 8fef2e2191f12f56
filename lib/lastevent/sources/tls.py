"""TLS for connections to outside services."""

import asyncio
import ssl
from functools import cache


async def client_context() -> ssl.SSLContext:
    """Return the context of a client, made once a process, in a thread: it reads certificates."""
    return await asyncio.to_thread(_context)


@cache
def _context() -> ssl.SSLContext:
    import certifi

    # Not the system's: a function's image may have none.
    return ssl.create_default_context(cafile=certifi.where())
