"""Other servers of event streams, on the same work: what ours is compared with.

They have environments of their own, made by `make peers`: Debian's nginx with nchan, `.venv-peers`
with sse-starlette and FastAPI, and the Durable Streams reference server in node_modules here.
"""
