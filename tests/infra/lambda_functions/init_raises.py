"""Cannot be imported."""

from pathlib import Path

with Path("starts").open("a") as starts:
    starts.write("started\n")

raise RuntimeError("no secret")
