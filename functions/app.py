"""All functions in one ASGI application: Vercel's entrypoint, and uvicorn's.

Each is imported when one of its paths is first asked for, so that a cold start pays only for what
the request needs.
"""

from pathlib import Path

from lastevent.adapters import vercel
from lastevent.serve.app import App, Functions

FUNCTIONS = {
    "/api": "functions.streams",
    "/api/cron": "functions.cron",
    "/api/deploy": "functions.deployments",
    "/api/jobs": "functions.jobs",
    "/api/messages": "functions.messages",
    "/api/metrics": "functions.metrics",
    "/api/presence": "functions.messages",
    "/api/previews": "functions.previews",
    "/api/purchase-orders": "functions.realtime",
    "/api/realtime": "functions.realtime",
    "/api/sse": "functions.messages",
    "/api/trial": "functions.trials",
}
"""Path prefix to module; the longest that fits counts."""

TASKS = {
    "preview": "functions.previews:run",
    "sweep": "functions.cron:sweep",
    "workflow": "functions.realtime:run",
}
"""What may be done in an invocation of its own, by name: module and function."""

PAGES = Path(__file__).parent.parent / "public"  # absent on Vercel, whose CDN has them

app = App(
    Functions(FUNCTIONS),
    pages=PAGES if PAGES.is_dir() else None,
    bounds=vercel.bounds,
    tasks=TASKS,
)
