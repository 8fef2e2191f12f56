"""What the status of an outside service's answer means for who asked. No IO."""

import math
from email.utils import parsedate_to_datetime
from time import time

from lastevent.core.errors import UpstreamLost, UpstreamRefused

LONGEST_WAIT = 3600.0
"""No service is obeyed for longer: what it says may be a mistake."""

_PASSES = frozenset({408, 425, 429})


def trouble(
    status: int, retry_after: str | None, who: str, what: str
) -> UpstreamLost | UpstreamRefused:
    """Return the error that an answer of ``status``, not 2xx, means.

    408, 425, 429 and 5xx pass; ``retry_after`` is that header (RFC 9110 §10.2.3). Everything else
    stays: redirects too, which are not followed, since the key would go to whatever address they
    name. ``who`` is the service, ``what`` it was asked about: both parts of a sentence.
    """
    if status in _PASSES or status >= 500:
        said = "is asked too often" if status == 429 else f"answers {status}"
        return UpstreamLost(f"{who} {said}", retry_after_seconds(retry_after))
    meaning = {
        401: "does not accept the key (401)",
        403: f"does not allow {what} (403)",
        404: f"does not know {what} (404)",
        410: f"does not have {what} any more (410)",
    }
    if 300 <= status < 400:
        return UpstreamRefused(f"{who} redirects ({status}): its address has to be set anew")
    return UpstreamRefused(f"{who} {meaning.get(status, f'answers {status}')}")


def retry_after_seconds(text: str | None) -> float | None:
    """Return what a ``Retry-After`` says, in seconds or as a date; None if nothing that makes
    sense. At most LONGEST_WAIT."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time()
        except ValueError:
            return None
    if not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)
