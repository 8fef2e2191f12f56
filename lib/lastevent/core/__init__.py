"""The part of Lastevent that does no IO: values, the wire, cursors, and a leg's decisions.

Nothing here imports asyncio, a clock, the environment, logging or a source of randomness: time and
chance are parameters, and the answers are decisions that the shells around it carry out.
"""
