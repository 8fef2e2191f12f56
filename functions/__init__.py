"""The deployable functions: each module a table of routes, an ``app`` for ASGI servers."""
