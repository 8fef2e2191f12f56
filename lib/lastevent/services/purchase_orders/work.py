"""What a stage of this workflow needs of the run that it is part of."""

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from lastevent.services.workflow.values import Input, Skipped

type Result = Mapping[str, Any] | Skipped


class Context(Protocol):
    """The run of one order. ``subject`` is the order's id; the workflow's StageContext has more."""

    @property
    def merchant(self) -> str:
        """Whose order it is."""
        ...

    @property
    def subject(self) -> str:
        """The order's id, the merchant's own."""
        ...

    def input(self) -> Awaitable[Input]:
        """Return the upload."""
        ...

    def progress(self, percent: float, message: str | None = None) -> Awaitable[None]:
        """Tell how far the stage is, 0 to 100. Raises where the stage is to end here."""
        ...
