"""A build with whose log the vendor's own follower fails, where its tail is late or a call cut."""

from infra.local.vercel_api import Line, Phase, Script

LINES = 100
TAIL = 6
SAME_MS = 10
# The command line asks again two seconds after a cut. That is to be before READY, also where it
# takes some seconds to start.
READY_SECONDS = 8.0
SCRIPT = Script(
    phases=(Phase(0, "QUEUED"), Phase(0.1, "BUILDING"), Phase(READY_SECONDS, "READY")),
    lines=tuple(Line(0.1 + 4.8 * number / LINES, f"line {number:03d}") for number in range(LINES)),
)
TEXTS = [line.text or "" for line in SCRIPT.lines]
