"""Benchmarks: ours beside a bare ASGI application, in the same run. See docs/performance.md."""
