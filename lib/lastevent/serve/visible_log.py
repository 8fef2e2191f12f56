"""Lets what this package logs be seen, from INFO on, wherever it runs.

AWS and Vercel give the root logger a handler, a server of one's own does not: uvicorn configures
its own loggers only, and Python then shows nothing below WARNING.
"""

import logging


def show_log() -> None:
    """Show the log, unless its level or a handler was chosen already; calling it again changes
    nothing."""
    log = logging.getLogger("lastevent")
    if log.level == logging.NOTSET:
        log.setLevel(logging.INFO)
    if not log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        log.addHandler(handler)
