"""Lets what this package logs be seen, from INFO on, wherever it runs.

AWS and Vercel give the root logger a handler, a server of one's own does not: uvicorn configures
its own loggers only, and Python then shows nothing below WARNING. Vercel's is shown INFO of all
loggers, and httpx says there of each request to which address it went, which may hold a secret.
"""

import logging


def show_log() -> None:
    """Show the log, and httpx's from WARNING on, unless levels or a handler were chosen already;
    calling it again changes nothing."""
    log = logging.getLogger("lastevent")
    for logger, level in ((log, logging.INFO), (logging.getLogger("httpx"), logging.WARNING)):
        if logger.level == logging.NOTSET:
            logger.setLevel(level)
    if not log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        log.addHandler(handler)
