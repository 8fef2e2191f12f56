"""An emulator of Vercel's launcher and edge, for a built output (`infra/vercel/build.py`).

It reads the output as Vercel does (`.vc-config.json`, `config.json`; Build Output API v3), serves
the static files, and runs the function with the runtime that the build put beside it
(`vercel_runtime`), over that runtime's own protocol: a socket for messages, a port for requests,
internal headers. Only the platform's variables and the given ones reach it; Python is the base
interpreter without its site-packages, so that what the bundle lacks is missed.

What it models:
- one instance that serves many requests at once, more when it is full, `FUNCTION_THROTTLED` beyond
- cold starts; a crash fails its requests (`FUNCTION_INVOCATION_FAILED`), the next gets a new one
- `maxDuration` as each request's deadline, told in a header; then 504, or a cut once bytes came
- a request's body of at most 4.5 MB
- an instance that is kept awake beyond an answer, until the runtime says that the request is over
  (`waitUntil`); cron jobs, whenever a test wants them called
- SIGTERM with a short grace time when an instance is retired
- freezing (SIGSTOP) while nothing is in flight, if asked for; disconnects hidden, or told if asked

What it does not:
- the CDN: caching, compression, ranges and conditional requests, TLS and HTTP/2, the firewall
- how the real edge spreads requests over instances and regions, scales, bills, limits memory, CPU
  and open files, and when exactly it freezes and retires
- which bytes the real edge holds back, and how a cut at `maxDuration` looks beyond HTTP/1.1
- the newer launcher, which waits for the lifespan before it sends requests (its socket has a fixed
  path), the read-only file system, when cron jobs are due, image optimization, middleware
- routes that the build of this project does not produce: such an output is refused

`VercelServer` (server.py) runs it as a process of its own.
"""

from infra.local.vercel.server import VercelServer

__all__ = ["VercelServer"]
