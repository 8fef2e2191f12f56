"""What is wrong with an upload, line by line."""

from collections.abc import Sequence

from lastevent.core.errors import InvalidRequest

MAX_TOLD = 20


class BadOrder(InvalidRequest):
    """An upload of which nothing is kept. ``faults`` are (line from 1, what is wrong there).

    ``recognised`` tells whether an order was found in it at all: if so, no other parser is to
    make something else of what is wrong.
    """

    title = "Unreadable order"

    def __init__(self, faults: Sequence[tuple[int, str]], *, recognised: bool = True) -> None:
        told = [f"line {line}: {what}" for line, what in faults[:MAX_TOLD]]
        if len(faults) > MAX_TOLD:
            told.append(f"and {len(faults) - MAX_TOLD} more")
        super().__init__("; ".join(told))
        self.faults = tuple(faults)
        self.recognised = recognised
