"""Idempotency keys: what was carried out under one is answered again, and not done again.

https://shopify.dev/docs/api/usage/implementing-idempotency. Required for changes of stock since
2026-04. An answer that says what is wrong with the input is not remembered: nothing was done.
"""

import json
from collections.abc import Callable
from typing import Any

from infra.local.shopify.shop import UserError


class Keys:
    """The keys of one shop."""

    def __init__(self) -> None:
        self._done: dict[str, tuple[str, Any]] = {}
        self.under_way: set[str] = set()

    def forget(self) -> None:
        """Let a day pass."""
        self._done.clear()

    def once(self, key: str, input: object, change: Callable[[], Any]) -> Any:
        """Return what ``change`` does, or did under this key; raise UserError."""
        if key in self.under_way:
            raise UserError(
                "IDEMPOTENCY_CONCURRENT_REQUEST",
                "This request is currently in progress, please try again.",
            )
        said = json.dumps(input, sort_keys=True)
        if key in self._done:
            before, answer = self._done[key]
            if before != said:
                raise UserError(
                    "IDEMPOTENCY_KEY_PARAMETER_MISMATCH",
                    "The same idempotency key cannot be used with different operation parameters.",
                )
            return answer
        answer = change()
        self._done[key] = said, answer
        return answer
