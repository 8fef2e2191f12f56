"""Planned ends before the process goes.

On SIGTERM a server such as uvicorn first waits for its open responses, and ours would go on until
their bounds; the lifespan's shutdown comes after that. So the handler that the server installed is
wrapped: ours runs first (RULES 22).
"""

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType


def on_termination(call: Callable[[], None]) -> Callable[[], None]:
    """Have ``call`` run on this loop when SIGTERM or SIGINT comes, before what was installed.

    Returns a function that puts the former handlers back. Only the main thread may do this; in
    another one, nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    loop = asyncio.get_running_loop()
    former: dict[signal.Signals, object] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(call)
        handler = former.get(signal.Signals(number))
        if callable(handler):
            handler(number, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        handler = signal.getsignal(number)
        if callable(handler):  # without a server's handler the process just ends: leave that so
            former[number] = handler
            signal.signal(number, handle)

    def restore() -> None:
        for number, handler in former.items():
            if signal.getsignal(number) is handle:
                signal.signal(number, handler)  # type: ignore[arg-type]

    return restore
